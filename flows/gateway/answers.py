"""What the gateway answers, as models of its OpenAPI page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import JSONResponse

from tasks.inbox import Result, State, Trigger

_EXAMPLE: dict[str, JsonValue] = {
    "id": "trg-5f0c9a1be2d34e77",
    "state": "pending",
    "reason": "",
    "run_id": "auto-rca-2026-02-17-08:05:32-3c4d",
}


class Kept(BaseModel):
    """A message that is stored, and what becomes of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str | None = Field(description="The trigger's id; null for an alert that ended and never came in.")
    state: State | None = Field(
        description="`pending`: its run starts soon. `deferred`: it starts later. `counted`, `grouped`, "
        "`suppressed`: it starts none of its own. `unmatched`, `refused`: it starts none; `reason` says why."
    )
    reason: str = Field("", description="Why, in words.")
    run_id: str | None = Field(None, description="The run that it starts.")


class KeptAlerts(BaseModel):
    """The alerts of one notification, in its order."""

    triggers: list[Kept]


class Followed(Kept):
    """A trigger as it stands now."""

    source: str
    domain: str = Field(description="Empty if no trigger of the config matches.")
    result: Result | None = Field(description="How its run ended; null before that.")
    part_of: str | None = Field(description="The trigger whose run it joined.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    resolved_at: datetime | None = Field(description="When its alert ended.")


class FieldFault(BaseModel):
    """What is wrong with one field of a body."""

    field: str
    reason: str


class Problem(BaseModel):
    """A request that was not let in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "the bearer token is missing or wrong; send …"}]}
    )

    error: str = Field(description="What is wrong and what to do.")
    fields: list[FieldFault] | None = Field(None, description="Where the body does not fit, if that is why.")
    id: str | None = Field(None, description="The stored trigger, if it was kept nevertheless.")
    state: State | None = None


def kept(trigger: Trigger | None) -> Kept:
    """How a stored message is answered."""
    if trigger is None:
        return Kept(id=None, state=None, reason="this alert ended, and it never came in here")
    own = trigger.part_of is None and trigger.state not in ("unmatched", "refused", "suppressed", "counted")
    return Kept(
        id=trigger.id, state=trigger.state, reason=trigger.reason, run_id=trigger.run_id if own else None
    )


def followed(trigger: Trigger) -> Followed:
    """A trigger for who asks after it."""
    return Followed.model_validate(
        {**trigger.model_dump(include=set(Followed.model_fields)), **kept(trigger).model_dump()}
    )


def json(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer as JSON."""
    return JSONResponse(model.model_dump(mode="json"), status, headers)


_SAID = {
    400: "The body can't be read, or a header was sent twice.",
    401: "The sender has not proven who it is.",
    403: "The verify token is wrong.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It was taken already, and is not taken again.",
    413: "The body is too large.",
    415: "The body is of another kind, or compressed.",
    422: "The body does not fit.",
    429: "Too many requests at once; Retry-After says when to come again.",
    503: "It could not be stored, or this is not set up; send it again later.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route to what it does not take, for the OpenAPI page."""
    return {status: {"model": Problem, "description": _SAID[status]} for status in statuses}


def plain_text(description: str) -> dict[int | str, dict[str, Any]]:
    """The answer 200 of a route that answers with text, for the OpenAPI page."""
    return {200: {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}}


TAKING = problems(400, 401, 408, 413, 415, 422, 429, 503)
"""Of routes that take bodies."""


def body_of(name: str, example: Any, media: str = "application/json", **security: Any) -> dict[str, Any]:
    """A route's body for the OpenAPI page; it is read by the route itself, from the raw bytes.

    Args:
        name: the schema's.
    """
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {media: {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}, **security}
