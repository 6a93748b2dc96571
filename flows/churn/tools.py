"""churn-mcp: who is at risk of leaving, why, and what may be offered. Read-only.

Run alone with `python -m flows.churn.tools`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from blocks.config import Config
from blocks.warehouse import Warehouse, WarehouseError
from flows.churn import picture
from flows.churn.models import (
    Difference,
    Experiment,
    Interval,
    LeftOut,
    Mix,
    Model,
    OfferFacts,
    Offers,
    Profile,
    Recipient,
    Recipients,
    Risks,
    SegmentFacts,
)
from flows.churn.table import (
    ComplaintsTable,
    ContactsTable,
    CustomersTable,
    Offer,
    Options,
    PriceChangesTable,
    TransfersTable,
    UsageTable,
)
from mcp_servers.serve import serve

if TYPE_CHECKING:
    from flows.churn.analysis import Judged, Scored, Segment
    from flows.churn.history import Extent, Snapshot, Tables
    from flows.churn.quality import Estimate

__all__ = ["TABLES", "Options", "build"]

TABLES: dict[str, type[BaseModel]] = {
    "churn_customers": CustomersTable,
    "churn_transfers": TransfersTable,
    "churn_usage": UsageTable,
    "churn_complaints": ComplaintsTable,
    "churn_price_changes": PriceChangesTable,
    "churn_contacts": ContactsTable,
}
"""The strict form of each table under `warehouse.tables` that this server reads."""

MAX_SCORED = 1_000_000
"""Customers who are scored; of more, every second, third … by their id."""
MAX_TRAINED = 10_000
"""Customers of one earlier moment who are learnt from."""
MAX_MOMENTS = 6
"""Earlier moments that are learnt from."""
MAX_RECIPIENTS = 5000
KEPT = 2
"""Scored moments that are kept in memory."""
SIGNS = 4
MOST_MIX = 5
LEAST_SHARE = 0.1
PAYING_MONTHS = 3 / 12
"""Of a year, the time for which a discount is given."""
STALE = timedelta(days=3)
"""Without a transfer for so long, the data end there."""
_READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)
_METHOD = (
    "two-sided test of two proportions, normal approximation without continuity correction (Fleiss, Levin "
    "and Paik 2003, 4.14), significance 5 %, power 80 %"
)

Driver = Annotated[
    str, Field(max_length=200, description="the segment's reason, as score_customers names it")
]
AsOf = Annotated[str, Field(description="ISO time to look from; now if empty")]
OfferId = Annotated[str, Field(max_length=60, description="id of an offer of the catalogue")]
T = TypeVar("T")


class _Desk:
    """The warehouse, the catalogue, and the moments that were scored last."""

    def __init__(self, options: Options, config: Config, base: Path) -> None:
        self.options = options
        self.warehouse = Warehouse(config.warehouse, base)
        self._given = config.warehouse.tables
        self._scored: dict[datetime, Scored] = {}
        self._notes: dict[datetime, list[str]] = {}
        self._lock = asyncio.Lock()

    async def scored(self, at: datetime) -> tuple[Scored, list[str]]:
        """The customers of a moment, scored, and what there is to say about the data.

        Raises:
            WarehouseError: the tables can't be read.
            TooLittle: nothing can be learnt from them.
        """
        async with self._lock:
            if at not in self._scored:
                scored, notes = await self._score(at)
                for old in list(self._scored)[: 1 - KEPT]:
                    del self._scored[old], self._notes[old]
                self._scored[at], self._notes[at] = scored, notes
            return self._scored[at], self._notes[at]

    async def off_limits(self, at: datetime) -> dict[str, str]:
        """The customers who may not be written to, with the reason."""
        contact = self.options.limits.contact
        found: dict[str, str] = await self._read(
            lambda history: history.off_limits(at, contact.within, contact.most)
        )
        return found

    async def last_contacts(self) -> dict[str, datetime]:
        """When customers were written to last."""
        found: dict[str, datetime] = await self._read(lambda history: history.last_contacts())
        return found

    async def _score(self, asked: datetime) -> tuple[Scored, list[str]]:
        from flows.churn.analysis import TooLittle, score

        extent: Extent = await self._read(lambda history: history.extent(asked))
        at, notes = _looked_from(extent, asked)
        moments = _moments(extent, at, self.options)
        if len(moments) < 2:
            raise TooLittle(_too_short(extent, at, self.options))
        now: Snapshot = await self._read(_of(at, False, MAX_SCORED, extent.customers))
        past = [await self._read(_of(each, True, MAX_TRAINED, extent.customers)) for each in moments]
        if now.every > 1:
            notes.append(
                f"of {extent.customers:,} customers one in {now.every} was scored, and counts for all"
            )
        found = await anyio.to_thread.run_sync(partial(score, now, past, self.options.lift))
        return found, notes

    async def _read(self, work: Any) -> Any:
        from flows.churn.history import History

        options, tables = self.options, self._tables()

        def read(reader: Any) -> Any:
            return work(History(reader, tables, options.look_back, options.horizon, options.margin))

        return await self.warehouse.read(read)

    def _tables(self) -> Tables:
        from flows.churn.history import Tables

        found: dict[str, Any] = {
            name.removeprefix("churn_"): model.model_validate(given.model_dump(exclude_unset=True))
            for name, model in TABLES.items()
            if (given := self._given.get(name))
        }
        missing = [name for name in ("customers", "transfers") if name not in found]
        if missing:
            raise WarehouseError(
                f"the config has no warehouse.tables.churn_{missing[0]}; map your {missing[0]} there"
            )
        return Tables(**found)


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the config's warehouse.

    Args:
        options: how risk is learnt, and the catalogue.
        config: the whole config; `warehouse` is read.
        base: the config file's directory.

    Raises:
        WarehouseError: `warehouse.url` is no URL of a supported database.
    """
    desk = _Desk(options, config, base)
    server = MCPServer("churn-mcp", instructions="Tells who is at risk of leaving, and why. Read-only.")

    @server.tool(annotations=_READ_ONLY)
    async def score_customers(driver: Driver = "", as_of: AsOf = "") -> Risks:
        """Learns from the company's own history who leaves, judges that on a time it has not seen, scores the
        customers of now, and groups those at risk by their strongest reason, with the value at risk.
        """
        from flows.churn.analysis import TooLittle

        try:
            at = _moment(as_of)
            try:
                scored, notes = await desk.scored(at)
            except TooLittle as error:
                return Risks(as_of=at, customers=0, horizon_days=_horizon(options), problem=str(error))
            barred = await desk.off_limits(at)
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"score_customers(as_of={as_of!r}): {error}") from None
        return _risks(desk.options, at, scored, notes, barred, driver)

    @server.tool(annotations=_READ_ONLY)
    async def profile_segment(driver: Driver, as_of: AsOf = "") -> Profile:
        """What sets a segment's customers apart, and whether customers like them did leave in the past."""
        scored, segment, _ = await _segment(desk, "profile_segment", driver, as_of)
        return await anyio.to_thread.run_sync(partial(_profile, scored, segment))

    @server.tool(annotations=_READ_ONLY)
    async def list_offers(driver: Driver, as_of: AsOf = "") -> Offers:
        """The catalogue's offers for a reason: what each costs and keeps, and whether it is allowed."""
        scored, segment, barred = await _segment(desk, "list_offers", driver, as_of)
        return _offers(desk.options, scored, segment, barred)

    @server.tool(annotations=_READ_ONLY)
    async def plan_experiment(driver: Driver, offer: OfferId, as_of: AsOf = "") -> Experiment:
        """An A/B design for an offer to a segment: control group, customers needed, what can be seen."""
        scored, segment, barred = await _segment(desk, "plan_experiment", driver, as_of)
        return _experiment(desk.options, scored, segment, barred, _offer(desk.options, offer))

    @server.tool(annotations=_READ_ONLY)
    async def list_recipients(
        driver: Driver,
        offer: OfferId,
        control_share: Annotated[float, Field(ge=0, le=0.9, description="of plan_experiment")] = 0.5,
        as_of: AsOf = "",
    ) -> Recipients:
        """Who of a segment would be sent an offer now: opt-outs, those contacted lately and the control group
        are left out.
        """
        scored, segment, barred = await _segment(desk, "list_recipients", driver, as_of)
        try:
            last = await desk.last_contacts()
        except WarehouseError as error:
            raise ToolError(f"list_recipients(driver={driver!r}): {error}") from None
        return _recipients(scored, segment, barred, last, _offer(desk.options, offer), control_share)

    return server


