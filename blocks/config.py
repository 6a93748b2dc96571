"""`aspora.config.yaml` as typed, immutable objects. Unknown keys are refused.

`blocks.config_file.load` reads a file into these; `tasks.check` looks at what only the whole can show
(rules against skills, tools against servers).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from blocks.units import DailyBudget, Duration, RateLimit, parse_duration, parse_moment, parse_rate

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
"""A lower-case name with dashes, such as `ecm-triage`."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
"""A Python module path or an SQL name, schema included: letters, digits, underscores, dots."""

EnvName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
"""An environment variable."""

Cron = Annotated[str, Field(pattern=r"^[0-9*/,\-A-Za-z#?]+( [0-9*/,\-A-Za-z#?]+){4}$")]
"""Five cron fields: minute, hour, day of month, month, day of week."""


class Section(BaseModel):
    """A part of the config: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PlatformGuardrails(Section):
    """Limits over all domains together."""

    budget: DailyBudget = 50_000_000
    """Micro-dollars a UTC day, written `$50/day`."""
    rate_limit: RateLimit | None = None
    """Runs started in a time, such as `120/hour`; no limit if absent."""
    max_parallel_runs: int = Field(10, ge=1)
    """Runs under way at a time."""


Moment = Annotated[datetime, BeforeValidator(parse_moment)]
"""A moment in UTC, written `2026-12-01 22:00`."""


class Maintenance(Section):
    """A window in which triggers are kept but start nothing."""

    start: Moment
    """When it begins."""
    end: Moment
    """When it ends; later than `start`."""
    domains: list[Name] = []
    """All domains if empty."""
    reason: str = ""
    """Why; told to who asks in the window."""

    @model_validator(mode="after")
    def _start_before_end(self) -> Maintenance:
        if self.end <= self.start:
            raise ValueError("ends before it starts; write end later than start")
        return self


class Links(Section):
    """Where people reach the platform's pages from outside, if not at the addresses that it serves itself."""

    prefect: str = Field("", pattern=r"^(https?://\S+)?$")
    """Prefect's UI, such as `https://prefect.example.com`."""


class Corrections(Section):
    """How long what people corrected is followed."""

    expire_after: Duration = parse_duration("180d")
    """After so long without anybody saying it again, memory leaves a correction out."""


class Retention(Section):
    """How long the bulk of the record stays in the database."""

    journal: Duration | None = None
    """After so long, the steps of ended executions move to files in `.aspora/archive`, where pages still find
    them; they stay if absent."""

    @field_validator("journal")
    @classmethod
    def _bounded(cls, span: timedelta | None) -> timedelta | None:
        if span is not None and span < timedelta(days=7):
            raise ValueError("lies above 7d: reports look back so far")
        return span


class Platform(Section):
    """Settings of the whole platform."""

    timezone: Literal["UTC"] = "UTC"
    """Of schedules and days; only UTC."""
    provider: Literal["auto", "offline", "anthropic"] = "auto"
    """`auto` takes the Anthropic API when a key or a base URL is set, and the offline model otherwise."""
    guardrails: PlatformGuardrails = PlatformGuardrails()
    people: dict[Name, list[str]] = {}
    """Groups of people by name, as `approvers` refers to them."""
    operators: list[str] = []
    """Groups of `people`, or single names, that may turn kill switches from chat."""
    maintenance: list[Maintenance] = []
    retry_for: Duration = parse_duration("24h")
    """How long a trigger that can't start its run is tried again."""
    links: Links = Links()
    corrections: Corrections = Corrections()
    retention: Retention = Retention()


class Model(Section):
    """A language model, under the name that skills use for it."""

    id: str = Field(min_length=1)
    """The API's id."""
    max_tokens: int = Field(4096, ge=256)
    """Output tokens of one turn at most."""


