"""What is asked of the platform's database, in the words of SQLite and of PostgreSQL.

All of it reads the view `skill_executions`. Windows end where the dashboard's time range ends. A dashboard's
variable reaches SQL only as a quoted literal.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

UID = "aspora-database"
STARTED = "started"
"""The column of times."""
DAY = "24 hours"
MONTH = "30 days"


@dataclass(frozen=True)
class Dialect:
    """A database's own words.

    Attributes:
        plugin: Grafana's data source type.
        moment: a time of Unix milliseconds.
        ago: some time before one.
        seconds: a time as a table shows it.
        calls: the tool calls of an execution `e`, one a row, as `c.value`.
    """

    plugin: str
    moment: str
    ago: str
    seconds: str
    calls: str


SQLITE = Dialect(
    plugin="frser-sqlite-datasource",
    moment="datetime({milliseconds} / 1000, 'unixepoch')",
    ago="datetime({milliseconds} / 1000, 'unixepoch', '-{window}')",
    seconds="CAST(strftime('%s', {column}) AS INTEGER)",
    calls="json_each(e.tool_calls) AS c",
)
POSTGRESQL = Dialect(
    plugin="grafana-postgresql-datasource",
    moment="to_timestamp({milliseconds} / 1000.0)",
    ago="to_timestamp({milliseconds} / 1000.0) - INTERVAL '{window}'",
    seconds="{column}",
    calls="jsonb_array_elements(e.tool_calls) AS c(value)",
)


@dataclass(frozen=True)
class _Query(variants.Dataquery):
    dialect: Dialect
    text: str
    ref: str

    def to_json(self) -> dict[str, object]:
        common: dict[str, object] = {"refId": self.ref, "datasource": source(self.dialect)}
        if self.dialect is POSTGRESQL:
            return common | {"rawSql": self.text, "format": "table", "rawQuery": True, "editorMode": "code"}
        texts = {"queryText": self.text, "rawQueryText": self.text}
        return common | texts | {"queryType": "table", "timeColumns": [STARTED]}


@dataclass(frozen=True)
class Query(builder.Builder[variants.Dataquery]):
    """A panel's question to the platform's database."""

    dialect: Dialect
    text: str
    ref: str = "A"

    def build(self) -> variants.Dataquery:
        """The target."""
        return _Query(self.dialect, self.text, self.ref)


def source(dialect: Dialect) -> DataSourceRef:
    """The data source."""
    return DataSourceRef(type_val=dialect.plugin, uid=UID)


def satisfaction(dialect: Dialect) -> str:
    """By role: the share of the domain's executions that nobody corrected, as `8 specialist runs, …`."""
    return f"""SELECT skill_role || ': ' || SUM(CASE WHEN user_correction IS NULL THEN 1 ELSE 0 END)
    || ' of ' || COUNT(*) || ' not corrected' AS who,
  AVG(CASE WHEN user_correction IS NOT NULL THEN 0.0 ELSE 1.0 END) AS satisfaction
FROM skill_executions
WHERE domain = ${{domain:sqlstring}} AND {_within(dialect, DAY)}
GROUP BY skill_role ORDER BY skill_role"""


def executions(dialect: Dialect, window: str) -> str:
    """How many executions the skill had."""
    return f'SELECT COUNT(*) AS "last {window}" FROM skill_executions WHERE {_of_skill(dialect, window)}'


def success(dialect: Dialect) -> str:
    """The share of successes of the skill; what guardrails or people refused is left out."""
    return f"""SELECT 'corrected by users: ' || SUM(CASE WHEN outcome = 'user_corrected' THEN 1 ELSE 0 END)
    AS corrected,
  AVG(CASE WHEN outcome = 'success' THEN 1.0 ELSE 0.0 END) AS success_rate
FROM skill_executions
WHERE {_of_skill(dialect, DAY)} AND outcome NOT IN ('refused', 'rejected', 'expired')
HAVING COUNT(*) > 0"""


def tools(dialect: Dialect, only: int = 0) -> str:
    """The skill's tools: in which share of its executions each was called, how often, failed, how fast."""
    limit = f" LIMIT {only}" if only else ""
    numbers = (
        ""
        if only
        else ",\n  COUNT(*) AS calls,\n"
        + (
            "  SUM(CASE WHEN c.value ->> 'status' = 'error' THEN 1 ELSE 0 END) AS errors,\n"
            "  AVG(CAST(c.value ->> 'seconds' AS DOUBLE PRECISION)) AS seconds"
        )
    )
    return f"""SELECT c.value ->> 'tool' AS tool,
  COUNT(DISTINCT e.execution_id) * 1.0 / (
    SELECT COUNT(*) FROM skill_executions WHERE {_of_skill(dialect, MONTH)}) AS share{numbers}
FROM skill_executions e, {dialect.calls}
WHERE {_of_skill(dialect, MONTH)}
GROUP BY c.value ->> 'tool' ORDER BY share DESC, tool{limit}"""


def mistakes(dialect: Dialect) -> str:
    """What users said was right instead, the most frequent first."""
    cause = "COALESCE(user_correction ->> 'actual_root_cause', '(no root cause given)')"
    return f"""SELECT {cause} AS correction,
  COUNT(*) AS times, {_time(dialect, "MAX(timestamp)")} AS {STARTED}
FROM skill_executions
WHERE {_of_skill(dialect, MONTH)} AND user_correction IS NOT NULL
GROUP BY {cause}
ORDER BY times DESC, correction LIMIT 20"""


def recent(dialect: Dialect, where: str, columns: str) -> str:
    """The executions of the dashboard's time range, the newest first.

    Args:
        where: which ones.
        columns: what is told of each besides; `page` is the key of its detail page.
    """
    since = dialect.moment.format(milliseconds="${__from}")
    until = dialect.moment.format(milliseconds="${__to}")
    return f"""SELECT {_time(dialect, "timestamp")} AS {STARTED}, execution_id, {columns},
  COALESCE(user_correction ->> 'actual_root_cause', CASE WHEN user_correction IS NULL THEN '' ELSE 'yes' END)
    AS correction,
  LOWER(REPLACE(execution_id, ':', '-')) AS page
FROM skill_executions
WHERE {where} AND timestamp >= {since} AND timestamp <= {until}
ORDER BY timestamp DESC, execution_id LIMIT 50"""


def _of_skill(dialect: Dialect, window: str) -> str:
    return f"skill_name = ${{skill:sqlstring}} AND {_within(dialect, window)}"


def _within(dialect: Dialect, window: str) -> str:
    since = dialect.ago.format(milliseconds="${__to}", window=window)
    until = dialect.moment.format(milliseconds="${__to}")
    return f"timestamp > {since} AND timestamp <= {until}"


def _time(dialect: Dialect, column: str) -> str:
    return dialect.seconds.format(column=column)
