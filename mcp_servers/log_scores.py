"""How anomalous a log template is: its rate in a window against its rate before."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

Change = Literal["new", "surge", "steady", "drop", "gone", "unknown"]

_WEIGHTS = {"FATAL": 1.0, "ERROR": 1.0, "WARN": 0.8, "INFO": 0.45, "DEBUG": 0.3, "TRACE": 0.2}
_BAD_NEWS = re.compile(
    r"(?i)\b(?:fail\w*|errors?|exception|time(?:d)?[ -]?out\w*|reject\w*|denied|refused|expired|declined"
    r"|unavailable|invalid|unauthori[sz]ed|forbidden|exceed\w*|throttl\w*|blocked|held|stuck|backlog|lag|retry\w*"
    r"|exhausted|unreachable|dead[ -]?letter\w*|overload\w*|suspend\w*|mismatch|unknown|unexpected|missing)\b"
)
_CHANGE_NEWS = re.compile(
    r"(?i)\b(?:deploy\w*|releas\w+|roll(?:ed|ing)?[ -]?(?:out|back)|version|upgrad\w+|config\w*|chang\w+"
    r"|updat\w+|rotat\w+|expir\w+|certificates?|maintenance|migrat\w+|schema|feature|flag|enabled|disabled|failover"
    r"|restart\w*|start(?:ed|ing|up)|shut\w*|holiday|cut-?off|quota|limits?|revoked|deprecat\w+|switch\w*|added"
    r"|removed|window|notice|policy|rules?|threshold|calendar)\b"
)
_QUANTILE = 1.645
_FLOOR = math.log(1.3)
_FULL = math.log(8.0)
_NOTABLE = 0.15


class Counts(NamedTuple):
    """How often something occurred: in the window, and by hours before it (1 = the last one before)."""

    window: int
    hours: Mapping[int, int]

    @property
    def baseline(self) -> int:
        """All before the window."""
        return sum(self.hours.values())


class Verdict(NamedTuple):
    """How anomalous, from 0 to 1, and in which way."""

    score: float
    change: Change


def judge(
    level: str,
    text: str,
    counts: Counts,
    *,
    window_hours: float,
    baseline_hours: float,
    silent_hours: float = 0.0,
) -> Verdict:
    """The verdict on a template.

    Surprise is the lower confidence bound of the rate's growth (or fall) by a Poisson comparison, and the
    growth beyond the busiest stretch of the baseline, whichever is smaller. A run of busy hours that leads
    up to the window belongs to the incident, not to the baseline.

    Args:
        level: of the template.
        text: of the template; words of failure and of change weigh more.
        counts: its occurrences.
        window_hours: length of the window.
        baseline_hours: length of what is known of the time before; 0 if nothing is.
        silent_hours: time from the last occurrence to the end of the window.
    """
    weight = _weight(level, text)
    if baseline_hours <= 0:
        return Verdict(round(0.5 * weight * _volume(counts.window), 4), "unknown")
    rise = _rise(counts, window_hours, baseline_hours)
    fell = _fall(counts, window_hours, baseline_hours)
    silence = _fall(Counts(0, counts.hours), silent_hours, baseline_hours) if silent_hours else 0.0
    fall = max(fell, silence)
    if fall > rise:
        score = 0.5 * fall * (0.3 if _bad(level, text) else 1.0) * _volume(counts.baseline)
        change: Change = "steady" if fall < _NOTABLE else "gone" if silence >= fell else "drop"
        return Verdict(round(score, 4), change)
    new = counts.window > 0 and counts.baseline == 0
    score = max(weight * rise * _volume(counts.window), _newcomer(level, text) if new else 0.0)
    return Verdict(round(score, 4), "new" if new else "surge" if rise >= _NOTABLE else "steady")


def _bad(level: str, text: str) -> bool:
    return level in ("WARN", "ERROR", "FATAL") or bool(_BAD_NEWS.search(text))


def _weight(level: str, text: str) -> float:
    weight = _WEIGHTS.get(level, 0.45)
    return max(weight, 0.7) if weight > 0.4 and _BAD_NEWS.search(text) else weight


def _newcomer(level: str, text: str) -> float:
    """The least that something never seen before is worth, however rare."""
    if level in ("DEBUG", "TRACE"):
        return 0.05
    if level in ("ERROR", "FATAL"):
        return 0.5
    if _CHANGE_NEWS.search(text):
        return 0.45
    return 0.3 if _bad(level, text) else 0.15


def _volume(count: int) -> float:
    return 0.85 + 0.15 * min(1.0, math.log10(1 + count) / 3)


def _share(value: float, full: float) -> float:
    return min(1.0, max(0.0, value / full))


def _rise(counts: Counts, window_hours: float, baseline_hours: float) -> float:
    if not counts.window:
        return 0.0
    run = _run(counts, window_hours, baseline_hours)
    quiet = {hour: count for hour, count in counts.hours.items() if hour > run}
    quiet_hours = max(baseline_hours - run, baseline_hours / 2)
    growth = _bound(counts.window, window_hours, sum(quiet.values()), quiet_hours)
    peak = max(_stretches(quiet, run, window_hours, baseline_hours), default=0.0)
    beyond = math.log((counts.window + 0.5) / (peak + 0.5))
    return min(_share(growth - _FLOOR, _FULL - _FLOOR), _share(beyond - _FLOOR, math.log(3.0) - _FLOOR))


def _fall(counts: Counts, window_hours: float, baseline_hours: float) -> float:
    loss = _bound(counts.baseline, baseline_hours, counts.window, window_hours)
    trough = min(_stretches(counts.hours, 0, window_hours, baseline_hours), default=0.0)
    below = math.log((trough + 0.5) / (counts.window + 0.5))
    return min(_share(loss - _FLOOR, _FULL - _FLOOR), _share(below - _FLOOR, math.log(3.0) - _FLOOR))


def _bound(count: int, hours: float, other: int, other_hours: float) -> float:
    """The lower confidence bound of the logarithm of one rate over another."""
    ratio = math.log((count + 0.5) / hours) - math.log((other + 0.5) / other_hours)
    return ratio - _QUANTILE * math.sqrt(1 / (count + 0.5) + 1 / (other + 0.5))


def _run(counts: Counts, window_hours: float, baseline_hours: float) -> int:
    """Hours right before the window that were as busy as it is, at most half of the baseline."""
    busy = counts.window / window_hours / 2
    run = 0
    while run < int(baseline_hours / 2) and counts.hours.get(run + 1, 0) >= max(busy, 1):
        run += 1
    return run


def _stretches(
    hours: Mapping[int, int], start: int, window_hours: float, baseline_hours: float
) -> list[float]:
    """The sums over all stretches of the baseline that are as long as the window.

    A window longer than the baseline is compared with the baseline, scaled up.
    """
    last = int(baseline_hours)
    width = max(1, min(math.ceil(window_hours), last - start))
    scale = window_hours / width
    totals = (
        sum(hours.get(hour, 0) for hour in range(low, low + width))
        for low in range(start + 1, last - width + 2)
    )
    return [total * scale for total in totals]