class Table(Section):
    """A logical table's place in the warehouse. What a table needs besides is said by who reads it."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    table: Identifier
    """The physical table, schema included."""
    columns: dict[str, str]
    """Logical column → physical column."""


class Warehouse(Section):
    """Where business data is read from. Never written to."""

    url: str = "sqlite:///.aspora/warehouse.db"
    """SQLAlchemy URL; `ASPORA_WAREHOUSE_URL` wins."""
    statement_timeout: Duration = parse_duration("30s")
    """How long one query may take."""
    tables: dict[str, Table] = {}


class McpServer(Section):
    """An MCP server: a module run in memory, a command over stdio, or a URL over streamable HTTP.

    Keys beyond these are the module's own options, checked against its `Options`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    module: Identifier | None = None
    """A Python module with a server, run in memory."""
    command: list[str] | None = None
    """A program that speaks MCP over stdio, with its arguments."""
    url: str | None = None
    """Address of a server that speaks streamable HTTP."""
    token_env: str | None = None
    """The environment variable that holds the bearer token of `url`."""
    env: dict[str, str] = {}
    """Environment for `command`, besides Aspora's own."""
    timeout: Duration = parse_duration("30s")
    """How long one call may take."""

    @property
    def options(self) -> dict[str, Any]:
        """The module's own options."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _one_transport(self) -> McpServer:
        given = [key for key in ("module", "command", "url") if getattr(self, key)]
        if len(given) != 1:
            has = " and ".join(given) or "no transport"
            raise ValueError(f"has {has}; write exactly one of module, command, url")
        if not self.module and self.model_extra:
            raise ValueError(
                f"unknown key {', '.join(self.model_extra)}; options beyond "
                "command, url, token_env, env, timeout only work with module"
            )
        if self.token_env and not self.url:
            raise ValueError("token_env does nothing here; it only works with url")
        if self.env and not self.command:
            raise ValueError("env does nothing here; it only works with command")
        return self


class Occurrences(Section):
    """So many of a kind within a time."""

    count: int = Field(ge=2)
    """How many."""
    within: Duration
    """The time."""


class WebhookAuth(Section):
    """How a caller of a webhook proves who it is; the gateway's bearer token if absent."""

    bearer_env: EnvName | None = None
    """The environment variable that holds the route's own bearer token."""
    hmac_env: EnvName | None = None
    """The environment variable that holds the key of an HMAC-SHA256 over the raw body."""
    header: str = Field("X-Signature-256", pattern=r"^[A-Za-z0-9-]+$")
    """The header that carries the HMAC, as `sha256=<hex>` or bare hex."""

    @model_validator(mode="after")
    def _one_way(self) -> WebhookAuth:
        if bool(self.bearer_env) == bool(self.hmac_env):
            raise ValueError("has both or none of bearer_env and hmac_env; write exactly one")
        if self.bearer_env and "header" in self.model_fields_set:
            raise ValueError("header does nothing here; it only works with hmac_env")
        return self


class Trigger(Section):
    """What starts a domain: a source and what its message must match."""

    source: Literal["cron", "prometheus", "slack", "whatsapp", "webhook"]
    """Where its messages come from."""
    domain: Name
    """The domain that runs."""
    schedule: Cron | None = None
    """Five cron fields in UTC; only with `source: cron`."""
    match: dict[str, str] = {}
    """Field of the message → the value it must have. All must match; the first trigger that does is taken."""
    group_by: list[str] = []
    """Fields of the message whose values name one incident: what comes while its run is under way joins it.
    Absent, alerts are grouped as Alertmanager groups them, and other messages not at all."""
    after: Occurrences | None = None
    """Starts a run only after so many messages of one incident."""
    quiet: Duration | None = None
    """How long after a run's start the same incident starts no other."""
    auth: WebhookAuth | None = None

    @model_validator(mode="after")
    def _schedule_or_match(self) -> Trigger:
        if self.source == "cron" and (self.match or not self.schedule):
            raise ValueError('cron takes a schedule and no match; write schedule: "0 */8 * * *"')
        if self.source != "cron" and (self.schedule or not self.match):
            raise ValueError(f"{self.source} takes a match and no schedule; write match: {{key: value}}")
        if self.source == "cron" and (idle := self.model_fields_set & {"group_by", "after", "quiet"}):
            raise ValueError(f"{', '.join(sorted(idle))} does nothing with cron; remove it")
        if self.auth and self.source != "webhook":
            raise ValueError("auth does nothing here; it only works with source: webhook")
        return self


class Limits(Section):
    """Where a skill stops and returns its best answer, marked partial."""

    turns: int = Field(12, ge=1)
    """Model turns."""
    tokens: int = Field(200_000, ge=1000)
    """Input and output tokens of all turns together."""
    tool_result_bytes: int = Field(32_000, ge=500)
    """One tool result, as it is recorded; the model reads it in fewer characters."""
    wall_time: Duration = parse_duration("5m")
    """From start to answer, without the time that people take."""
    budget: DailyBudget = 500_000
    """Micro-dollars one execution may cost."""


class Skill(Section):
    """A manager or specialist of a domain."""

    name: Name
    """Begins with the domain's name: `ecm-triage`."""
    role: Literal["manager", "specialist"]
    """A domain has one manager."""
    model: str
    """A name under `models`."""
    tools: list[str] = []
    """Of the domain's `mcp_tools`, those that this skill may call."""
    limits: Limits = Limits()


class Rule(Section):
    """`when` (CEL) over the manager's pattern or a specialist's output → the specialist that runs next."""

    when: str = Field(min_length=1, max_length=1000)
    """The condition: `manager.critical_count >= 10`, `diagnose.confidence == high && auto_fix`."""
    route_to: Name
    """A specialist of the same domain."""


class DomainGuardrails(Section):
    """Limits of one domain."""

    budget: DailyBudget = 5_000_000
    """Micro-dollars a UTC day, written `$5/day`."""
    run_budget: DailyBudget | None = None
    """Micro-dollars one run may cost, written `$1`; then it returns its best answer, marked partial."""
    rate_limit: RateLimit | None = None
    """Runs started in a time, such as `20/hour`; no limit if absent."""
    max_parallel_runs: int | None = Field(None, ge=1)
    """Runs under way at a time; no limit of its own if absent."""
    max_parallel_specialists: int = Field(25, ge=1)
    """Specialists of one run under way at a time."""
    human_in_loop: list[Name] = []
    """Specialists whose actions wait for a person."""
    approvers: list[str] = []
    """Groups of `platform.people`, or single names, that may approve; anybody while `people` is empty."""
    approval_expires: Duration = parse_duration("24h")
    """How long people have to decide."""
    remind_after: Duration | None = parse_duration("1h")
    """How long an approval waits until people are reminded, and again after each such time."""
    escalate_after: Duration | None = None
    """How long an approval waits until `escalate_to` is told."""
    escalate_to: list[str] = []
    """Groups of `platform.people`, or single names, that may approve too once it is escalated."""


