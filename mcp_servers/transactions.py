"""`transactions-mcp`: bounded views of the graph of transfers, whatever database it is in. Read-only.

Every view is computed in SQL, reads no more than it was told to, and says what it left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from blocks.config import Config, Table
from blocks.warehouse import Warehouse, WarehouseError
from mcp_servers.graph import Graph, Period, Tables
from mcp_servers.serve import serve
from mcp_servers.transfers import (
    AccountsTable,
    AlertsTable,
    Direction,
    Neighbour,
    Party,
    Side,
    Transfer,
    TransfersTable,
)

TABLES = {"transfers": TransfersTable, "accounts": AccountsTable, "account_alerts": AlertsTable}
"""The strict form of each table under `warehouse.tables` that this server reads."""

MOST_LISTED = 500
MOST_IDS = 200
MOST_BUCKETS = 60
MOST_HOPS = 6
BREADTH = 100
"""Accounts of one step of a path search."""
STEP_ROWS = 4000
"""Transfers that one step of a path search looks at."""
MOST_PATHS = 20

_READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)
T = TypeVar("T")
TableT = TypeVar("TableT", bound=Table)


class Options(BaseModel):
    """This server has no options of its own: it reads `warehouse`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Account(BaseModel):
    """An account: whose it is, and all that ever came in and went out."""

    party: Party
    incoming: Side
    outgoing: Side
    currency: str
    note: str = ""


class Neighbours(BaseModel):
    """Counterparties, the largest sums first."""

    subject: str
    neighbours: list[Neighbour]
    in_all: dict[str, int]
    """Direction → how many counterparties there are."""
    currency: str
    note: str = ""
    """What was left out."""


class Flows(BaseModel):
    """Transfers in the order of time."""

    subject: str
    transfers: list[Transfer]
    currency: str
    note: str = ""


class Way(BaseModel):
    """Money's way in the order of time: each step not before the one ahead of it."""

    accounts: list[str]
    transfers: list[Transfer]


class Paths(BaseModel):
    """Ways from one account to another, the shortest first."""

    source: str
    target: str
    paths: list[Way]
    looked_at: int
    """Transfers that were looked at."""
    note: str = ""


class Bucket(BaseModel):
    """What came in and went out in a stretch of time."""

    since: datetime
    count_in: int
    total_in: float
    count_out: int
    total_out: float


class TimeProfile(BaseModel):
    """An account's activity over time."""

    subject: str
    buckets: list[Bucket]
    days: float
    """Of one bucket."""
    currency: str
    note: str = ""


class Found(BaseModel):
    """Transfers by their ids."""

    transfers: list[Transfer]
    missing: list[str]
    """Ids that no transfer has."""
    note: str = ""


AccountId = Annotated[str, Field(min_length=1, max_length=200, description="id of the account")]
Since = Annotated[str, Field(description="ISO time from which on; all if empty")]
Until = Annotated[str, Field(description="ISO time up to which; now if empty")]
Limit = Annotated[int, Field(ge=1, le=MOST_LISTED)]


