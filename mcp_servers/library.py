"""A folder of runbook pages, read and indexed when it changes, and searched."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from blocks.text import Index, words
from mcp_servers.page import Page, parse, words_of

PAGE_BYTES = 200_000
"""So much of one page is read."""
MAX_PAGES = 5000
WEIGHTS = {"title": 2.0, "cause": 1.0, "text": 0.3}
SUFFIXES = {".md", ".markdown"}

_NOT_RUNBOOKS = {"readme", "_index", "index", "contributing", "changelog", "license", "code_of_conduct"}
_PASSAGES = 60
"""So many of a page's paragraphs are looked at for an excerpt."""
_PASSAGE_CHARS = 2000


class LibraryError(Exception):
    """The folder or the page asked for can't be read; the text says why."""


class Found(NamedTuple):
    """A page that answers the question, and the passage of it that does so best."""

    page: Page
    score: float
    section: str
    excerpt: str


class _Stamp(NamedTuple):
    path: Path
    changed: int
    size: int


class Library:
    """The pages under a folder, in all its subfolders. Safe to use from several threads.

    Args:
        root: the folder. Symbolic links that lead out of it are not followed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: list[str] = []
        """What was not read, and why."""
        self._lock = threading.Lock()
        self._stamps: list[_Stamp] = []
        self._read: dict[tuple[_Stamp, str], Page | None] = {}
        self._pages: list[Page] = []
        self._index = Index([], WEIGHTS)

    def pages(self) -> list[Page]:
        """All pages, by path. Raises LibraryError if the folder is not there."""
        return self._current()[0]

    def page(self, name: str) -> Page:
        """The page of that name, with or without its suffix. Raises LibraryError if there is none.

        Names are compared with the pages that were found; none is ever opened as a path.
        """
        pages = self.pages()
        wanted = name.strip().casefold()
        for page in pages:
            if wanted in {page.name.casefold(), page.name.rsplit(".", 1)[0].casefold()}:
                return page
        near = ", ".join(found.page.name for found in self.search(words_of(wanted), 5)) or "none is like it"
        raise LibraryError(f"no runbook is named {name[:200]!r}; nearest of {len(pages)}: {near}")

    def search(self, question: str, limit: int = 5) -> list[Found]:
        """The pages that answer the question, best first. Raises LibraryError if the folder is not there."""
        pages, index = self._current()
        return [_found(pages[hit.document], hit.score, question) for hit in index.search(question, limit)]

    def _current(self) -> tuple[list[Page], Index]:
        with self._lock:
            stamps = self._look()
            if stamps != self._stamps or not self._stamps:
                self._load(stamps)
            return self._pages, self._index

    def _look(self) -> list[_Stamp]:
        if not self.root.is_dir():
            raise LibraryError(
                f"the runbook folder {self.root} does not exist; set `path` of the runbook server"
            )
        self.skipped = []
        stamps = sorted(self._stamps_below(self.root.resolve()))
        if len(stamps) > MAX_PAGES:
            self.skipped.append(f"{len(stamps) - MAX_PAGES} pages beyond the first {MAX_PAGES}")
        return stamps[:MAX_PAGES]

    def _stamps_below(self, root: Path) -> Iterator[_Stamp]:
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (Path(folder, name) for name in files if _is_runbook(name)):
                if not path.resolve().is_relative_to(root):
                    self.skipped.append(f"{path.name}: a link out of the folder")
                elif path.is_file():
                    status = path.stat()
                    yield _Stamp(path, status.st_mtime_ns, status.st_size)

    def _load(self, stamps: list[_Stamp]) -> None:
        names = Counter(stamp.path.name for stamp in stamps)
        root = self.root.resolve()
        read: dict[tuple[_Stamp, str], Page | None] = {}
        for stamp in stamps:
            path = stamp.path
            name = path.name if names[path.name] == 1 else path.relative_to(root).as_posix()
            key = (stamp, name)
            read[key] = self._read[key] if key in self._read else _page(path, name)
        self._read = read
        self._pages = [page for page in read.values() if page]
        self._index = Index([_fields(page) for page in self._pages], WEIGHTS)
        self._stamps = stamps


def _is_runbook(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and path.stem.lower() not in _NOT_RUNBOOKS and name[0] != "."


def _page(path: Path, name: str) -> Page | None:
    """The page in a file; nothing if it is empty or can't be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(PAGE_BYTES)
    except OSError:
        return None
    page = parse(name, _decode(raw))
    return page if page.text else None


def _decode(raw: bytes) -> str:
    """UTF-8, else UTF-16 where its mark says so, else Western European, which reads any byte."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    cut = len(raw) == PAGE_BYTES
    try:
        return raw.decode("utf-8", errors="ignore" if cut else "strict")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _fields(page: Page) -> dict[str, str]:
    rest = page.text if page.cause not in page.text else page.text.replace(page.cause, "", 1)
    return {"title": _name(page), "cause": page.cause, "text": rest}


def _name(page: Page) -> str:
    """The title, with what the file's name adds to it."""
    named = words_of(page.name)
    known = set(words(page.title))
    added = [word for word in named.split() if not set(words(word)) <= known]
    return " ".join([page.title, *added])


def _found(page: Page, score: float, question: str) -> Found:
    told = [passage for passage in page.passages if not passage[1].startswith("|")]
    passages = (told or page.passages)[:_PASSAGES]
    index = Index(
        [{"title": heading, "text": text[:_PASSAGE_CHARS]} for heading, text in passages],
        {"title": 0.5, "text": 1.0},
    )
    best = index.search(question, 1)
    heading, text = passages[best[0].document] if best else ("", page.cause)
    return Found(page, score, heading, text)