async def _segment(
    desk: _Desk, tool: str, driver: str, as_of: str
) -> tuple[Scored, Segment, Mapping[str, str]]:
    """The segment of a reason, and who may not be written to.

    Raises:
        ToolError: there is no such segment, or the tables can't be read.
    """
    from flows.churn.analysis import TooLittle

    try:
        at = _moment(as_of)
        scored, _ = await desk.scored(at)
        barred = await desk.off_limits(at)
    except (WarehouseError, TooLittle, ValueError) as error:
        raise ToolError(f"{tool}(driver={driver!r}, as_of={as_of!r}): {error}") from None
    found = next((each for each in scored.segments if each.driver == driver), None)
    if found is None:
        there = ", ".join(each.driver for each in scored.segments) or "none"
        raise ToolError(f"{tool}(driver={driver!r}): nobody is at risk for that; the reasons are: {there}")
    return scored, found, barred


def _risks(
    options: Options,
    asked: datetime,
    scored: Scored,
    notes: Sequence[str],
    barred: Mapping[str, str],
    driver: str,
) -> Risks:
    segments = [each for each in scored.segments if driver in ("", each.driver)]
    every = scored.snapshot.every
    facts = [_facts(options, scored, each, barred) for each in segments]
    return Risks(
        as_of=asked,
        customers=len(scored.risk) * every,
        at_risk=scored.at_risk * every,
        usual_risk=round(scored.usual, 4),
        horizon_days=_horizon(options),
        segments=facts,
        model=_model(scored),
        left_out=[
            LeftOut.model_validate({"column": each.column, "role": each.role.value, "reason": each.reason})
            for each in scored.excluded
        ],
        picture=picture.drivers(
            [(each.driver, each.customers, each.value_at_risk, each.avoidable_value) for each in facts]
        ),
        warnings=[*notes, *_warnings(scored)],
        note=f"nobody is at risk for {driver!r}" if driver and not facts else "",
    )


