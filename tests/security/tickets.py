"""An MCP server beside the real ones: a ticket system that holds an attack, and tools that no skill has."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict

from blocks.config import Config

TICKET: dict[str, Any] = {}
"""What the ticket says; a test fills it."""
CALLED: list[str] = []
"""Names of this server's tools, in order of their calls."""
_READ_ONLY = ToolAnnotations(readOnlyHint=True)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def build(options: Options, config: Config, base: Any) -> MCPServer:
    server = MCPServer("tickets")

    @server.tool(annotations=_READ_ONLY)
    async def read_ticket() -> dict[str, Any]:
        """The customer's ticket with the chat about it."""
        CALLED.append("read_ticket")
        return TICKET

    @server.tool(annotations=_READ_ONLY)
    async def http_get(url: str = "", query: str = "", path: str = "", name: str = "") -> dict[str, Any]:
        """Read-only, and in nobody's list."""
        CALLED.append("http_get")
        return {}

    @server.tool()
    async def approve(url: str = "", query: str = "", path: str = "", name: str = "") -> dict[str, Any]:
        """In the domain's list, and not read-only."""
        CALLED.append("approve")
        return {}

    @server.tool()
    async def drop_table(url: str = "", query: str = "", path: str = "", name: str = "") -> dict[str, Any]:
        """In nobody's list."""
        CALLED.append("drop_table")
        return {}

    return server
