"""An MCP server whose tools answer what a test put into `ANSWERS`; run alone it has a few faults."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict

ANSWERS = {}
"""Tool → what it returns, or a function of its arguments."""
CALLS = []
READ_ONLY = ToolAnnotations(read_only_hint=True)

STAGE = {
    "stage": "lulu",
    "sla_hours": 2.0,
    "count": 57,
    "critical_count": 12,
    "trend": "UP",
    "trend_ratio": 3.2,
    "onset": "2026-02-17T04:00:00Z",
    "oldest_age_hours": 4.1,
    "amount_at_risk_usd": 18250.5,
    "sample_orders": ["ORD-1", "ORD-2"],
}
STUCK = {
    "as_of": "2026-02-17T08:00:00Z",
    "data_as_of": "2026-02-17T07:59:00Z",
    "open_orders": 410,
    "stages": [STAGE],
    "orders": [
        {"order_id": f"ORD-{n}", "stage": "lulu", "entered_at": "2026-02-17T04:00:00Z", "amount_usd": 10.0}
        for n in range(1, 4)
    ],
    "next_after": "",
    "warnings": [],
    "note": "",
}
LOGS = {"templates": [{"template": "lulu answered 429 Too Many Requests", "count": 950}], "note": ""}
RUNBOOKS = {"hits": [{"runbook": "25-lulu-api-issues.md", "fix": "retry slowly"}], "note": ""}
INCIDENTS = {"incidents": [], "note": "nothing like it"}
NORMAL = {
    "query_stuck_orders": STUCK,
    "query_application_logs": LOGS,
    "search_runbooks": RUNBOOKS,
    "get_similar_incidents": INCIDENTS,
}


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tools: list[str] = list(NORMAL)


async def answer(name, **arguments):
    CALLS.append((name, arguments))
    content = ANSWERS.get(name, NORMAL.get(name))
    content = content(arguments) if callable(content) else content
    return await content if hasattr(content, "__await__") else content


def build(options, config, base):
    server = MCPServer("canned")

    async def query_stuck_orders(
        stage: str = "", as_of: str = "", critical_only: bool = False, orders: int = 0, after: str = ""
    ) -> dict[str, Any]:
        return await answer("query_stuck_orders", stage=stage, orders=orders)

    async def query_application_logs(service: str = "", limit: int = 20) -> dict[str, Any]:
        return await answer("query_application_logs", service=service, limit=limit)

    async def search_runbooks(query: str) -> dict[str, Any]:
        return await answer("search_runbooks", query=query)

    async def get_similar_incidents(query: str) -> dict[str, Any]:
        return await answer("get_similar_incidents", query=query)

    for tool in (query_stuck_orders, query_application_logs, search_runbooks, get_similar_incidents):
        if tool.__name__ in options.tools:
            server.tool(annotations=READ_ONLY)(tool)

    if "plain_text" in options.tools:

        @server.tool(annotations=READ_ONLY, structured_output=False)
        async def plain_text() -> str:
            """Text, not structured."""
            return str(await answer("plain_text"))

    if "drop_table" in options.tools:

        @server.tool()
        async def drop_table(name: str) -> dict[str, Any]:
            """Not read-only."""
            return await answer("drop_table", name=name)

    return server


def alone():
    """The server that other processes see: it notes its pid, and hangs or dies on demand."""
    server = MCPServer("alone")
    notes = Path(os.environ["NOTES"])
    with (notes / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")

    @server.tool(annotations=READ_ONLY)
    async def echo(text: str) -> dict[str, Any]:
        """Says it back."""
        return {"text": text}

    @server.tool(annotations=READ_ONLY)
    def hang(seconds: float = 60) -> dict[str, Any]:
        """Answers late."""
        time.sleep(seconds)
        return {"text": "late"}

    @server.tool(annotations=READ_ONLY)
    async def die_once(text: str = "") -> dict[str, Any]:
        """Kills its server the first time."""
        if not (notes / "died").exists():
            (notes / "died").touch()
            os._exit(3)
        return {"text": text}

    @server.tool(annotations=READ_ONLY)
    async def die() -> dict[str, Any]:
        """Kills its server."""
        os._exit(3)

    return server


if __name__ == "__main__":
    if "--stuck" in sys.argv:
        Path(os.environ["NOTES"], "pids").write_text(f"{os.getpid()}\n")
        time.sleep(60)
    alone().run()