class Desk:
    """The warehouse with the mapped tables."""

    def __init__(self, config: Config, base: Path) -> None:
        """
        Raises:
            WarehouseError: `warehouse.url` is no URL of a supported database.
            pydantic.ValidationError: a table is not mapped as it must be.
        """
        self._warehouse = Warehouse(config.warehouse, base)
        given = config.warehouse.tables
        self._transfers = _table(given.get("transfers"), TransfersTable)
        self._accounts = _table(given.get("accounts"), AccountsTable)
        self._alerts = _table(given.get("account_alerts"), AlertsTable)

    async def read(self, work: Callable[[Graph], T]) -> T:
        """Runs `work` on the graph, in a read-only transaction of its own.

        Raises:
            WarehouseError: the warehouse can't be read, or transfers are not mapped.
        """
        if self._transfers is None:
            raise WarehouseError("the config has no warehouse.tables.transfers; map your transfers there")
        tables = Tables(self._transfers, self._accounts, self._alerts)
        return await self._warehouse.read(lambda reader: work(Graph(reader, tables)))


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the config's warehouse.

    Args:
        options: none so far.
        config: the whole config; `warehouse` is read.
        base: the config file's directory.

    Raises:
        WarehouseError: `warehouse.url` is no URL of a supported database.
        pydantic.ValidationError: a table is not mapped as it must be.
    """
    desk = Desk(config, base)
    server = MCPServer("transactions-mcp", instructions="Shows who sent money to whom. Read-only.")

    async def answered(asked: str, work: Callable[[Graph], T]) -> T:
        try:
            return await desk.read(work)
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"{asked}: {error}") from None

    @server.tool(annotations=_READ_ONLY)
    async def get_account(account: AccountId) -> Account:
        """An account: customer, country, when it was opened, and what ever came in and went out."""
        return await answered(f"get_account({account!r})", lambda graph: _account(graph, account))

    @server.tool(annotations=_READ_ONLY)
    async def get_neighbours(
        account: AccountId,
        direction: Annotated[str, Field(description="in, out, or both if empty")] = "",
        since: Since = "",
        until: Until = "",
        limit: Limit = 50,
    ) -> Neighbours:
        """An account's counterparties with count, sum, first and last transfer, the largest sums first."""
        asked = f"get_neighbours({account!r}, since={since!r}, until={until!r})"

        def work(graph: Graph) -> Neighbours:
            return _neighbours(graph, account, _directions(direction), _period(since, until), limit)

        return await answered(asked, work)

    @server.tool(annotations=_READ_ONLY)
    async def get_flows(
        account: AccountId,
        direction: Annotated[str, Field(description="in, out, or both if empty")] = "",
        since: Since = "",
        until: Until = "",
        least: Annotated[float, Field(ge=0, description="only transfers of so much and more")] = 0.0,
        limit: Limit = 100,
    ) -> Flows:
        """An account's single transfers, the newest `limit` of them in the order of time."""
        asked = f"get_flows({account!r}, since={since!r}, until={until!r})"

        def work(graph: Graph) -> Flows:
            return _flows(graph, account, _directions(direction), _period(since, until), least, limit)

        return await answered(asked, work)

    @server.tool(annotations=_READ_ONLY)
    async def find_paths(
        source: Annotated[str, Field(min_length=1, max_length=200, description="account the money leaves")],
        target: Annotated[
            str, Field(max_length=200, description="account it reaches; source itself if empty")
        ] = "",
        since: Since = "",
        until: Until = "",
        least: Annotated[float, Field(ge=0, description="only transfers of so much and more")] = 0.0,
        hops: Annotated[int, Field(ge=1, le=MOST_HOPS)] = 4,
    ) -> Paths:
        """Ways that money may have taken to another account, or back to the same, in the order of time."""
        asked = f"find_paths({source!r}, {target!r}, since={since!r}, until={until!r})"

        def work(graph: Graph) -> Paths:
            return _paths(graph, source, target or source, _period(since, until), least, hops)

        return await answered(asked, work)

    @server.tool(annotations=_READ_ONLY)
    async def get_time_profile(
        account: AccountId,
        until: Until = "",
        days: Annotated[float, Field(gt=0, le=366, description="length of a bucket")] = 7.0,
        buckets: Annotated[int, Field(ge=1, le=MOST_BUCKETS)] = 26,
    ) -> TimeProfile:
        """What came in and went out week by week, or in other buckets."""
        asked = f"get_time_profile({account!r}, until={until!r})"
        return await answered(
            asked, lambda graph: _time_profile(graph, account, _moment(until), days, buckets)
        )

    @server.tool(annotations=_READ_ONLY)
    async def get_transactions(
        ids: Annotated[list[str], Field(max_length=MOST_IDS, description="ids of transfers")],
    ) -> Found:
        """The transfers of these ids as they stand in the warehouse, and which ids there are none of."""
        return await answered(f"get_transactions({len(ids)} ids)", lambda graph: _found(graph, ids))

    return server


def _account(graph: Graph, account: str) -> Account:
    party = graph.parties([account]).get(account)
    sides: dict[Direction, Side] = {
        direction: graph.sides([account], direction, Period()).get(account, Side())
        for direction in ("in", "out")
    }
    if party is None and not any(side.count for side in sides.values()):
        raise WarehouseError("there is no such account: no transfer and no registration names it")
    unpriced = sum(side.unpriced for side in sides.values())
    notes = [f"{unpriced} transfers are in a currency without a rate and add to no sum"] if unpriced else []
    notes += ["it is not in the table of accounts"] if party is None else []
    return Account(
        party=party or Party(id=account, known=False),
        incoming=sides["in"],
        outgoing=sides["out"],
        currency=graph.currency,
        note="; ".join(notes),
    )


def _neighbours(
    graph: Graph, account: str, directions: Sequence[Direction], period: Period, limit: int
) -> Neighbours:
    found: list[Neighbour] = []
    counts: dict[str, int] = {}
    notes = []
    for direction in directions:
        rows, all_ = graph.neighbours(account, direction, period, limit)
        found += rows
        counts[direction] = all_
        if all_ > len(rows):
            notes.append(f"{direction}: the {len(rows)} with the largest sums of {all_}")
    return Neighbours(
        subject=account,
        neighbours=found,
        in_all=counts,
        currency=graph.currency,
        note="; ".join(notes) if found else _nothing(graph, account),
    )


def _flows(
    graph: Graph, account: str, directions: Sequence[Direction], period: Period, least: float, limit: int
) -> Flows:
    found: dict[tuple[str, datetime, str, str, float], Transfer] = {}
    cut = False
    for direction in directions:
        rows, more = graph.moved(direction, [account], period, limit, least)
        cut = cut or more
        found |= {(each.id, each.time, each.sender, each.receiver, each.amount): each for each in rows}
    ordered = sorted(found.values(), key=lambda one: (one.time, one.id))
    cut = cut or len(ordered) > limit
    note = f"the newest {limit}; there are more, ask with an earlier until or a larger least" if cut else ""
    return Flows(
        subject=account,
        transfers=ordered[-limit:],
        currency=graph.currency,
        note=note if ordered else _nothing(graph, account),
    )


