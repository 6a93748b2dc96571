"""`aspora check`: the config against code, prompts, servers, models and schedules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from blocks.config_file import Problem
from tasks.check import check

TODAY = date(2026, 9, 15)

DOMAIN = """
from enum import StrEnum
from pydantic import BaseModel, Field
from tasks.domain import Answer, Domain, Skill

class Confidence(StrEnum):
    high = "high"
    low = "low"

class Pattern(BaseModel):
    stage: str
    critical_count: int = Field(ge=0)

class Diagnosis(BaseModel):
    confidence: Confidence

class Resolution(BaseModel):
    summary: str

class Targets:
    noun = "orders"
    fields = ("order_id", "stage")

    async def targets(self, context, fix, call):
        return []

def skill(model, fixer=None):
    answer = Answer(model.model_construct())
    return Skill(model, model, lambda known: answer, lambda draft, known: draft, fixer)

DOMAIN = Domain(
    "toy", BaseModel, Pattern, "stage",
    {
        "toy-triage": skill(Pattern),
        "toy-diagnose": skill(Diagnosis),
        "toy-resolve": skill(Resolution, Targets()),
    },
    "toy_domain.flow:toy",
)
"""

SERVER = """
from mcp.server import MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel
from blocks.config import Table

class Options(BaseModel, extra="forbid", frozen=True):
    path: str = "here"
    limit: int = 3

class Orders(Table, extra="forbid"):
    open_when: str = ""

TABLES = {"orders": Orders}

def build(options, config, base):
    if options.path == "broken":
        raise ValueError("no such folder")
    server = MCPServer("toy")

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    async def find_orders() -> str:
        return ""

    @server.tool()
    async def drop_orders() -> str:
        return ""

    return server
"""

CONFIG = """\
models:
  small: {id: some-model}
warehouse:
  tables:
    orders:
      table: orders
      columns: {order_id: id}
mcp_servers:
  toy-mcp:
    module: toy_server
    path: there
triggers:
  - {source: cron, schedule: "0 */8 * * *", domain: toy}
domains:
  toy:
    module: toy_domain
    auto_fix: true
    skills:
      - {name: toy-triage, role: manager, model: small, tools: [find_orders]}
      - name: toy-diagnose
        role: specialist
        model: small
        tools:
          - find_orders
      - {name: toy-resolve, role: specialist, model: small, tools: [find_orders]}
    routing:
      - {when: manager.critical_count >= 10, route_to: toy-diagnose}
      - when: diagnose.confidence == high && auto_fix
        route_to: toy-resolve
    guardrails:
      budget: $5/day
      human_in_loop: [toy-resolve]
      approvers: [ops]
    mcp_tools:
      toy-mcp: [find_orders]
    actions:
      - {name: retry, url: "https://api.example/orders/{order_id}/retry", body: {where: stage}}
"""


@pytest.fixture(name="place")
def new_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a domain package, its prompts, a server module and a config."""
    prompts = tmp_path / "toy_domain" / "prompts"
    prompts.mkdir(parents=True)
    (tmp_path / "toy_domain" / "__init__.py").write_text(DOMAIN)
    (tmp_path / "toy_server.py").write_text(SERVER)
    for skill in ("triage", "diagnose", "resolve"):
        (prompts / f"toy-{skill}.md").write_text("Do it well.")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("toy_domain", "toy_server"):
        sys.modules.pop(name, None)


def found(place: Path, old: str = "", new: str = "", text: str = CONFIG) -> list[Problem]:
    assert old in text
    path = place / "aspora.config.yaml"
    path.write_text(text.replace(old, new, 1) if old else text)
    return check(path, today=TODAY)[1]


def test_a_sound_config_has_no_problems(place: Path) -> None:
    assert found(place) == []
    config, _ = check(place / "aspora.config.yaml", today=TODAY)
    assert config is not None
    assert config.domains["toy"].manager.name == "toy-triage"


def test_a_file_that_does_not_load_gives_no_config(place: Path) -> None:
    (place / "aspora.config.yaml").write_text("domains: {}\n")
    config, problems = check(place / "aspora.config.yaml")
    assert config is None
    assert [problem.key for problem in problems] == ["models"]


