"""Connections to MCP servers: in memory, over stdio, or over streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.config import Config, McpServer
from blocks.home import config_path, home

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

CONNECT_SECONDS = 20.0
_PASSED_ON = ("PATH", "HOME", "ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "SSL_CERT_FILE")


class McpUnavailable(Exception):
    """A server could not be reached, or did not answer in time. The message is for people."""


class Connection:
    """One server's connection. It lives in a task of its own, since MCP wants to be entered and left in one.

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
        self._client: asyncio.Future[Client] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._lock = asyncio.Lock()

    async def tools(self) -> list[Tool]:
        """The server's tools.

        Raises:
            McpUnavailable: it can't be reached.
        """
        client = await self._connected()
        try:
            async with asyncio.timeout(self._seconds):
                return (await client.list_tools()).tools
        except Exception as error:
            raise await self._failed("list its tools", error) from error

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Calls a tool. What the tool itself refuses is a result with `is_error`, not an exception.

        Raises:
            McpUnavailable: the server died or did not answer in time.
        """
        client = await self._connected()
        try:
            async with asyncio.timeout(self._seconds):
                return await client.call_tool(tool, arguments)
        except Exception as error:
            raise await self._failed(f"answer {tool}", error) from error

    async def close(self) -> None:
        """Ends the connection, and the child process of a stdio server."""
        self._closing.set()
        if self._task:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), 5)
            self._task.cancel()
        self._task = self._client = None

    @property
    def _seconds(self) -> float:
        return self._server.timeout.total_seconds()

    async def _connected(self) -> Client:
        async with self._lock:
            if self._client is None:
                self._closing = asyncio.Event()
                self._client = asyncio.get_running_loop().create_future()
                self._task = asyncio.create_task(self._live(self._client, self._closing))
            client = self._client
        try:
            return await asyncio.wait_for(asyncio.shield(client), CONNECT_SECONDS)
        except Exception as error:
            raise await self._failed("accept a connection", error) from error

    async def _live(self, client: asyncio.Future[Client], closing: asyncio.Event) -> None:
        try:
            async with self._open() as opened:
                client.set_result(opened)
                await closing.wait()
        except Exception as error:
            if not client.done():
                client.set_exception(error)
                client.exception()

    async def _failed(self, deed: str, error: BaseException) -> McpUnavailable:
        await self.close()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        what = f"no answer within {self._seconds:g} s" if isinstance(error, TimeoutError) else str(error)
        return McpUnavailable(
            f"MCP server {self.name} ({self._address}) did not {deed}: {what or type(error).__name__}; "
            f"check mcp_servers.{self.name}"
        )

    @property
    def _address(self) -> str:
        return self._server.module or self._server.url or shlex.join(self._server.command or [])

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Client]:
        from mcp import Client, StdioServerParameters

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
            async with Client(parameters) as client:
                yield client
        else:
            async with self._open_http() as client:
                yield client

    @contextlib.asynccontextmanager
    async def _open_http(self) -> AsyncIterator[Client]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        token = os.environ.get(self._server.token_env or "", "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=self._seconds) as http,
            Client(streamable_http_client(str(self._server.url), http_client=http)) as client,
        ):
            yield client


def build_server(server: McpServer, config: Config, base: Path) -> Any:
    """The in-memory server of a `module:` section."""
    module = importlib.import_module(str(server.module))
    return module.build(module.Options(**server.options), config, base)


def _environment() -> dict[str, str]:
    """What a stdio child needs of our environment; secrets of other parts are not among it."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {"ASPORA_HOME": str(home()), "ASPORA_CONFIG": str(config_path())}