def _facts(options: Options, scored: Scored, segment: Segment, barred: Mapping[str, str]) -> SegmentFacts:
    every = scored.snapshot.every
    ids = [scored.snapshot.ids[place] for place in segment.members]
    riskiest = sorted(segment.members, key=lambda place: -scored.risk[place])[:3]
    return SegmentFacts(
        driver=segment.driver,
        customers=len(ids) * every,
        contactable=sum(id not in barred for id in ids) * every,
        risk=round(segment.risk, 4),
        expected_leavers=round(segment.expected, 1),
        value_at_risk=round(segment.value, 2),
        avoidable_value=round(segment.avoidable, 2),
        examples=[scored.snapshot.ids[place] for place in riskiest],
        signs=[_sign(each) for each in _differences(scored, segment)[:SIGNS]],
        offers=sum(segment.driver in offer.drivers for offer in options.offers),
    )


def _model(scored: Scored) -> Model:
    judged = scored.judged
    return Model(
        trained_on=scored.trained,
        trained_leavers=scored.trained_leavers,
        tested_on=judged.customers,
        tested_leavers=judged.leavers,
        auc=_interval(judged.auc),
        precision_top_tenth=_interval(judged.top_precision),
        calibration_error=round(judged.calibration_error, 4),
        expected_leavers=round(judged.expected, 1),
        telling=judged.telling,
        drifted={name: round(value, 3) for name, value in scored.drifted.items()},
    )


def _warnings(scored: Scored) -> list[str]:
    judged = scored.judged
    found = [
        f"the column {each.column} was left out: {each.reason}"
        for each in scored.excluded
        if each.role.value in ("protected", "leaking")
    ]
    if scored.drifted:
        told = ", ".join(f"{name} ({value:.2f})" for name, value in scored.drifted.items())
        found.append(f"no longer as in the time learnt from: {told}; take the scores with care")
    if not judged.telling:
        found.append(
            "on the newest known time, those it held at risk did not leave clearly more often than the "
            "others; nothing is acted on"
        )
    elif _miscounted(judged):
        found.append(
            f"on the newest known time it expected {judged.expected:.0f} leavers and {judged.leavers} left"
        )
    return found


def _miscounted(judged: Judged) -> bool:
    """Whether the leavers of the time tested on were more than three standard deviations off."""
    share = judged.expected / max(1, judged.customers)
    spread = sqrt(judged.customers * share * (1 - share))
    return abs(judged.leavers - judged.expected) > 3 * max(1.0, spread)


def _differences(scored: Scored, segment: Segment) -> list[Difference]:
    """The measures by which the segment differs most from all others, in spreads."""
    import numpy as np

    inside = np.zeros(len(scored.risk), dtype=bool)
    inside[segment.members] = True
    found = []
    for name, values in scored.snapshot.frame.numbers.items():
        known = ~np.isnan(values)
        own, others = values[inside & known], values[~inside & known]
        if not len(own) or not len(others):
            continue
        spread = float(values[known].std()) or 1.0
        one = Difference(
            measure=name, segment=round(float(own.mean()), 3), others=round(float(others.mean()), 3)
        )
        found.append((abs(float(own.mean() - others.mean())) / spread, one))
    own_first = sorted(found, key=lambda each: (-_is_own(each[1].measure, segment.driver), -each[0]))
    return [each for _, each in own_first]