ONE_FAULT = [
    # routing
    ("critical_count >= 10", "critical_count >=", 27, "domains.toy.routing[0].when", "bad syntax"),
    ("critical_count >= 10", "criticl >= 10", 27, "domains.toy.routing[0].when", "no field criticl"),
    ("critical_count >= 10", "critical_count < 0", 27, "domains.toy.routing[0].when", "from 0"),
    ("critical_count >= 10", "critical_count == 'many'", 27, "domains.toy.routing[0].when", "a number"),
    ("== high", "== certain", 28, "domains.toy.routing[1].when", "one of high, low"),
    ("diagnose.confidence", "fraud.confidence", 28, "domains.toy.routing[1].when", "unknown name fraud"),
    ("route_to: toy-resolve", "route_to: toy-triage", 29, "domains.toy.routing[1].route_to",
     "is the manager"),
    ("route_to: toy-resolve", "route_to: toy-resolv", 29, "domains.toy.routing[1].route_to", "toy-resolve?"),
    ("when: manager.critical_count >= 10", "when: resolve.summary == 'x'", 27, "domains.toy.routing[0].when",
     "no rule leads to toy-resolve"),
    # tools and servers
    ("          - find_orders", "          - find_orders\n          - read_mail", 25,
     "domains.toy.skills[1].tools[1]", "doesn't list the tool read_mail"),
    ("          - find_orders", "          - find_orders\n          - find_orders", 25,
     "domains.toy.skills[1].tools[1]", "listed twice"),
    ("toy-mcp: [find_orders]", "toy-mcp: [find_orders, find_order]", 35, "domains.toy.mcp_tools.toy-mcp[1]",
     "did you mean find_orders?"),
    ("toy-mcp: [find_orders]", "toy-mcp: [find_orders]\n      toi-mcp: []", 36,
     "domains.toy.mcp_tools.toi-mcp", "did you mean toy-mcp?"),
    ("path: there", "paht: there", 11, "mcp_servers.toy-mcp.paht", "did you mean path?"),
    ("path: there", "limit: few", 11, "mcp_servers.toy-mcp.limit", "few"),
    ("path: there", "path: broken", 9, "mcp_servers.toy-mcp", "no such folder"),
    ("module: toy_server", "module: toy_servr", 10, "mcp_servers.toy-mcp.module", "can't be imported"),
    ("module: toy_server\n    path: there", "module: json", 10, "mcp_servers.toy-mcp.module",
     "no MCP server"),
    ("      table: orders", "      table: orders\n      opn_when: x", 7, "warehouse.tables.orders.opn_when",
     "did you mean open_when?"),
    ("    orders:\n", "    ordres: {table: a, columns: {b: c}}\n    orders:\n", 5, "warehouse.tables.ordres",
     "did you mean orders?"),
    # skills
    ("role: manager", "role: specialist", 18, "domains.toy.skills", "exactly one skill role: manager"),
    ("role: specialist", "role: manager", 21, "domains.toy.skills[1].role", "a second manager"),
    ("model: small\n", "model: smal\n", 22, "domains.toy.skills[1].model", "did you mean small?"),
    ("module: toy_domain", "module: toy_domane", 16, "domains.toy.module", "can't be imported"),
    ("module: toy_domain", "module: toy_server", 16, "domains.toy.module", "no DOMAIN"),
    ("human_in_loop: [toy-resolve]", "human_in_loop: [toy-resolve, toy-x]", 32,
     "domains.toy.guardrails.human_in_loop[1]", "no specialist"),
    # triggers
    ('* *", domain: toy', '* *", domain: toi', 13, "triggers[0].domain",
     "did you mean toy?"),
    # actions
    ("{order_id}", "{order}", 37, "domains.toy.actions[0].url", "did you mean order_id?"),
    ("{order_id}", "{order_id!r}", 37, "domains.toy.actions[0].url", "bad placeholder"),
    ("{order_id}", "{order_id", 37, "domains.toy.actions[0].url", "placeholder"),
    ("https://api.example", "https://{stage}.example", 37, "domains.toy.actions[0].url", "choose the host"),
    ("https://api.example/", "/", 37, "domains.toy.actions[0].url", "no full URL"),
    ("body: {where: stage}", "body: {where: stag}", 37, "domains.toy.actions[0].body.where", "mean stage?"),
    ("body: {where: stage}", 'undo: {url: "https://x/{id}"}', 37, "domains.toy.actions[0].undo.url", "{id}"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "words"), ONE_FAULT)
