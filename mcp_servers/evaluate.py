"""How well runbook search finds the right page: `aspora eval runbooks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from blocks.shares import Standard, measured
from mcp_servers.library import Library, LibraryError
from mcp_servers.page import Page

TOP = 5
CORPUS, QUERIES = "runbooks-prometheus", "runbooks-queries.json"
"""Where they lie in a folder of labelled data."""
LABELLED = {
    "top1": Standard(reference=0.76, target=0.85),
    "top5": Standard(reference=0.94, target=0.97),
}
"""References: BM25 on the same pages and queries."""


class EvaluationError(Exception):
    """Corpus or queries can't be used; the text says which and why."""


class Query(BaseModel):
    """A question and the page that answers it."""

    model_config = ConfigDict(frozen=True)

    query: str
    gold: str
    """The page's file name without `.md`."""


_QUERIES = TypeAdapter(list[Query])


def evaluate_runbooks(corpus: Path, queries: Path) -> dict[str, Any]:
    """Asks every query of the corpus and counts where the right page stands.

    Args:
        corpus: a folder of markdown pages.
        queries: a JSON file, a list of `{"query", "gold"}`.

    Returns:
        `{"n": queries, "metrics": {"top1": share, "top5": share}, "intervals": …}`.

    Raises:
        EvaluationError: a file is missing or malformed, there is no query, or a gold page is missing.
    """
    asked = _load(queries)
    library = Library(corpus)
    try:
        _check(asked, library.pages(), corpus)
        ranks = [_rank(library, each) for each in asked]
    except LibraryError as error:
        raise EvaluationError(f"--corpus {corpus}: {error}") from error
    return {"n": len(asked), **measured({"top1": _within(1, ranks), "top5": _within(TOP, ranks)})}


def _load(path: Path) -> list[Query]:
    try:
        asked = _QUERIES.validate_json(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"--queries {path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EvaluationError(
            f'--queries {path}: {place or "file"}: {first["msg"]}; expected [{{"query": …, "gold": …}}, …]'
        ) from error
    if not asked:
        raise EvaluationError(f"--queries {path}: the list is empty")
    return asked


def _check(asked: list[Query], pages: list[Page], corpus: Path) -> None:
    known = {_stem(page) for page in pages}
    missing = sorted({each.gold for each in asked} - known)
    if missing:
        raise EvaluationError(
            f"--corpus {corpus}: no page for {len(missing)} gold names: {', '.join(missing[:5])}"
        )


def _rank(library: Library, asked: Query) -> int | None:
    """The right page's place, from 1; nothing if it is not among the first."""
    names = [_stem(found.page) for found in library.search(asked.query, TOP)]
    return names.index(asked.gold) + 1 if asked.gold in names else None


def _stem(page: Page) -> str:
    return Path(page.name).stem


def _within(places: int, ranks: list[int | None]) -> list[bool]:
    return [rank is not None and rank <= places for rank in ranks]
