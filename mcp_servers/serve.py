"""Run one MCP server alone: over stdio, or over streamable HTTP behind a bearer token."""

from __future__ import annotations

import argparse
import hmac
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import yaml
from mcp.server import MCPServer
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from blocks import home
from blocks.config import Config, McpServer

TOKEN_ENV = "ASPORA_MCP_TOKEN"  # noqa: S105
"""The environment variable that holds the bearer token of a server over HTTP."""

BAD_USAGE = 2
"""Exit code for a wrong argument, config or environment."""

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class ServeError(Exception):
    """The server can't start; the text says why and what to do."""


class BearerAuth:
    """ASGI: lets a request through that carries the token, and answers 401 to every other."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lifespan events pass; an HTTP request needs `Authorization: Bearer …`; nothing else is served."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._allowed(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _unauthorized(send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _allowed(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(b"%s %s" % (scheme.title(), token.strip()), self._expected)


async def _unauthorized(send: Send) -> None:
    body = b'{"error": "unauthorized: this server needs the header Authorization: Bearer <token>"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(
    name: str,
    options: type[OptionsT],
    build: Callable[[OptionsT, Config, Path], MCPServer],
    arguments: Sequence[str] | None = None,
) -> None:
    """Serve until the client hangs up or Ctrl-C. Nothing but the protocol goes to stdout.

    Args:
        name: the server's name in `mcp_servers:`, such as `logs-mcp`.
        options: the model of the server's own keys in its config section.
        build: makes the server from its options, the config, and the config file's directory.
        arguments: the command line; by default this process's.

    Raises:
        SystemExit: 2 with a message on stderr if config, arguments or environment are wrong.
    """
    given = _parser(name).parse_args(arguments)
    try:
        server = _build(name, options, build, given)
        if given.http:
            anyio.run(_serve_http, server, *_address(given.http), _token())
        else:
            anyio.run(server.run_stdio_async)
    except ServeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(BAD_USAGE) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_module(name)}",
        description=f"The MCP server {name}: over stdio, or over streamable HTTP with --http.",
        epilog=f"Over HTTP the endpoint is /mcp, and {TOKEN_ENV} must hold the bearer token of the clients.",
    )
    parser.add_argument("--config", metavar="FILE", help="default ASPORA_CONFIG, else aspora.config.yaml")
    parser.add_argument("--section", metavar="NAME", help="which of mcp_servers: to take, if several fit")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="an option, instead of the config's"
    )
    parser.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP there, instead of stdio")
    return parser


def _module(name: str) -> str:
    """The module that runs as the main one, of this package or a domain's; else by the server's name."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    running = spec.name.removesuffix(".__main__") if spec else ""
    own = running.startswith(("mcp_servers.", "flows."))
    return running if own else f"mcp_servers.{name.removesuffix('-mcp')}"


def _build(
    name: str,
    options: type[OptionsT],
    build: Callable[[OptionsT, Config, Path], MCPServer],
    given: argparse.Namespace,
) -> MCPServer:
    from blocks.config_file import ConfigError, load

    path = Path(given.config).expanduser().resolve() if given.config else home.config_path()
    try:
        config = load(path)
    except ConfigError as error:
        raise ServeError(str(error)) from error
    section, values = _section(config, name, given.section)
    values.update(_assignment(text) for text in given.set)
    try:
        return build(options.model_validate(values), config, path.parent)
    except ValidationError as error:
        raise ServeError(f"{path}: mcp_servers.{section}: {_explain(error)}") from error
    except (OSError, ValueError) as error:
        raise ServeError(f"{path}: mcp_servers.{section}: {error}") from error


def _section(config: Config, name: str, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """The config section that runs this module, as name and options; no options if there is none."""
    module = _module(name)
    found: dict[str, McpServer] = {k: s for k, s in config.mcp_servers.items() if s.module == module}
    if wanted and wanted not in found:
        raise ServeError(f"no section {wanted} with module {module} in mcp_servers:; there is {_list(found)}")
    if not wanted and len(found) > 1 and name not in found:
        raise ServeError(f"several sections run {module}: {_list(found)}; choose one with --section")
    chosen = wanted or (name if name in found else next(iter(found), ""))
    return chosen or name, found[chosen].options if chosen else {}


def _list(names: dict[str, McpServer]) -> str:
    return ", ".join(names) or "none"


def _assignment(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ServeError(f"--set {text}: write it as KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ServeError(f"--set {text}: the value is no YAML ({error})") from error


def _explain(error: ValidationError) -> str:
    places = ((".".join(str(part) for part in item["loc"]) or "options", item) for item in error.errors())
    return "; ".join(f"{place}: {item['msg']}" for place, item in places)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ServeError(f"--http {text}: write it as HOST:PORT, such as 127.0.0.1:8765")
    return host.strip("[]"), int(port)


def _token() -> str:
    token = os.environ.get(TOKEN_ENV, "").strip()
    if not token:
        raise ServeError(f"{TOKEN_ENV} is not set; over HTTP every client must send it as bearer token")
    return token


async def _serve_http(server: MCPServer, host: str, port: int, token: str) -> None:
    import uvicorn

    app = BearerAuth(server.streamable_http_app(host=host), token)
    settings = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="on")
    print(f"{server.name}: http://{host}:{port}/mcp", file=sys.stderr)
    await uvicorn.Server(settings).serve()