def test_each_fault_is_named_by_line_key_and_remedy(
    place: Path, old: str, new: str, line: int, key: str, words: str
) -> None:
    errors = [problem for problem in found(place, old, new) if problem.level == "error"]
    matching = [problem for problem in errors if problem.key == key]
    assert matching, errors
    assert matching[0].line == line
    assert words in str(matching[0])
    assert matching[0].remedy
    assert str(matching[0]).startswith(f"aspora.config.yaml:{line}: {key}: ")


def test_a_skill_named_twice_and_an_action_named_twice(place: Path) -> None:
    skill = "      - {name: toy-resolve, role: specialist, model: small, tools: [find_orders]}\n"
    keys = [problem.key for problem in found(place, skill, skill + skill)]
    assert keys == ["domains.toy.skills[3].name"]
    action = '      - {name: retry, url: "https://api.example/x"}\n'
    keys = [problem.key for problem in found(place, text=CONFIG + action)]
    assert keys == ["domains.toy.actions[1].name"]


@pytest.mark.parametrize(
    ("name", "words"), [("toy-manager", "the manager's pattern"), ("toy-in", "word of CEL")]
)
def test_specialists_that_rules_could_not_name(place: Path, name: str, words: str) -> None:
    told = [(problem.key, problem.message) for problem in found(place, "name: toy-diagnose", f"name: {name}")]
    assert any(words in message for key, message in told if key == "domains.toy.skills[1].name")


def test_a_tool_that_writes_is_refused(place: Path) -> None:
    text = CONFIG.replace("find_orders", "drop_orders")
    assert [problem.key for problem in found(place, text=text)] == ["domains.toy.mcp_tools.toy-mcp[0]"]
    assert "not read-only" in found(place, text=text)[0].message


def test_rules_do_not_lead_into_another_domain(place: Path) -> None:
    other = CONFIG.partition("  toy:\n")[2].replace("toy-", "fraud-").replace("fraud-mcp", "toy-mcp")
    text = CONFIG.replace("route_to: toy-resolve", "route_to: fraud-resolve") + "  fraud:\n" + other
    routed = [
        problem for problem in found(place, text=text) if problem.key == "domains.toy.routing[1].route_to"
    ]
    assert "belongs to domain fraud" in routed[0].message
    assert "toy-resolve" in routed[0].remedy


def test_a_rule_that_repeats_and_one_that_leads_to_itself(place: Path) -> None:
    first = "      - {when: manager.critical_count >= 10, route_to: toy-diagnose}\n"
    assert [problem.key for problem in found(place, first, first * 2)] == ["domains.toy.routing[1]"]
    itself = "      - {when: diagnose.confidence == low, route_to: toy-diagnose}\n"
    told = found(place, first, first + itself)
    assert [problem.key for problem in told] == ["domains.toy.routing[1].when"]
    assert "to itself" in told[0].message


def test_missing_and_empty_prompts(place: Path) -> None:
    (place / "toy_domain" / "prompts" / "toy-triage.md").unlink()
    (place / "toy_domain" / "prompts" / "toy-resolve.md").write_text(" \n")
    told = found(place)
    assert [(problem.line, problem.key) for problem in told] == [
        (19, "domains.toy.skills[0].name"),
        (25, "domains.toy.skills[2].name"),
    ]
    assert str(Path("toy_domain/prompts/toy-triage.md")) in told[0].remedy
    assert "is empty" in told[1].message


def test_skills_that_the_code_does_not_have(place: Path) -> None:
    told = found(place, "name: toy-diagnose", "name: toy-diagnos")
    assert (
        "did you mean toy-diagnose?"
        in {problem.key: problem.remedy for problem in told}["domains.toy.skills[1].name"]
    )
    assert any(problem.level == "warning" and "toy-diagnose" in problem.message for problem in told)


def test_the_codes_domain_bears_the_same_name(place: Path) -> None:
    told = found(place, text=CONFIG.replace("  toy:\n", "  ecm:\n").replace("domain: toy}", "domain: ecm}"))
    assert [problem.key for problem in told] == ["domains.ecm.module"]
    assert "named toy" in told[0].message