class Undo(Section):
    """The call that takes an action back."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method."""
    url: str
    """As the action's own."""


class Action(Section):
    """One fix that may be executed: an HTTP call for each object it touches."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """As skills call it: `retry_orders`."""
    description: str = ""
    """When this action helps; skills choose by it."""
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method."""
    url: str
    """`{order_id}` and the like are filled with the object's fields, percent-encoded."""
    body: dict[str, str] = {}
    """Body field → field of the object."""
    idempotency_header: str = "Idempotency-Key"
    """The header that makes a repeated call harmless."""
    token_env: str | None = None
    """The environment variable that holds the bearer token."""
    rate: RateLimit = parse_rate("2/s")
    """Calls in a time."""
    timeout: Duration = parse_duration("10s")
    """How long one call may take."""
    max_objects: int = Field(1000, ge=1)
    """Objects that one fix may touch."""
    dangerous: bool = False
    """Needs verified approvers: a typed name is no verification."""
    approvals: int | None = Field(None, ge=1, le=10)
    """How many different people must approve; 1 if absent, 2 for a dangerous action."""
    undo: Undo | None = None

    @property
    def needed(self) -> int:
        """How many different people must approve it."""
        return self.approvals or (2 if self.dangerous else 1)


class Domain(Section):
    """A vertical slice: its skills, rules, guardrails, tools and actions."""

    module: Identifier
    """The Python package of its code, such as `flows.ecm`."""
    auto_fix: bool = False
    """Whether rules may see a fix as one that the platform can propose; the constant `auto_fix` in rules."""
    skills: list[Skill]
    routing: list[Rule] = []
    guardrails: DomainGuardrails = DomainGuardrails()
    mcp_tools: dict[str, list[str]] = {}
    """MCP server → those of its tools that the domain may use."""
    actions: list[Action] = []

    def skill(self, name: str) -> Skill:
        """The skill of that name; KeyError if the domain has none."""
        for skill in self.skills:
            if skill.name == name:
                return skill
        raise KeyError(name)

    @property
    def manager(self) -> Skill:
        """The one skill with role manager."""
        return next(skill for skill in self.skills if skill.role == "manager")


class SlackBot(Section):
    """A Slack app: what people call it, and how it is known to Slack."""

    mention: str = Field(pattern=r"^@[A-Za-z0-9._-]+$")
    """As triggers match it: `@fraud-agent`."""
    user_id: str = Field(pattern=r"^[UW][A-Z0-9]+$")
    """Its bot user's id, which Slack puts into messages instead of the name."""
    token_env: EnvName = "SLACK_BOT_TOKEN"  # noqa: S105 - a variable's name
    """The environment variable that holds its bot token."""
    signing_secret_env: EnvName = "SLACK_SIGNING_SECRET"  # noqa: S105 - a variable's name
    """The environment variable that holds its signing secret."""


class Digest(Section):
    """The weekly digest that each domain's channel gets; none where a domain has no channel."""

    enabled: bool = True
    """Whether there is one."""
    day: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    """The day on which it is sent."""
    hour: int = Field(8, ge=0, le=23)
    """The hour from which on it is sent, in UTC. It tells of the seven days before."""
    channels: dict[str, str] = {}
    """Domain, or `default` → id of the channel; those of `slack.channels` if absent."""


class Slack(Section):
    """Who is who in Slack."""

    bots: list[SlackBot] = []
    channels: dict[str, str] = {}
    """Domain, or `default` → id of the channel for runs that nobody in Slack started."""
    users: dict[str, str] = {}
    """Slack user id → the person's name as in `platform.people`."""
    digest: Digest = Digest()


class Whatsapp(Section):
    """Who may write."""

    senders: dict[str, str] = {}
    """Phone number, digits only with country code → the person's name. Others start nothing."""


class Gateway(Section):
    """The door: what it lets in."""

    max_body: int = Field(1_000_000, ge=1_000)
    """Bytes of one request's body."""
    flood: RateLimit = parse_rate("600/s")
    """Requests of one route beyond this rate are told to come back later."""


class Config(Section):
    """The whole of `aspora.config.yaml`."""

    platform: Platform = Platform()
    models: dict[str, Model]
    warehouse: Warehouse = Warehouse()
    mcp_servers: dict[Name, McpServer] = {}
    triggers: list[Trigger] = []
    slack: Slack = Slack()
    whatsapp: Whatsapp = Whatsapp()
    gateway: Gateway = Gateway()
    domains: dict[Name, Domain]