def _is_own(measure: str, driver: str) -> bool:
    from flows.churn.analysis import DRIVERS

    own: str = DRIVERS.get(measure, measure)
    return own == driver


def _sign(each: Difference) -> str:
    return f"{each.measure.replace('_', ' ')} {each.segment:,.2f} against {each.others:,.2f}"


def _profile(scored: Scored, segment: Segment) -> Profile:
    from flows.churn.quality import wilson

    customers, expected, left = scored.judged.by_driver.get(segment.driver, (0, 0.0, 0))
    others, others_left = scored.judged.others
    share, usual = wilson(left, customers), wilson(others_left, others)
    ranked = sorted(segment.pushes.items(), key=lambda each: -each[1])
    strongest = {name: round(value, 3) for name, value in ranked[:6]}
    return Profile(
        driver=segment.driver,
        customers=len(segment.members) * scored.snapshot.every,
        risk=round(segment.risk, 4),
        usual_risk=round(scored.usual, 4),
        value_at_risk=round(segment.value, 2),
        avoidable_value=round(segment.avoidable, 2),
        differences=_differences(scored, segment)[:6],
        mix=_mix(scored, segment),
        past_customers=customers,
        past_expected=round(expected, 1),
        past_left=left,
        past_share=_interval(share),
        past_others_share=_interval(usual),
        confirmed=customers > 0 and share.low > usual.high,
        also=strongest,
        picture=picture.pushes(segment.driver, strongest),
        note=""
        if customers
        else "nobody was at risk for this reason in the newest time whose outcome is known",
    )


def _mix(scored: Scored, segment: Segment) -> list[Mix]:
    """Values of attributes that are at least half as frequent again in the segment as elsewhere."""
    import numpy as np

    inside = np.zeros(len(scored.risk), dtype=bool)
    inside[segment.members] = True
    found = []
    for name, values in scored.snapshot.frame.categories.items():
        own, others = Counter(values[inside]), Counter(values[~inside])
        for value, count in own.most_common(20):
            share, usual = count / inside.sum(), others[value] / max(1, (~inside).sum())
            if value and share >= LEAST_SHARE and count >= 5 and share >= 1.5 * usual:
                found.append(
                    Mix(
                        attribute=name, value=str(value)[:60], segment=round(share, 3), others=round(usual, 3)
                    )
                )
    return sorted(found, key=lambda each: each.others - each.segment)[:MOST_MIX]


def _offers(options: Options, scored: Scored, segment: Segment, barred: Mapping[str, str]) -> Offers:
    ids = [scored.snapshot.ids[place] for place in segment.members]
    open_to = [place for place in segment.members if scored.snapshot.ids[place] not in barred]
    found = [_priced(scored, open_to, offer) for offer in options.offers if segment.driver in offer.drivers]
    note = "" if found else f"the catalogue has no offer for {segment.driver}"
    return Offers(
        driver=segment.driver,
        customers=len(ids),
        contactable=len(open_to),
        off_limits=dict(Counter(barred[id] for id in ids if id in barred)),
        offers=sorted(found, key=lambda each: -each.net_value),
        note=note,
    )


def _priced(scored: Scored, open_to: Sequence[int], offer: Offer) -> OfferFacts:
    value = scored.snapshot.value[list(open_to)]
    risk = scored.risk[list(open_to)]
    costs = offer.cost + value * offer.discount / 100 * PAYING_MONTHS
    gain = float((value * risk * offer.effect - costs).sum())
    allowed, reason = bool(len(open_to)) and gain > 0, ""
    if not len(open_to):
        reason = "nobody of the segment may be written to now"
    elif gain <= 0:
        reason = "it costs more than it keeps, even if it works as assumed"
    return OfferFacts(
        id=offer.id,
        text=offer.text,
        discount=offer.discount,
        cost_per_customer=round(float(costs.mean()), 2) if len(open_to) else offer.cost,
        assumed_effect=offer.effect,
        kept=round(float((risk * offer.effect).sum()), 1),
        net_value=round(gain, 2),
        allowed=allowed,
        reason=reason,
    )