def test_a_dangerous_action_needs_approvers(place: Path) -> None:
    text = CONFIG.replace("body: {where: stage}", "dangerous: true")
    assert found(place, text=text) == []
    told = found(place, "      approvers: [ops]\n", "", text)
    assert [problem.key for problem in told] == ["domains.toy.actions[0].dangerous"]


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("  small:", "  big: {id: other}\n  small:", "models.big", "no skill uses"),
        ("      toy-mcp: [find_orders]", "      toy-mcp: [find_orders]\n      more-mcp: [look]",
         "domains.toy.mcp_tools.more-mcp[0]", "no skill uses look"),
        ("  toy-mcp:\n", "  idle-mcp: {url: 'http://127.0.0.1:9/mcp'}\n  toy-mcp:\n", "mcp_servers.idle-mcp",
         "no domain uses"),
        ("      - when: diagnose.confidence == high && auto_fix\n        route_to: toy-resolve\n", "",
         "domains.toy.skills[2]", "no rule leads to toy-resolve"),
        ("      human_in_loop: [toy-resolve]\n", "", "domains.toy.guardrails.approvers", "does nothing"),
        (CONFIG[CONFIG.index("    actions:"):], "", "domains.toy.auto_fix", "does nothing"),
    ],
)  # fmt: skip
def test_what_does_nothing_is_warned_of(place: Path, old: str, new: str, key: str, words: str) -> None:
    told = {problem.key: problem for problem in found(place, old, new)}
    assert told[key].level == "warning"
    assert words in told[key].message
    assert ": warning: " in str(told[key])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("claude-sonnet-4-5", "is retired on 2026-11-30"),
        ("claude-3-opus-20240229", "was retired on 2026-01-05"),
        ("claude-haiku-4-5", ""),
    ],
)
def test_models_near_their_retirement(place: Path, model: str, words: str) -> None:
    told = found(place, "some-model", model)
    assert [problem.key for problem in told] == (["models.small.id"] if words else [])
    assert all(problem.level == "warning" and words in problem.message for problem in told)


def test_a_retirement_is_no_news_long_before(place: Path) -> None:
    (place / "aspora.config.yaml").write_text(CONFIG.replace("some-model", "claude-sonnet-4-5"))
    assert check(place / "aspora.config.yaml", today=date(2026, 8, 31))[1] == []
    assert len(check(place / "aspora.config.yaml", today=date(2026, 9, 1))[1]) == 1


PREFECT = """\
deployments:
  - name: toy
    entrypoint: toy_domain/flow.py:toy
    schedules: [{cron: "0 */8 * * *", timezone: UTC}]
  - name: toy-resolve
"""


def test_schedules_that_differ_from_prefect_yaml(place: Path) -> None:
    file = place / "prefect.yaml"
    file.write_text(PREFECT)
    assert found(place) == []
    file.write_text(PREFECT.replace("*/8", "*/6"))
    told = found(place)
    assert [(problem.level, problem.line, problem.key) for problem in told] == [
        ("warning", 13, "triggers[0].schedule")
    ]
    assert '"0 */8 * * *"' in told[0].message
    assert '"0 */6 * * *"' in told[0].message
    file.write_text(PREFECT.replace("UTC", "Asia/Dubai"))
    assert "Asia/Dubai" in found(place)[0].message
    file.write_text("deployments: [3]")
    assert "can't be read" in found(place)[0].message


EVENT = """\
    triggers:
      - expect: [aspora.trigger]
        match: {aspora.domain: toy}
        parameters: {trigger_id: "{{ event.resource['aspora.trigger-id'] }}"}
"""


def test_a_domain_that_no_event_starts(place: Path) -> None:
    """Alerts, messages and webhooks start it through an event trigger of its deployment."""
    file, line = place / "prefect.yaml", '  - {source: cron, schedule: "0 */8 * * *", domain: toy}\n'
    more = line + "  - {source: webhook, match: {path: /api/toy/run}, domain: toy}\n"
    assert found(place, line, more) == []
    file.write_text(PREFECT.replace("  - name: toy-resolve\n", EVENT))
    assert found(place, line, more) == []
    for fault in (
        ("aspora.domain: toy", "aspora.domain: toi"),
        ("[aspora.trigger]", "[aspora.triggers]"),
        ("trigger_id:", "trigger:"),
        ("    triggers:", "    trigers:"),
        ("      - expect", "      - enabled: false\n        expect"),
    ):
        file.write_text(PREFECT.replace("  - name: toy-resolve\n", EVENT.replace(*fault)))
        assert found(place) == []
        told = found(place, line, more)
        assert [(each.level, each.key) for each in told] == [("warning", "triggers[1]")], fault
        assert (
            "no deployment toy in prefect.yaml starts on the event aspora.trigger of toy" in told[0].message
        )