def _paths(graph: Graph, source: str, target: str, period: Period, least: float, hops: int) -> Paths:
    """Breadth first, each account reached as early as money could; a bounded number of accounts a step."""
    reached: dict[str, datetime] = {}
    steps: dict[str, list[Transfer]] = {}
    edge, notes, looked = [source], [], 0
    for _ in range(hops):
        rows, cut = graph.moved("out", edge, period, STEP_ROWS, least, newest=False)
        looked += len(rows)
        if cut:
            notes.append(f"of one step only the first {STEP_ROWS} transfers were looked at")
        following: dict[str, float] = {}
        for each in rows:
            start = None if each.sender == source else reached.get(each.sender)
            if each.sender == each.receiver or (start and each.time < start):
                continue
            steps.setdefault(each.sender, []).append(each)
            if each.receiver not in (source, target) and each.receiver not in reached:
                following[each.receiver] = following.get(each.receiver, 0.0) + (each.value or 0.0)
                reached[each.receiver] = each.time
        edge = sorted(following, key=lambda one: (-following[one], one))[:BREADTH]
        if len(following) > BREADTH:
            notes.append(
                f"of {len(following)} accounts of one step only {BREADTH} with the largest sums were followed"
            )
        if not edge:
            break
    paths = _walks(steps, source, target, hops)
    nothing = "" if looked else _nothing(graph, source)
    return Paths(
        source=source,
        target=target,
        paths=paths,
        looked_at=looked,
        note="; ".join(dict.fromkeys([*notes, *([nothing] if nothing else [])])),
    )


def _walks(steps: dict[str, list[Transfer]], source: str, target: str, hops: int) -> list[Way]:
    """Ways in the order of time that visit no account twice, the shortest first."""
    found: list[Way] = []
    waiting: deque[list[Transfer]] = deque([each] for each in steps.get(source, ()))
    tried = 0
    while waiting and len(found) < MOST_PATHS and tried < STEP_ROWS * MOST_HOPS:
        path = waiting.popleft()
        tried += 1
        last = path[-1]
        if last.receiver == target:
            accounts = [source, *(each.receiver for each in path)]
            found.append(Way(accounts=accounts, transfers=path))
            continue
        if len(path) >= hops:
            continue
        visited = {source, *(each.receiver for each in path)} - {target}
        waiting.extend(
            [*path, onward]
            for onward in steps.get(last.receiver, ())
            if onward.time >= last.time and onward.receiver not in visited
        )
    return found


def _time_profile(graph: Graph, account: str, until: datetime, days: float, buckets: int) -> TimeProfile:
    bounds = [until - timedelta(days=days) * place for place in range(buckets, -1, -1)]
    rows = graph.buckets(account, bounds)
    found = [Bucket(since=since, **_counts(row)) for since, row in zip(bounds, rows, strict=False)]
    empty = not any(each.count_in or each.count_out for each in found)
    return TimeProfile(
        subject=account,
        buckets=found,
        days=days,
        currency=graph.currency,
        note=_nothing(graph, account) if empty else "",
    )


def _counts(row: dict[str, float]) -> dict[str, Any]:
    return {name: int(value) if name.startswith("count") else value for name, value in row.items()}


def _found(graph: Graph, ids: Sequence[str]) -> Found:
    transfers = graph.transfers(ids)
    known = {each.id for each in transfers}
    twice = len(transfers) - len(known)
    return Found(
        transfers=transfers,
        missing=[id for id in dict.fromkeys(ids) if id not in known],
        note=f"{twice} ids stand for more than one transfer" if twice else "",
    )


def _nothing(graph: Graph, account: str) -> str:
    """Why there is nothing to show."""
    try:
        _account(graph, account)
    except WarehouseError as error:
        return str(error)
    return "the account has no such transfer in that time"


def _directions(text: str) -> tuple[Direction, ...]:
    both: tuple[Direction, Direction] = ("in", "out")
    if text not in ("", *both):
        raise ValueError(f"direction={text[:20]!r}: there are in and out, or nothing for both")
    return tuple(each for each in both if text in ("", each))


def _period(since: str, until: str) -> Period:
    start = moment("since", since) if since.strip() else None
    end = _moment(until)
    if start and start >= end:
        raise ValueError(f"since={since!r} is not before {end:%Y-%m-%d %H:%M} UTC")
    return Period(start, end)


def _moment(until: str) -> datetime:
    return moment("until", until) if until.strip() else datetime.now(UTC)


def moment(name: Literal["since", "until", "as_of"], text: str) -> datetime:
    """An ISO time in UTC, in whole seconds; ValueError that names the argument."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{name}={text!r} is no ISO time such as 2026-02-17T08:00:00Z") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not 1980 <= found.year <= 9000:
        raise ValueError(f"{name}={text!r} lies outside the years 1980 to 9000")
    return found.astimezone(UTC).replace(microsecond=0)


def _table(given: Table | None, model: type[TableT]) -> TableT | None:
    return model.model_validate(given.model_dump(exclude_unset=True)) if given else None


if __name__ == "__main__":
    serve("transactions-mcp", Options, build)
