"""Connections to MCP servers: in memory, over stdio, or over streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blocks.config import Config, McpServer
from blocks.home import config_path, home
from blocks.secrets import secret

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.types import CallToolResult, Tool

CONNECT_SECONDS = 20.0
CLOSE_SECONDS = 8.0
"""A stdio server that does not end is killed within this time."""
MAX_TOOLS = 1000
CONNECTION_CLOSED = -32000
"""JSON-RPC's code for a connection that ended before the answer."""
T = TypeVar("T")
_PASSED_ON = ("PATH", "HOME", "ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "SSL_CERT_FILE")


class McpUnavailable(Exception):
    """A server could not be reached, or did not answer in time. The message is for people."""


class _Session:
    """One life of a connection, in a task of its own, since MCP wants to be entered and left in one."""

    def __init__(self, opened: AbstractAsyncContextManager[Client]) -> None:
        self.client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.users = 0
        self._retired = False
        self._closing = asyncio.Event()
        self.task = asyncio.create_task(self._live(opened))

    async def _live(self, opened: AbstractAsyncContextManager[Client]) -> None:
        try:
            async with opened as client:
                self.client.set_result(client)
                await self._closing.wait()
        except Exception as error:
            if not self.client.done():
                self.client.set_exception(error)
                self.client.exception()

    def retire(self) -> None:
        """Ends it as soon as nobody waits for an answer any more; at once if it never got connected."""
        self._retired = True
        if not self.client.done():
            self.task.cancel()
        self.left()

    def left(self) -> None:
        """Looks whether a retired session can end."""
        if self._retired and not self.users:
            self._closing.set()

    async def end(self) -> None:
        """Ends it now."""
        self._closing.set()
        if not self.client.done():
            self.task.cancel()
        done, _ = await asyncio.wait([self.task], timeout=CLOSE_SECONDS)
        if not done:
            self.task.cancel()
            await asyncio.wait([self.task], timeout=CLOSE_SECONDS)


class Connection:
    """One server's connection: made on first use, and made anew after a failure.

    Args:
        name: the server's name in the config.
        server: its section.
        config: what in-memory servers read their own settings from.
        base: the config file's directory.
    """

    def __init__(self, name: str, server: McpServer, config: Config, base: Path) -> None:
        self.name = name
        self._server = server
        self._config = config
        self._base = base
        self._session: _Session | None = None
        self._sessions: set[_Session] = set()
        self._denied = 0
        """HTTP status with which the server refused the token."""

    async def tools(self) -> list[Tool]:
        """The server's tools.

        Raises:
            McpUnavailable: it can't be reached.
        """
        return await self._ask("list its tools", _tools)

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Calls a tool. What the tool itself refuses is a result with `is_error`, not an exception.

        Raises:
            McpUnavailable: the server died twice, did not answer in time, or refused the request.
        """
        call = _call_unchecked if self._server.module else _call
        return await self._ask(f"answer {tool}", lambda client: call(client, tool, arguments))

    async def close(self) -> None:
        """Ends the connection, and the child process of a stdio server."""
        self._session = None
        await asyncio.gather(*(session.end() for session in self._sessions))

    async def _ask(self, deed: str, question: Callable[[Client], Awaitable[T]], again: bool = True) -> T:
        """The answer to a question. A session that fails is replaced once its last user is gone."""
        from mcp import MCPError

        session = self._current()
        session.users += 1
        try:
            client = await self._connected(session)
            async with asyncio.timeout(self._server.timeout.total_seconds()):
                return await question(client)
        except McpUnavailable:
            raise
        except Exception as error:
            told = self._failed(deed, error, self._server.timeout.total_seconds())
            if isinstance(error, MCPError) and error.error.code != CONNECTION_CLOSED:
                raise told from error
            self._drop(session)
            if isinstance(error, TimeoutError) or not again:
                raise told from error
        finally:
            session.users -= 1
            session.left()
        return await self._ask(deed, question, again=False)

    def _current(self) -> _Session:
        if self._session is None or self._session.task.done():
            self._denied = 0
            self._session = _Session(self._open())
            self._sessions.add(self._session)
            self._session.task.add_done_callback(partial(_forget, self._sessions, self._session))
        return self._session

    async def _connected(self, session: _Session) -> Client:
        try:
            return await asyncio.wait_for(asyncio.shield(session.client), CONNECT_SECONDS)
        except Exception as error:
            self._drop(session)
            raise self._failed("accept a connection", error, CONNECT_SECONDS) from error

    def _drop(self, session: _Session) -> None:
        if self._session is session:
            self._session = None
        session.retire()

    def _failed(self, deed: str, error: BaseException, seconds: float) -> McpUnavailable:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        what = f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else str(error)
        remedy = f"check mcp_servers.{self.name}"
        if self._denied:
            what = f"it answered HTTP {self._denied} to the token"
            remedy += f".token_env ({self._server.token_env or 'not set'})"
        reason = what or type(error).__name__
        return McpUnavailable(f"MCP server {self.name} ({self._address}) did not {deed}: {reason}; {remedy}")

    async def _note(self, response: httpx2.Response) -> None:
        if response.status_code in (401, 403):
            self._denied = response.status_code

    @property
    def _address(self) -> str:
        return self._server.module or self._server.url or shlex.join(self._server.command or [])

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Client]:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        if self._server.module:
            async with Client(build_server(self._server, self._config, self._base)) as client:
                yield client
        elif self._server.command:
            command, *arguments = self._server.command
            parameters = StdioServerParameters(
                command=sys.executable if command == "python" else command,
                args=arguments,
                env=_environment() | self._server.env,
                cwd=self._base,
            )
            said = sys.__stderr__ or sys.stderr  # the SDK's default is what stderr was when it was imported
            async with Client(stdio_client(parameters, errlog=said)) as client:
                yield client
        else:
            async with self._open_http() as client:
                yield client

    @contextlib.asynccontextmanager
    async def _open_http(self) -> AsyncIterator[Client]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        token = secret(self._server.token_env or "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(
                headers=headers,
                timeout=self._server.timeout.total_seconds(),
                event_hooks={"response": [self._note]},
            ) as http,
            Client(streamable_http_client(str(self._server.url), http_client=http)) as client,
        ):
            yield client


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    return await client.call_tool(tool, arguments)


async def _call_unchecked(client: Client, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """As `_call`, without comparing the result with the tool's schema, which costs more than most calls.

    A server in this process makes the schema and the result from the same types.
    """
    from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult

    request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
    return await client.session.send_request(request, CallToolResult)


async def _tools(client: Client) -> list[Tool]:
    """All pages of the server's tools."""
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor and len(tools) < MAX_TOOLS:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def _forget(sessions: set[_Session], session: _Session, _: object) -> None:
    sessions.discard(session)


def build_server(server: McpServer, config: Config, base: Path) -> Any:
    """The in-memory server of a `module:` section."""
    module = importlib.import_module(str(server.module))
    return module.build(module.Options(**server.options), config, base)


def _environment() -> dict[str, str]:
    """What a stdio child needs of our environment; secrets of other parts are not among it."""
    passed = {name: value for name in _PASSED_ON if (value := secret(name))}
    return passed | {"ASPORA_HOME": str(home()), "ASPORA_CONFIG": str(config_path())}
