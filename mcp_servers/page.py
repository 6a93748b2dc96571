"""A runbook page: markdown by any author, with its title, its sections, its cause and its fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

CAUSE_CHARS = 600
FIX_CHARS = 1200

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE_KEY = re.compile(r"^title[ \t]*:(.*)$", re.MULTILINE | re.IGNORECASE)
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_MARKUP = re.compile(r"<!--.{0,500}?-->|</?[A-Za-z][^<>\n]{0,200}>|\{\{[<%].{0,300}?[%>]\}\}", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK = re.compile(r"\n\s*\n")
_CAUSE = re.compile(
    r"\b(meaning|means|causes?|symptoms?|overview|description|summary|what happen(s|ed)|what is|problem"
    r"|background|why|signs?|context|about|when this|reasons?|explanation)\b",
    re.IGNORECASE,
)
_FIX = re.compile(
    r"\b(fix(es)?|fixing|mitigat(e|ion|ions)|resol(ve|ution|utions)|remed(y|ies|iate|iation)|solutions?|solving|repair"
    r"|what to do|actions?|recover(y|ing)?|workarounds?|restor(e|ing)|treatment|countermeasures?)\b",
    re.IGNORECASE,
)
_STEPS = re.compile(r"\b(steps?|procedure|response|how to|playbook|instructions|handling)\b", re.IGNORECASE)
_LOOKING = re.compile(
    r"\b(diagnos\w*|investigat\w*|debug\w*|verif\w*|check\w*|triage|escalat\w*)\b", re.IGNORECASE
)


_LEAD = re.compile(
    r"^ {0,3}(?:\*\*|__)([^*_\n]{2,60}?)[.:]?(?:\*\*|__)[.:]?[ \t]*(?:\n|(?=\S))", re.MULTILINE
)
_LEAD_LEVEL = 7


class Section(NamedTuple):
    """A heading and the text under it, up to the next heading of any level."""

    heading: str
    level: int
    """1 to 6; 0 for the text before the first heading, 7 under bold words that begin a paragraph."""
    text: str
    above: str = ""
    """The heading that bold words stand under."""


@dataclass(frozen=True)
class Page:
    """A page as its author laid it out."""

    name: str
    title: str
    text: str
    """The whole page without front matter."""
    sections: tuple[Section, ...]

    @cached_property
    def cause(self) -> str:
        """What the page is about: its Meaning, Cause, Symptoms or the like; else its first paragraph."""
        return self._under(_CAUSE) or self._first_paragraph()

    @cached_property
    def fix(self) -> str:
        """What to do: its Fix, Mitigation, Steps or the like; else its last section, if it has several."""
        found = self._under(_FIX) or self._under(_STEPS, unless=_LOOKING)
        written = [section for section in self.sections if section.text]
        return found or (written[-1].text if len(written) > 1 else "")

    @cached_property
    def passages(self) -> list[tuple[str, str]]:
        """Every paragraph with the heading it stands under."""
        return [
            (section.heading, paragraph.strip())
            for section in self.sections
            for paragraph in _BLANK.split(section.text)
            if paragraph.strip()
        ]

    def near(self, passage: str) -> tuple[str, str]:
        """Cause and fix for a passage: those of its own section on a page where sections have fixes of their
        own, else the page's."""
        if not any(
            _FIX.search(each.heading) and each.above not in ("", self.title) for each in self.sections
        ):
            return self.cause, self.fix
        home = next((each for each in self.sections if passage and passage in each.text), None)
        name = (home.above or home.heading) if home else ""
        parts = tuple(each for each in self.sections if name and each.above == name)
        own = "\n\n".join(each.text for each in self.sections if name and name in (each.heading, each.above))
        return self._under(_CAUSE, among=parts) or own, self._under(_FIX, among=parts) or own

    def _under(
        self,
        wanted: re.Pattern[str],
        unless: re.Pattern[str] | None = None,
        among: tuple[Section, ...] | None = None,
    ) -> str:
        """The text under headings that match, subsections included; the page's own title doesn't count."""
        texts: list[str] = []
        inside = 0
        for section in self.sections if among is None else among:
            if inside and section.level > inside:
                texts += [section.heading, section.text]
                continue
            heading = section.heading if section.heading != self.title or section.level > 1 else ""
            matches = bool(wanted.search(heading)) and not (unless and unless.search(heading))
            inside = section.level if matches else 0
            if matches:
                texts.append(section.text)
        return "\n\n".join(text for text in texts if text)

    def _first_paragraph(self) -> str:
        return self.passages[0][1] if self.passages else ""


