"""`/healthz` and `/readyz`: for who runs the gateway."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response

from blocks.config_file import ConfigError, load
from blocks.database import Database, DatabaseError
from blocks.home import config_path
from flows.gateway import answers, door

SECONDS = 5.0
router = APIRouter(tags=["Health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether messages can be taken."""

    status: Literal["ready", "not ready"]
    reasons: list[str] = Field(description="Why not.")
    config: str = Field(description="Whether the config file is still the one that was read at start.")


class ConfigFile:
    """The config file as it was read, to tell later whether it changed."""

    def __init__(self) -> None:
        self._path = config_path()
        self._read = _digest(self._path)

    def compared(self) -> str:
        """What became of the file since, for people."""
        if _digest(self._path) == self._read:
            return "as read at start"
        try:
            load(self._path)
        except ConfigError as error:
            return f"changed since start, and does not load, so don't restart yet: {error}"
        return "changed since start; restart the gateway to use it"


@router.get("/healthz", response_model=Alive, response_description="It is.", summary="Alive")
async def healthz() -> Response:
    """200 as long as the process answers."""
    return answers.json(Alive())


@router.get(
    "/readyz",
    response_model=Ready,
    response_description="Messages can be stored.",
    responses={503: {"model": Ready, "description": "Messages can't be stored now."}},
    summary="Ready",
)
async def readyz(request: Request) -> Response:
    """200 if messages can be stored now: the config was loaded and the database answers; 503 with the reasons
    otherwise.

    The config is read once, at start. `config` says when the file has changed since, and whether it still
    loads; a restart makes the gateway use it.
    """
    desk = door.of(request)
    reasons = await _reasons(desk.platform.database)
    file: ConfigFile = request.app.state.config_file
    config = await asyncio.to_thread(file.compared)
    ready = Ready(status="not ready" if reasons else "ready", reasons=reasons, config=config)
    return answers.json(ready, 503 if reasons else 200)


async def _reasons(database: Database) -> list[str]:
    try:
        async with asyncio.timeout(SECONDS):
            await database.read(lambda conn: conn.execute(text("SELECT 1 FROM triggers LIMIT 1")).first())
    except DatabaseError as error:
        return [str(error)]
    except TimeoutError:
        return [f"the database did not answer within {SECONDS:g} s"]
    return []


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
