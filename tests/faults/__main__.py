"""`python -m tests.faults`: a course of faults; exit code 1 if anything was violated."""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import signal
import sys
from pathlib import Path

from tests.faults import campaign, page
from tests.faults.world import scratch


def main() -> int:
    """Runs a course as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--injections", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=60, help="no new batch begins after so long")
    parser.add_argument("--batch", type=int, default=10, help="injections between two audits")
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help="only faults of this name"
    )
    parser.add_argument("--page", type=Path, help="write the table into this page")
    parser.add_argument("--keep", type=Path, help="copy logs and record there")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {given.seed}", flush=True)
    with scratch() as directory:
        outcome = campaign.run(
            directory,
            given.seed,
            given.injections,
            given.minutes,
            given.batch,
            given.only,
            keep=lambda: _keep(directory, given.keep) if given.keep else None,
        )
    command = shlex.join(["python", "-m", "tests.faults", *sys.argv[1:]])
    text = page.section(outcome, command)
    print(text)
    if given.page:
        page.write(given.page, text)
    return 1 if outcome.violations else 0


def _keep(directory: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.log", "disk/home/aspora.db*", "disk/home/parts/*.log"):
        for file in directory.glob(pattern):
            shutil.copy(file, into)


if __name__ == "__main__":
    sys.exit(main())