def parse(name: str, text: str) -> Page:
    """The page in `text`; its title is the front matter's, else its first heading, else its name in words."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    front = _FRONT_MATTER.match(text)
    body = _CONTROL.sub("", text[front.end() :] if front else text)
    sections = _sections(body)
    named = _TITLE_KEY.search(front[1]) if front else None
    headings = [section.heading for section in sections if section.heading]
    title = (named[1].strip(" \t\"'") if named else "") or (headings[0] if headings else "") or words_of(name)
    return Page(name=name, title=title.strip(), text=body.strip(), sections=tuple(sections))


def words_of(name: str) -> str:
    """A file's name as words: `25-lulu-api-issues.md` is `lulu api issues`."""
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return re.sub(r"[-_\s]+", " ", re.sub(r"^\d+[-_. ]*", "", stem)).strip()


def shorten(text: str, length: int) -> str:
    """At most `length` characters, cut at a word where one ends nearby, and marked where cut."""
    if len(text) <= length:
        return text
    cut = text[: length - 2]
    return (cut.rsplit(None, 1)[0] if len(cut.split(None, 1)) > 1 else cut) + " …"


def _sections(body: str) -> list[Section]:
    sections: list[Section] = []
    heading, level, lines, fence = "", 0, list[str](), ""
    for line in body.split("\n"):
        found = None if fence else _heading(line, lines)
        if not found:
            fence = _fenced(line, fence)
            lines.append(line)
            continue
        if _UNDERLINE.fullmatch(line):
            lines.pop()
        sections.append(Section(heading, level, _plain(lines)))
        (heading, level), lines = found, []
    sections.append(Section(heading, level, _plain(lines)))
    parts = (part for section in sections for part in _by_leads(section))
    return [part for part in parts if part.heading or part.text]


def _by_leads(section: Section) -> list[Section]:
    """A section, cut where a paragraph begins with a bold Cause, Fix or the like, as under a heading."""
    leads = [lead for lead in _LEAD.finditer(section.text) if _tells(lead[1])]
    ends = [*(lead.start() for lead in leads), len(section.text)]
    parts = [section._replace(text=section.text[: ends[0]].strip())]
    for lead, end in zip(leads, ends[1:], strict=True):
        text = section.text[lead.end() : end].strip()
        parts.append(Section(lead[1].strip(), _LEAD_LEVEL, text, section.heading))
    return parts


def _tells(heading: str) -> bool:
    return any(pattern.search(heading) for pattern in (_CAUSE, _FIX, _STEPS, _LOOKING))


def _heading(line: str, before: list[str]) -> tuple[str, int] | None:
    """A heading's text and level, if this line makes one: `## …`, or an underline of the one before."""
    if hashes := _HEADING.fullmatch(line):
        return _plain([_unclosed(hashes[2])]), len(hashes[1])
    above = before[-1].strip() if before else ""
    paragraph = len(before) > 1 and before[-2].strip()
    if above and not paragraph and above[0] not in "-*#>|" and (under := _UNDERLINE.fullmatch(line)):
        return _plain([above]), 1 if under[1][0] == "=" else 2
    return None


def _unclosed(heading: str) -> str:
    """A heading's text without the hashes that may close it."""
    text = heading.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if bare != text and bare[-1:].isspace() else text


def _fenced(line: str, fence: str) -> str:
    """The fence that is open after this line, or nothing."""
    mark = _FENCE.match(line)
    if not mark:
        return fence
    if not fence:
        return mark[1]
    return "" if mark[1] == fence else fence


def _plain(lines: list[str]) -> str:
    return _MARKUP.sub("", "\n".join(lines)).strip()
