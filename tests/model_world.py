"""A small installation with a scripted model and canned tools, for tests of the skill loop."""

import asyncio
import json
from contextlib import suppress

import pytest
import yaml

from blocks.database import Database
from flows.ecm import DOMAIN
from flows.ecm.models import EcmInput
from tasks import journal, record, report, spend
from tasks.execution import allowed_actions
from tasks.platform import opened
from tasks.run import RunFailed, admitted
from tasks.skill import SkillFailed, perform
from tests import canned_tools
from tests.anthropic_server import AnthropicServer

TOOLS = {
    "ecm-triage": ["query_stuck_orders"],
    "ecm-diagnose": ["query_application_logs", "search_runbooks", "get_similar_incidents"],
    "ecm-resolve": ["query_stuck_orders"],
}
HANDOFF = {
    "stuck_at": "lulu",
    "count": 57,
    "critical_count": 12,
    "trend": "UP",
    "as_of": "2026-02-17T08:00:00Z",
    "sample_orders": ["ORD-1"],
}
LOGS = ("query_application_logs", {"service": "lulu"})
BOOKS = ("search_runbooks", {"query": "429"})
PAST = ("get_similar_incidents", {"query": "429"})
ORDERS = ("query_stuck_orders", {})


def triage(**more):
    """A valid answer of ecm-triage."""
    return {"patterns": [{"stuck_at": "lulu", "headline": "Lulu is slow"}], "summary": "One stage.", **more}


def diagnosis(**more):
    """A valid answer of ecm-diagnose that rests on the first two calls."""
    return {
        "root_cause": "lulu's rate limit is passed",
        "evidence": [
            {"tool_call": 1, "source": "logs", "finding": "429s", "quote": "429 Too Many Requests"},
            {"tool_call": 2, "source": "runbook", "finding": "same", "quote": "retry slowly"},
        ],
        "recommended_fix": "retry slowly",
        "fix_action": "retry_orders",
        "runbook": "25-lulu-api-issues.md",
        "confidence": "high",
        "ruled_out": [],
        **more,
    }


def resolution(*actions):
    """A valid answer of ecm-resolve."""
    fixes = [{"action": action, "scope": "all", "reason": "it fits"} for action in actions]
    return {"fixes": fixes, "summary": "Retry."}


class World:
    """The installation: its config may be changed until it is first used."""

    def __init__(self, home, server):
        self.home = home
        self.server = server
        self.limits = {}
        self.servers = {"tools-mcp": {"module": "tests.canned_tools"}}
        self.listed = {"tools-mcp": sorted({tool for tools in TOOLS.values() for tool in tools})}
        self.tools = TOOLS
        self.guardrails = {"budget": "$5/day", "human_in_loop": ["ecm-resolve"]}
        self.platform = {}
        self.models = {"haiku": {"id": "claude-haiku-4-5"}, "sonnet": {"id": "claude-sonnet-4-6"}}
        self.routing = [{"when": "manager.critical_count >= 10", "route_to": "ecm-diagnose"}]

    def write(self):
        """Writes the config file."""
        skills = [
            {
                "name": name,
                "role": "manager" if name == "ecm-triage" else "specialist",
                "model": "sonnet" if name == "ecm-diagnose" else "haiku",
                "tools": tools,
                "limits": self.limits,
            }
            for name, tools in self.tools.items()
        ]
        ecm = {
            "module": "flows.ecm",
            "auto_fix": True,
            "skills": skills,
            "routing": self.routing,
            "guardrails": self.guardrails,
            "mcp_tools": self.listed,
            "actions": [{"name": "retry_orders", "url": "http://127.0.0.1:9/orders/{order_id}/retry"}],
        }
        config = {
            "platform": self.platform,
            "models": self.models,
            "mcp_servers": self.servers,
            "domains": {"ecm": ecm},
        }
        (self.home / "aspora.config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))

    async def skill(self, name="ecm-diagnose", context=HANDOFF, run_id="run-1"):
        """Runs one skill to its outcome; its row."""
        self.write()
        async with opened() as platform:
            context = {**context, "actions": allowed_actions(platform.domain("ecm"))}
            row = await platform.database.write(
                lambda conn: record.begin(
                    conn,
                    run_id=run_id,
                    domain="ecm",
                    skill=name,
                    role="manager" if name == "ecm-triage" else "specialist",
                    model=platform.domain("ecm").skill(name).model,
                    provider=platform.provider,
                    input_data=context,
                )
            )
            with suppress(SkillFailed):
                await perform(row.execution_id)
            return await platform.database.read(lambda conn: record.get(conn, row.execution_id))

    async def run(self):
        """A whole run of the domain; its report."""
        self.write()
        flows = dict.fromkeys(("ecm-diagnose", "ecm-resolve"), perform)
        async with opened() as platform:
            with suppress(RunFailed):
                async with admitted(DOMAIN, EcmInput()) as run:
                    await run.pursue(await run.manage(perform), flows)
            return await platform.database.read(lambda conn: report.of_run(conn, run.run_id))

    def read(self, look):
        """What a function of a connection finds in the record."""
        database = Database(f"sqlite:///{self.home / 'aspora.db'}")
        try:
            return database.read_now(look)
        finally:
            database.close()

    def steps(self, row):
        """The execution's journal."""
        return self.read(lambda conn: journal.steps(conn, row.execution_id))

    def spent(self):
        """Micro-dollars of the domain today."""
        return self.read(lambda conn: spend.of_day(conn, "ecm"))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A world with its server running."""
    for name in ("ASPORA_DATABASE_URL", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = AnthropicServer()
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.setenv("ASPORA_CONFIG", str(tmp_path / "aspora.config.yaml"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.setenv("NOTES", str(tmp_path))
    monkeypatch.setattr(canned_tools, "ANSWERS", {})
    monkeypatch.setattr(canned_tools, "CALLS", [])
    with server.running():
        yield World(tmp_path, server)


async def no_tasks_left():
    """Waits a moment for tasks to end, then tells which are left besides this one."""
    for _ in range(50):
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not left:
            break
        await asyncio.sleep(0.02)
    return left
