"""The tools a skill may call: allow-listed by its domain, read-only, checked, masked and cut to size."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.config import Config, Domain, Skill
from blocks.mcp import Connection, McpUnavailable
from tasks.domain import ToolStatus
from tasks.masking import Masker
from tasks.shrink import lean, shrink

if TYPE_CHECKING:
    from mcp.types import Tool

_COARSE = 10
"""A result is first cut to this many times its limit, so that masking never walks through megabytes."""
_ECHO = re.compile(r"input_value=.{0,2000}?, (?=input_type=)", re.DOTALL)
"""What pydantic repeats of a wrong argument, cut in the middle: half a number would not be masked."""
_SCHEMA_KEYS = ("type", "properties", "required", "additionalProperties", "$defs")


class Toolbox:
    """The MCP connections of one domain; made on first use, closed with the run.

    Args:
        config: the whole config.
        domain: the domain whose `mcp_tools` are the allow-list.
        base: the config file's directory.
        masker: masks personal data in what skills see.
    """

    def __init__(self, config: Config, domain: Domain, base: Path, masker: Masker) -> None:
        self._connections = {
            name: Connection(name, config.mcp_servers[name], config, base) for name in domain.mcp_tools
        }
        self._server_of = {tool: name for name, tools in domain.mcp_tools.items() for tool in tools}
        self._definitions: dict[str, dict[str, Any]] = {}
        self._faults: dict[str, str] = {}
        self._masker = masker

    async def __aenter__(self) -> Toolbox:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    async def offered(self, names: Iterable[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The Messages API's definitions of these tools, in name order; and why the others can't be used."""
        wanted = sorted(set(names))
        unlisted = {
            name: f"no server in mcp_tools has {name}" for name in wanted if name not in self._server_of
        }
        servers = {self._server_of[name] for name in wanted if name not in {*self._definitions, *unlisted}}
        await asyncio.gather(*(self._learn(server) for server in sorted(servers)))
        there = [self._definitions[name] for name in wanted if name in self._definitions]
        faults = {**self._faults, **unlisted}
        return there, {name: faults[name] for name in wanted if name not in self._definitions}

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[ToolStatus, Any]:
        """Calls a tool as code, with the full, unmasked result."""
        try:
            _, missing = await self.offered([name])
            if missing:
                return "error", missing[name]
            unknown = set(arguments) - set(self._definitions[name]["input_schema"].get("properties", {}))
            if unknown:
                return "error", self._unknown_arguments(name, unknown)
            result = await self._connections[self._server_of[name]].call(name, dict(arguments))
        except McpUnavailable as error:
            return "error", str(error)
        if result.is_error:
            return "error", _told(_text(result), name)
        content = result.structured_content if result.structured_content is not None else _text(result)
        return ("no_data" if _empty(content) else "ok"), content

    async def call_for_model(
        self, skill: Skill, name: str, arguments: Mapping[str, Any]
    ) -> tuple[ToolStatus, Any]:
        """Calls a tool for a skill: only if its config allows it, masked, and cut to its limit.

        Masks among the arguments come from what the skill was shown; the tool gets what they stand for.
        """
        if name not in skill.tools:
            known = ", ".join(skill.tools) or "none"
            return "error", f"there is no tool {name[:100]!r}; there are: {known}"
        status, content = await self.call(name, self._masker.unmasked(dict(arguments)))
        limit = skill.limits.tool_result_bytes
        coarse = shrink(content, limit * _COARSE)
        return status, shrink(self._masker.data(lean(coarse)), limit)

    async def _learn(self, server: str) -> None:
        """Notes what the server offers of its listed tools, or what is wrong with each."""
        owned = [tool for tool, owner in self._server_of.items() if owner == server]
        try:
            offered = {tool.name: tool for tool in await self._connections[server].tools()}
        except McpUnavailable as error:
            self._faults |= dict.fromkeys(owned, str(error))
            return
        for name in owned:
            tool = offered.get(name)
            if tool is None:
                self._faults[name] = (
                    f"MCP server {server} has no tool {name}; it has: {', '.join(offered)[:500]}; "
                    f"check mcp_tools.{server}"
                )
            elif tool.annotations is None or not tool.annotations.read_only_hint:
                self._faults[name] = f"tool {name} of {server} is not marked read-only; no skill may use it"
            else:
                self._definitions[name] = _definition(tool)

    def _unknown_arguments(self, name: str, unknown: set[str]) -> str:
        known = ", ".join(self._definitions[name]["input_schema"].get("properties", {}))
        return f"{name} has no argument {', '.join(sorted(unknown))[:200]}; it has: {known}"


def _definition(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description or "",
        "input_schema": {k: v for k, v in tool.input_schema.items() if k in _SCHEMA_KEYS},
    }


def _text(result: Any) -> Any:
    text = "\n".join(block.text for block in result.content if getattr(block, "text", None))
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _told(fault: Any, name: str) -> Any:
    """A tool's own words on what is wrong."""
    if not isinstance(fault, str):
        return fault
    return _ECHO.sub("", fault).removeprefix(f"Error executing tool {name}: ")


def _empty(content: Any) -> bool:
    """True if the result has lists and all of them are empty."""
    if not isinstance(content, dict):
        return not content
    lists = [value for value in content.values() if isinstance(value, list)]
    return bool(lists) and not any(lists)
