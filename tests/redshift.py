"""A relay before a real PostgreSQL that answers Redshift's drivers as Redshift does, where the wire allows.

It refuses TLS, takes away what PostgreSQL refuses at the start, tells Redshift's server version, gives
results the extended description of protocol 1, and words errors as Redshift does. It keeps every statement
that it passes on. Redshift's binary protocol (2) can't be had: PostgreSQL never sends Redshift's form of
numbers.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

TLS_REQUEST = 80877103
OWN = ("client_protocol_version", "driver_version", "os_version", "driver_discovery_version")
"""What redshift_connector tells at the start and PostgreSQL takes for unknown settings."""
VERSION = b"8.0.2"
WORDS = {b"canceling statement due to statement timeout": b"Query (150) cancelled on user's request"}
DRIVERS = ("redshift+psycopg2", "redshift+redshift_connector")


@dataclass
class Relay:
    """The relay while it runs.

    Attributes:
        protocol: the newest protocol it offers: 0, or 1 with schema and table of each result column.
        words: PostgreSQL's error messages and what is said in their place.
        heard: the statements that went through, oldest first.
        starts: the settings that each connection began with.
        silent: answers are swallowed.
        types: result column → the number of the type that is told in place of its own.
    """

    server: sa.URL
    protocol: int = 1
    words: dict[bytes, bytes] = field(default_factory=lambda: dict(WORDS))
    heard: list[str] = field(default_factory=list)
    starts: list[dict[str, str]] = field(default_factory=list)
    silent: bool = False
    types: dict[str, int] = field(default_factory=dict)
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, driver: str, **query: str) -> str:
        """The URL by which a warehouse reads PostgreSQL through this relay."""
        plain = {"sslmode": "disable"} if driver.endswith("psycopg2") else {"ssl": "false"}
        url = self.server.set(drivername=driver, host="127.0.0.1", port=self._listener.getsockname()[1])
        return url.set(query=plain | query, password="through-the-relay").render_as_string(
            hide_password=False
        )

    def drop(self) -> None:
        """Cuts all connections, as a load balancer does with idle ones."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        """Stops listening and cuts all connections."""
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            start = _start(client)
            server = _connected(self.server)
            self._open += [client, server]
            extended = self.protocol if start.pop("client_protocol_version", "0") >= "1" else 0
            self.starts.append(start)
            server.sendall(_packed({name: value for name, value in start.items() if name not in OWN}))
            back = threading.Thread(target=self._answers, args=(server, client, extended), daemon=True)
            back.start()
            for kind, body in _messages(client):
                self._hear(kind, body)
                server.sendall(_message(kind, body))
        except OSError:
            pass
        finally:
            client.close()

    def _hear(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self.heard.append(body[:-1].decode())
        elif kind == b"P":
            self.heard.append(body.split(b"\0")[1].decode())

    def _answers(self, server: socket.socket, client: socket.socket, extended: int) -> None:
        try:
            for kind, body in _messages(server):
                if self.silent:
                    continue
                client.sendall(_message(kind, self._changed(kind, body, extended)))
                if kind == b"R" and extended and body == struct.pack("!i", 0):
                    client.sendall(_message(b"S", b"server_protocol_version\0%d\0" % extended))
        except OSError:
            pass
        finally:
            server.close()
            client.close()

    def _changed(self, kind: bytes, body: bytes, extended: int) -> bytes:
        if kind == b"S" and body.startswith(b"server_version\0"):
            return b"server_version\0" + VERSION + b"\0"
        if kind == b"E":
            for said, instead in self.words.items():
                body = body.replace(said, instead)
        return _described(body, self.types, extended) if kind == b"T" else body


def _start(client: socket.socket) -> dict[str, str]:
    while True:
        (length,) = struct.unpack("!i", _exactly(client, 4))
        body = _exactly(client, length - 4)
        if struct.unpack("!i", body[:4])[0] != TLS_REQUEST:
            break
        client.sendall(b"N")
    words = [word.decode() for word in body[4:].rstrip(b"\0").split(b"\0")]
    return dict(zip(words[::2], words[1::2], strict=False))


def _packed(settings: Mapping[str, str]) -> bytes:
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in settings.items())
    body = struct.pack("!i", 196608) + words + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _connected(url: sa.URL) -> socket.socket:
    folder = url.query.get("host")
    if not folder:
        return socket.create_connection((url.host or "127.0.0.1", url.port or 5432))
    server = socket.socket(socket.AF_UNIX)
    server.connect(str(Path(str(folder)) / f".s.PGSQL.{url.port or 5432}"))
    return server


def _messages(peer: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    while kind := peer.recv(1):
        (length,) = struct.unpack("!i", _exactly(peer, 4))
        yield kind, _exactly(peer, length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _exactly(peer: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = peer.recv(length - len(parts))
        if not part:
            raise ConnectionError("cut")
        parts += part
    return bytes(parts)


def _described(body: bytes, types: Mapping[str, int], extended: int) -> bytes:
    """A description of result columns: other types, and for protocol 1 schema, table, catalog and flags."""
    (count,) = struct.unpack("!h", body[:2])
    found, at = bytearray(body[:2]), 2
    for _ in range(count):
        end = body.index(b"\0", at)
        name = body[at:end]
        column = list(struct.unpack("!ihihih", body[end + 1 : end + 19]))
        column[2] = types.get(name.decode(), column[2])
        found += name + b"\0" + struct.pack("!ihihih", *column)
        found += b"public\0\0" + name + b"\0dev\0" + struct.pack("!h", 1) if extended else b""
        at = end + 19
    return bytes(found)


@pytest.fixture(name="relay")
def new_relay(postgres: sa.URL) -> Iterator[Relay]:
    """A relay of a test's own before the shared PostgreSQL."""
    relay = Relay(postgres)
    yield relay
    relay.close()
