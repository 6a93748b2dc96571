"""PromQL that gives whole and right numbers from counters with few events.

`increase()` extrapolates: three runs a day become 3.0002 or 4. The platform's counters come from its database
and survive restarts, so how much one has grown is its value now less its value then.
"""

from __future__ import annotations

from collections.abc import Sequence

DAY = "24h"
WEEK = "7d"
COUNTED = 'outcome=~"success|partial|error"'
"""Outcomes that the success rate counts."""


def gained(series: str, window: str = DAY, by: Sequence[str] = ()) -> str:
    """How much a counter has grown within a window, summed by labels.

    Where there is no sample from before the window, or the counter is smaller than then because the record
    was begun anew, it is counted from the window's first sample on.
    """
    now, then = _sum(series, by), _sum(f"{series} offset {window}", by)
    first = _sum(f"min_over_time({series}[{window}])", by)
    return f"({now} - (({then} <= {now}) or {first}))"


def step(series: str, by: Sequence[str] = ()) -> str:
    """How much a counter has grown within each step of a graph; nothing where it has not."""
    return f"{_sum(series, by)} - {_sum(f'{series} offset $__interval', by)} > 0"


def before(daily: str) -> str:
    """The average of what was so on each of the seven UTC days before the last 24 hours, at the day's end.

    A subquery's steps are whole days, so they are midnights. Days without samples are left out: the average
    is one of days that were seen.
    """
    return f"avg_over_time(({daily})[{WEEK}:1d] offset {DAY})"


def daily(series: str) -> str:
    """How much a counter grew within 24 hours; nothing if there is no sample from their beginning."""
    return f"{_sum(series, ())} - {_sum(f'{series} offset {DAY}', ())} >= 0"


def change(now: str, then: str) -> str:
    """By how many percent a number differs from another one."""
    return f"100 * ({now} / ({then} > 0) - 1)"


def ratio(above: str, below: str) -> str:
    """One over the other, and nothing where there is nothing below."""
    return f"{above} / ({below} > 0)"


def quantile(q: float, histogram: str, window: str = DAY, by: Sequence[str] = ()) -> str:
    """A quantile of what a histogram gained within a window; nothing where it gained nothing."""
    return f"histogram_quantile({q}, {gained(f'{histogram}', window, ('le', *by))}) >= 0"


def success_rate() -> str:
    """The platform's: the domains' rates, each as heavy as its executions of the last 24 hours."""
    rate = "max by (domain) (aspora_success_rate)"
    weight = f"({gained(f'aspora_executions_total{{{COUNTED}}}', by=('domain',))} > 0)"
    return f"sum({rate} * on (domain) {weight}) / sum({weight} and on (domain) {rate})"


def active() -> str:
    """How many domains had an execution within the last 24 hours."""
    return f"sum({gained('aspora_executions_total', by=('domain',))} > bool 0)"


def of_domain(expression: str, role: str = "") -> str:
    """The skills of the dashboard's domain, with their role, of an expression by `skill_name`."""
    only = f', skill_role="{role}"' if role else ""
    info = f'max by (skill_name, skill_role) (aspora_skill_info{{domain="$domain"{only}}})'
    return f"({expression}) * on (skill_name) group_left (skill_role) {info}"


def once(series: str) -> str:
    """Series of several gateways on one record, which all tell the same numbers, as those of one."""
    return f"max without (instance, pod) ({series})"


def _sum(series: str, by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)}) ({once(series)})" if by else f"sum({once(series)})"
