"""A sixth domain, built exactly as docs/add-a-domain.md shows it, in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.home import ROOT
from tests.ports import free_port

PAGE = ROOT / "docs" / "add-a-domain.md"
BLOCK = re.compile(r"^```(?:python|markdown|yaml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
COPIED = ("flows", "tasks", "blocks", "mcp_servers", "runbooks")
FILES = ("aspora.config.yaml", "prefect.yaml", "pyproject.toml")

CALL = """
import asyncio, json, sys
import httpx
from flows.gateway.app import create_app
from tasks.platform import open_now

async def call():
    app = create_app(open_now())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            headers = {"Authorization": "Bearer t"}
            answer = await client.post("/api/refunds/analyze", json=json.loads(sys.argv[1]), headers=headers)
            print(answer.status_code, answer.text)

asyncio.run(call())
"""
"""Calls the domain's webhook on a gateway in its own process."""

full = pytest.mark.full


def shown() -> dict[str, str]:
    """The page's files: path → content."""
    return dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def added(old: Any, new: Any) -> Any:
    """`old` with `new` added to it: keys to mappings, items to lists. Nothing that is there may change."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: added(old[key], value) if key in old else value for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    raise AssertionError(f"the page changes {old!r}")


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout with the page's domain in it."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *command: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """A command of the project's environment, run in the copy."""
        words = [sys.executable, "-c", "from flows.cli import main; main()"]
        words = [*words, *command[1:]] if command[0] == "aspora" else list(command)
        return subprocess.run(
            words, cwd=self.root, env=self.environment, text=True, capture_output=True, check=False,
            stdin=subprocess.DEVNULL, timeout=timeout,
        )  # fmt: skip

    def json(self, *command: str, code: int = 0) -> Any:
        """What a command prints with --json, once it has ended with the code."""
        done = self.run(*command, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    root = tmp_path_factory.mktemp("reader")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name)
    (root / "tests").mkdir()
    shutil.copy2(ROOT / "tests" / "contracts.py", root / "tests")
    for name in FILES:
        shutil.copy2(ROOT / name, root)
    for path, content in shown().items():
        target = root / path
        if path in FILES:
            whole = added(yaml.safe_load(target.read_text(encoding="utf-8")), yaml.safe_load(content))
            target.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
            continue
        assert not target.exists(), path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    own = ("ASPORA_", "ANTHROPIC_", "PREFECT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    home = {"ASPORA_HOME": str(root / ".aspora"), "PYTHONPATH": str(root), "COLUMNS": "160"}
    port = {"ASPORA_PREFECT_PORT": str(free_port()), "ASPORA_GATEWAY_TOKEN": "t"}
    yield Copy(root, {**environment, **home, **port})


@pytest.fixture(scope="module")
def report(copy: Copy) -> Any:
    """A run's report, its fix waiting."""
    return copy.json("aspora", "run", "refunds", code=4)


def test_only_the_folder_and_two_files_of_settings_are_touched() -> None:
    assert {path for path in shown() if not path.startswith("flows/refunds/")} == {
        "aspora.config.yaml",
        "prefect.yaml",
    }


@full
def test_the_config_is_found_right_without_a_warning(copy: Copy) -> None:
    done = copy.run("aspora", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refunds" not in done.stdout + done.stderr, "neither an error nor a warning of it"
    wrong = (
        (copy.root / "aspora.config.yaml").read_text().replace("manager.count >= 10", "manager.cont >= 10")
    )
    (copy.root / "wrong.yaml").write_text(wrong)
    done = copy.run("aspora", "check", "--config", "wrong.yaml")
    assert done.returncode == 2 and "cont" in done.stdout + done.stderr


@full
def test_a_run_gets_to_the_specialist_and_its_fix_waits(copy: Copy, report: Any) -> None:
    assert report["state"] == "awaiting_approval"
    assert [each["skill"] for each in report["executions"]] == ["refunds-watch", "refunds-explain"]
    watch, explain = (each["output"] for each in report["executions"])
    (led,) = (each for each in watch["patterns"] if each["route_to"])
    assert led["count"] >= 10 and led["corridor"] == explain["corridor"]
    assert explain["root_cause"] and explain["evidence"][0]["quote"] in explain["root_cause"]
    (waiting,) = copy.json("aspora", "approvals")
    assert waiting["id"] == report["approvals"][0]["id"] and waiting["status"] == "waiting"
    assert waiting["proposal"]["plans"][0]["objects"] > 0


@full
def test_the_record_and_the_reports_have_it(copy: Copy, report: Any) -> None:
    listed = copy.json("aspora", "executions", "--domain", "refunds")
    assert [each["skill"] for each in listed] == ["refunds-watch"], "the other one waits"
    page = copy.run("aspora", "show", report["executions"][1]["execution_id"])
    assert page.returncode == 0 and "ask_bank_again" in page.stdout
    panel = copy.run("aspora", "report", "domain", "refunds")
    assert panel.returncode == 0 and "refunds" in panel.stdout
    routes = copy.json("aspora", "route", "--since", "1d")
    assert routes and all(each["was"] == each["would_be"] for each in routes)


@full
def test_an_approved_fix_is_carried_out_once_for_each_refund(copy: Copy, report: Any) -> None:
    approval = report["approvals"][0]
    done = copy.json("aspora", "approve", approval["id"], "--as", "reader")
    assert done["status"] == "approved"
    page = copy.json("aspora", "show", report["executions"][1]["execution_id"])
    assert page["outcome"] == "success", page
    again = copy.json("aspora", "run", "refunds")
    assert again["state"] == "no_action", "the refunds were really paid"


@full
def test_its_webhook_is_stored_and_leads_to_it(copy: Copy) -> None:
    called = copy.run(sys.executable, "-c", CALL, json.dumps({"corridor": "USD-PHP"}))
    assert called.returncode == 0 and "202" in called.stdout, called.stdout + called.stderr
    (stored,) = (each for each in copy.json("aspora", "triggers") if each["source"] == "webhook")
    assert stored["domain"] == "refunds" and stored["payload"] == {"corridor": "USD-PHP"}
    refused = copy.run(sys.executable, "-c", CALL, json.dumps({"corridor": 7}))
    assert "202" not in refused.stdout


@full
def test_its_deployments_start_its_flows(copy: Copy) -> None:
    deployments = yaml.safe_load(shown()["prefect.yaml"])["deployments"]
    load = "import sys; from prefect.flows import load_flow_from_entrypoint as load"
    for each in deployments:
        done = copy.run(sys.executable, "-c", f"{load}; print(load(sys.argv[1]).name)", each["entrypoint"])
        assert done.stdout.strip() == each["name"], done.stderr


@full
def test_it_is_measured_like_the_others(copy: Copy) -> None:
    found = copy.json("aspora", "eval", "refunds", "--seeds", "5", "--first", "1")
    assert found["metrics"] == {"found": 1.0, "silent": 1.0}
    assert found["cases"] == {"found": 4, "silent": 1}


@full
def test_lint_types_and_import_contracts_hold(copy: Copy) -> None:
    bin = Path(sys.executable).parent
    for command in (
        [str(bin / "ruff"), "check", "flows/refunds"],
        [str(bin / "ruff"), "format", "--check", "flows/refunds"],
        [str(bin / "mypy"), "-p", "flows.refunds"],
        [str(bin / "lint-imports")],
    ):
        done = copy.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    (copy.root / "flows" / "refunds" / "nosy.py").write_text("import flows.ecm.models\n")
    try:
        broken = copy.run(str(bin / "lint-imports"))
    finally:
        (copy.root / "flows" / "refunds" / "nosy.py").unlink()
    assert broken.returncode != 0 and "flows.refunds.nosy → flows.ecm.models" in broken.stdout


@full
def test_the_commands_that_the_page_shows_work(copy: Copy) -> None:
    commands = COMMAND.findall(PAGE.read_text(encoding="utf-8"))
    assert "aspora run refunds" in commands
    for command in commands:
        done = copy.run(*command.split())
        assert done.returncode in (0, 4), f"{command}: {done.stdout}{done.stderr}"
