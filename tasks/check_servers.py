"""MCP servers and the warehouse tables they read: options, tools, and what domains take of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from blocks.config import Config
from blocks.config_file import Problem, Source, at, explanation, suggest
from blocks.marked_yaml import Path as Keys
from blocks.mcp import Connection, McpUnavailable, build_server

if TYPE_CHECKING:
    from mcp.types import Tool


@dataclass
class Servers:
    """What the servers said.

    Attributes:
        tools: server → tool → whether it only reads. A server that was not asked is absent.
    """

    problems: list[Problem] = field(default_factory=list)
    tools: dict[str, dict[str, bool]] = field(default_factory=dict)


async def ask(source: Source, config: Config, connect: bool) -> Servers:
    """Check each server's options and ask it for its tools; those by command or URL only with `connect`."""
    servers = Servers()
    modules: list[ModuleType] = []
    for name, server in config.mcp_servers.items():
        keys: Keys = ("mcp_servers", name)
        if server.module:
            module = _module(source, keys, server.module, servers)
            modules += [module] if module else []
            tools = await _in_memory(source, keys, config, module, servers) if module else None
        else:
            tools = await _remote(source, keys, config, servers) if connect else None
        if tools is not None:
            servers.tools[name] = {tool.name: _reads_only(tool) for tool in tools}
    complete = len(modules) == len(config.mcp_servers)
    servers.problems += _tables(source, config, modules, complete)
    servers.problems += _unused(source, config)
    return servers


def _reads_only(tool: Tool) -> bool:
    return bool(tool.annotations and tool.annotations.read_only_hint)


def _module(source: Source, keys: Keys, name: str, servers: Servers) -> ModuleType | None:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        message = f"{name} can't be imported: {type(error).__name__}: {error}"
        servers.problems.append(
            source.problem((*keys, "module"), message, "name an installed module, or mend it")
        )
        return None
    if not hasattr(module, "build") or not hasattr(module, "Options"):
        remedy = "name a module with Options and build"
        servers.problems.append(source.problem((*keys, "module"), f"{name} is no MCP server", remedy))
        return None
    return module


async def _in_memory(
    source: Source, keys: Keys, config: Config, module: ModuleType, servers: Servers
) -> list[Tool] | None:
    server = config.mcp_servers[str(keys[-1])]
    found = list(_invalid(source, keys, module.Options, server.options))
    servers.problems += found
    if found:
        return None
    try:
        built = build_server(server, config, source.path.absolute().parent)
        tools: list[Tool] = await built.list_tools()
    except Exception as error:
        message, remedy = f"can't be built: {error}", "correct its options"
        servers.problems.append(source.problem(keys, message, remedy))
        return None
    return tools


async def _remote(source: Source, keys: Keys, config: Config, servers: Servers) -> list[Tool] | None:
    name = str(keys[-1])
    connection = Connection(name, config.mcp_servers[name], config, source.path.absolute().parent)
    try:
        return await connection.tools()
    except McpUnavailable as error:
        servers.problems.append(source.problem(keys, str(error), "start it, or correct its address"))
        return None
    finally:
        await connection.close()


def _invalid(source: Source, keys: Keys, model: type[BaseModel], data: Any) -> Iterator[Problem]:
    """What of the data a model refuses, at its place in the file."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors():
            yield source.problem((*keys, *at(dict(detail))), *explanation(model, dict(detail)))
    except ArithmeticError as error:
        yield source.problem(keys, f"a value is out of bounds ({error})", "write a smaller number")


def _tables(source: Source, config: Config, modules: list[ModuleType], complete: bool) -> Iterator[Problem]:
    """`complete`: no server is out of sight that may read tables which nobody else does."""
    readers: dict[str, list[type[BaseModel]]] = {}
    for module in modules:
        for name, model in getattr(module, "TABLES", {}).items():
            readers.setdefault(name, []).append(model)
    for name, table in config.warehouse.tables.items():
        keys: Keys = ("warehouse", "tables", name)
        if name not in readers and complete:
            yield source.problem(keys, "no MCP server reads this table", suggest(name, readers))
        written = table.model_dump(exclude_unset=True)
        found = {
            problem for model in readers.get(name, ()) for problem in _invalid(source, keys, model, written)
        }
        yield from sorted(found, key=lambda problem: problem.line)


def _unused(source: Source, config: Config) -> Iterator[Problem]:
    used = {server for domain in config.domains.values() for server in domain.mcp_tools}
    for name in config.mcp_servers:
        if name not in used:
            remedy = "remove it, or take tools of it in a domain's mcp_tools"
            yield source.problem(("mcp_servers", name), "no domain uses this server", remedy, "warning")


def tool_problems(source: Source, config: Config, name: str, servers: Servers) -> Iterator[Problem]:
    """A domain's `mcp_tools` against the servers, and its skills' tools against `mcp_tools`."""
    domain = config.domains[name]
    listed: dict[str, str] = {}
    for server, tools in domain.mcp_tools.items():
        keys: Keys = ("domains", name, "mcp_tools", server)
        if server not in config.mcp_servers:
            yield source.problem(keys, f"unknown server {server}", suggest(server, config.mcp_servers))
        for index, tool in enumerate(tools):
            if tool in listed:
                message = f"{tool} is listed twice, first under {listed[tool]}"
                yield source.problem((*keys, index), message, "take it from one server only")
            listed.setdefault(tool, server)
            yield from _offered(source, (*keys, index), tool, server, servers)
    used: set[str] = set()
    for position, skill in enumerate(domain.skills):
        for index, tool in enumerate(skill.tools):
            keys = ("domains", name, "skills", position, "tools", index)
            if tool in skill.tools[:index]:
                yield source.problem(keys, f"{tool} is listed twice", "keep one of them")
            elif tool not in listed:
                remedy = f"list it under its server in domains.{name}.mcp_tools; {suggest(tool, listed)}"
                yield source.problem(keys, f"the domain doesn't list the tool {tool}", remedy)
            used.add(tool)
    for tool in sorted(listed.keys() - used):
        keys = ("domains", name, "mcp_tools", listed[tool], domain.mcp_tools[listed[tool]].index(tool))
        yield source.problem(keys, f"no skill uses {tool}", "remove it, or give it to a skill", "warning")


def _offered(source: Source, keys: Keys, tool: str, server: str, servers: Servers) -> Iterator[Problem]:
    tools = servers.tools.get(server)
    if tools is None:
        return
    if tool not in tools:
        yield source.problem(keys, f"{server} has no tool {tool}", suggest(tool, tools))
    elif not tools[tool]:
        remedy = "list only tools with a read-only hint; changes go through actions"
        yield source.problem(keys, f"{tool} is not read-only", remedy)
