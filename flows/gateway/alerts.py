"""`/alerts/prometheus`: what Alertmanager's webhook sends, version 4."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from flows.gateway import answers, body, door
from flows.gateway.intake import Message, Resolved
from tasks.domain import Incoming

ROUTE = "/alerts/prometheus"
router = APIRouter(tags=["Alerts"])


def _in_utc(at: datetime) -> datetime:
    """In UTC, which is meant where no zone is written."""
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


Texts = dict[str, str]


class Alert(BaseModel):
    """One alert; further keys are kept as they are."""

    model_config = ConfigDict(extra="allow")

    status: Literal["firing", "resolved"]
    labels: Texts = Field(description="What triggers match and group by.")
    annotations: Texts | None = None
    startsAt: Annotated[datetime, AfterValidator(_in_utc)]
    fingerprint: str = Field(min_length=1, max_length=200)

    @property
    def dedupe_key(self) -> str:
        """The same for each notification of this alert, firing or resolved, until it ends."""
        return f"prometheus:{self.fingerprint}:{self.startsAt.isoformat()}"

    @property
    def summary(self) -> str:
        """What it is about, in words."""
        notes = self.annotations or {}
        said = (notes.get(name) for name in ("summary", "description", "message"))
        return next(filter(None, said), self.labels.get("alertname", ""))


class AlertmanagerMessage(BaseModel):
    """A notification of Alertmanager's `webhook_configs`, for a group of alerts."""

    model_config = ConfigDict(extra="allow")

    version: Literal["4"]
    groupKey: str = Field("", description="Alerts of one group join one run.")
    alerts: list[Alert]


EXAMPLE = {
    "version": "4",
    "groupKey": '{}:{alertname="HighAPILatency"}',
    "status": "firing",
    "receiver": "aspora",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighAPILatency", "service": "payments-api", "severity": "critical"},
            "annotations": {"summary": "p99 latency of payments-api is 2.3 s"},
            "startsAt": "2026-02-17T08:05:32.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "c3a5f1d29b7e4460",
        }
    ],
}


@router.post(
    ROUTE,
    status_code=202,
    response_model=answers.KeptAlerts,
    response_description="All alerts are stored.",
    responses=answers.TAKING,
    openapi_extra=answers.body_of("AlertmanagerMessage", EXAMPLE, security=[{"gatewayToken": []}]),
    summary="Alerts from Prometheus Alertmanager",
)
async def take_alerts(request: Request) -> Response:
    """Point a receiver's `webhook_configs` here, with the gateway's token as its bearer token:

    ```yaml
    receivers:
      - name: aspora
        webhook_configs:
          - url: http://127.0.0.1:8321/alerts/prometheus
            send_resolved: true
            http_config: {authorization: {credentials_file: .aspora/gateway-token}}
    ```

    Each firing alert is one trigger: a repeated notification of it (same fingerprint and `startsAt`) is
    answered with the first one's id. A resolved alert ends what has not started, and is noted where a run is
    under way. Answered 202 once all are stored, with the alerts in the order they came.
    """
    desk = door.of(request)
    desk.admit_bearer(request, ROUTE)
    body.kind(request, "application/json")
    value = body.json_object(await body.raw(request, desk.config.gateway.max_body))
    notification = body.fitting(AlertmanagerMessage, value)
    pairs = zip(notification.alerts, value["alerts"], strict=True)
    stored = await desk.store([_message(alert, sent, notification.groupKey) for alert, sent in pairs])
    kept = answers.KeptAlerts(triggers=[answers.kept(trigger) for trigger in stored])
    return answers.json(kept, 202)


def _message(alert: Alert, sent: Mapping[str, Any], group: str) -> Message:
    if alert.status == "resolved":
        return Resolved(alert.dedupe_key)
    return Incoming(
        source="prometheus",
        dedupe_key=alert.dedupe_key,
        fields={"alertname": "", **alert.labels},
        text=alert.summary,
        data=sent,
        group=group,
    )