TRIGGERS = [
    (
        "{source: slack, match: {mention: '@toy'}, domain: toi}",
        "triggers[1].domain",
        "there is no domain toi yet",
    ),
    (
        "{source: slack, match: {mention: '@toi'}, domain: toy}",
        "triggers[1].match.mention",
        "slack.bots has no @toi",
    ),
    (
        "{source: slack, match: {mension: '@toy'}, domain: toy}",
        "triggers[1].match.mension",
        "no field mension",
    ),
    (
        "{source: slack, match: {mention: '@toy'}, group_by: [team], domain: toy}",
        "triggers[1].group_by[0]",
        "a message from slack has no field team",
    ),
    (
        "{source: prometheus, match: {a: b}, group_by: [x, x], domain: toy}",
        "triggers[1].group_by[1]",
        "twice",
    ),
    (
        "{source: webhook, match: {path: /hooks/toy}, domain: toy}",
        "triggers[1].match.path",
        "no path of the gateway",
    ),
    (
        "{source: prometheus, match: {a: b}, domain: toy}\n"
        "  - {source: prometheus, match: {a: b, c: d}, domain: toy}",
        "triggers[2]",
        "triggers[1] matches all",
    ),
]


@pytest.mark.parametrize(("more", "key", "words"), TRIGGERS)
def test_a_trigger_that_starts_nothing(place: Path, more: str, key: str, words: str) -> None:
    line = '  - {source: cron, schedule: "0 */8 * * *", domain: toy}\n'
    bots = 'slack: {bots: [{mention: "@toy", user_id: U1}]}\n'
    told = found(place, line, f"{line}  - {more}\n{bots}")
    assert [(each.level, each.key) for each in told] == [("warning", key)]
    assert words in told[0].message


def test_triggers_that_fire_give_no_warning(place: Path) -> None:
    line = '  - {source: cron, schedule: "0 */8 * * *", domain: toy}\n'
    more = (
        "  - {source: prometheus, match: {a: b, c: d}, domain: toy}\n"
        "  - {source: prometheus, match: {a: b}, group_by: [x, y], domain: toy}\n"
        "  - {source: webhook, match: {path: /api/toy/run_it}, domain: toy}\n"
        "  - {source: slack, match: {mention: '@toy', channel: C1}, group_by: [user], domain: toy}\n"
        'slack: {bots: [{mention: "@toy", user_id: U1}], channels: {toy: C1, default: C2}}\n'
    )
    assert found(place, line, line + more) == []


def test_what_refers_to_unknown_domains_or_is_over(place: Path) -> None:
    more = (
        "platform: {maintenance: [{start: 2026-01-01 10:00, end: 2026-01-01 11:00, domains: [toi]}]}\n"
        "slack: {channels: {toi: C1}}\n"
    )
    told = found(place, "models:\n", more + "models:\n")
    assert sorted((each.level, each.key) for each in told) == [
        ("warning", "platform.maintenance[0]"),
        ("warning", "platform.maintenance[0].domains[0]"),
        ("warning", "slack.channels.toi"),
    ]


def test_a_trigger_that_repeats(place: Path) -> None:
    line = '  - {source: cron, schedule: "0 */8 * * *", domain: toy}\n'
    assert [problem.key for problem in found(place, line, line * 2)] == ["triggers[1]"]


def test_servers_elsewhere_are_contacted_only_on_demand(place: Path) -> None:
    text = CONFIG.replace("    module: toy_server\n    path: there", "    url: http://127.0.0.1:9/mcp")
    assert found(place, text=text) == []
    told = check(place / "aspora.config.yaml", connect=True, today=TODAY)[1]
    assert [problem.key for problem in told] == ["mcp_servers.toy-mcp"]
    assert "http://127.0.0.1:9/mcp" in told[0].message


async def test_check_can_be_called_while_an_event_loop_runs(place: Path) -> None:
    assert found(place) == []