def _experiment(
    options: Options, scored: Scored, segment: Segment, barred: Mapping[str, str], offer: Offer
) -> Experiment:
    from flows.churn.analysis import sample_size, smallest_effect

    ids = [scored.snapshot.ids[place] for place in segment.members]
    open_to = [place for place, id in zip(segment.members, ids, strict=True) if id not in barred]
    usual = float(scored.risk[open_to].mean()) if open_to else segment.risk
    usual = min(max(usual, 1e-4), 1 - 1e-4)
    changed = usual * (1 - offer.effect)
    needed = sample_size(usual, changed)
    share = min(0.5, needed / len(open_to)) if open_to else 0.5
    kept_out = round(share * len(open_to))
    smaller = min(kept_out, len(open_to) - kept_out)
    return Experiment(
        driver=segment.driver,
        offer=offer.id,
        contactable=len(open_to),
        control_share=round(share, 3),
        control=kept_out,
        treatment=len(open_to) - kept_out,
        usual_share=round(usual, 4),
        assumed_share=round(changed, 4),
        needed_each=needed,
        enough=smaller >= needed,
        smallest_effect=_rounded(smallest_effect(usual, smaller)),
        days=_horizon(options),
        method=_METHOD,
        note="" if smaller >= needed else _pool(needed, smaller),
    )


def _pool(needed: int, smaller: int) -> str:
    if not smaller:
        return "nobody can be in one of the groups"
    runs = -(-needed // smaller)
    return f"too small to see the assumed effect at once; pool {runs} runs of this size before judging it"


def _recipients(
    scored: Scored,
    segment: Segment,
    barred: Mapping[str, str],
    last: Mapping[str, datetime],
    offer: Offer,
    share: float,
) -> Recipients:
    from flows.churn.analysis import control

    found = [
        (float(scored.snapshot.value[place] * scored.risk[place]), scored.snapshot.ids[place], place)
        for place in segment.members
        if scored.snapshot.ids[place] not in barred
        and not control(scored.snapshot.ids[place], f"{segment.driver}/{offer.id}", share)
    ]
    found.sort(key=lambda each: (-each[0], each[1]))
    cut = len(found) - MAX_RECIPIENTS
    return Recipients(
        driver=segment.driver,
        offer=offer.id,
        recipients=[
            Recipient(
                customer_id=id,
                value=round(float(scored.snapshot.value[place]), 2),
                last_contact=f"{last[id]:%Y-%m-%dT%H:%M:%S}" if id in last else "never",
            )
            for _, id, place in found[:MAX_RECIPIENTS]
        ],
        note=f"{cut} more with less at stake were left out" if cut > 0 else "",
    )


def _offer(options: Options, id: str) -> Offer:
    found = next((each for each in options.offers if each.id == id), None)
    if found is None:
        known = [each.id for each in options.offers]
        close = get_close_matches(id, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known) or 'none'}"
        raise ToolError(f"the catalogue has no offer {id!r}{hint}")
    return found


def _of(at: datetime, outcome: bool, most: int, customers: int) -> Any:
    return lambda history: history.snapshot(at, outcome, most, customers)


def _looked_from(extent: Extent, asked: datetime) -> tuple[datetime, list[str]]:
    """The moment to look from: that of the newest transfer, where it is long past; and what is odd."""
    notes = []
    if extent.doubles:
        notes.append(f"{extent.doubles} rows repeat a customer; each row was taken as a customer of its own")
    if extent.last is None or asked - extent.last < STALE:
        return asked, notes
    notes.append(
        f"the newest transfer is from {extent.last:%Y-%m-%d %H:%M} UTC; the customers of then were scored"
    )
    return extent.last, notes


def _moments(extent: Extent, at: datetime, options: Options) -> list[datetime]:
    """Earlier moments whose outcome is known, and with enough time before them; the newest first."""
    found = [at - options.horizon * place for place in range(1, MAX_MOMENTS + 1)]
    return [each for each in found if extent.first and each - options.look_back >= extent.first]


def _too_short(extent: Extent, at: datetime, options: Options) -> str:
    needed = (options.look_back + 2 * options.horizon).total_seconds() / 86400
    if extent.first is None:
        return f"there is no transfer before {at:%Y-%m-%d %H:%M} UTC"
    days = (at - extent.first).total_seconds() / 86400
    return (
        f"the transfers go back {days:.0f} days; {needed:.0f} are needed (look_back and twice the horizon), "
        f"to learn from one time and to judge on another"
    )


def _moment(text: str) -> datetime:
    if not text.strip():
        return datetime.now(UTC).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"as_of={text!r} is no ISO time such as 2026-02-17T08:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1980 <= moment.year <= 9000:
        raise ValueError(f"as_of={text!r} lies outside the years 1980 to 9000")
    return moment.astimezone(UTC).replace(microsecond=0)


def _horizon(options: Options) -> float:
    return options.horizon.total_seconds() / 86400


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=round(estimate.value, 4), low=round(estimate.low, 4), high=round(estimate.high, 4))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


if __name__ == "__main__":
    serve("churn-mcp", Options, build)
