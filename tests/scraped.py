"""What a scrape of a record tells, by name and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from blocks.config import Config
from blocks.config_file import load
from blocks.database import Database
from blocks.home import ROOT
from blocks.model import Provider
from tasks import exposition, reading, series

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
RISING = (
    "_total", "_count", "_sum", "_bucket", "_cost_dollars", "_total_dollars", "_routing_decisions",
)  # fmt: skip
"""How the names of samples end that never fall."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@cache
def project() -> Config:
    """The project's own config."""
    return load(ROOT / "aspora.config.yaml")


def written(
    database: Database,
    accept: str = "",
    *,
    now: datetime | None = None,
    config: Config | None = None,
    provider: Provider = "anthropic",
    destinations: Sequence[str] = (),
) -> str:
    """What `/metrics` says of a record."""
    known = exposition.known(config or project(), provider)
    found = database.read_now(lambda conn: reading.read(conn, known.scopes, destinations, now))
    return series.text(exposition.metrics(found, known), accept)[0].decode()


def families(text: str) -> list[Metric]:
    """What a parser makes of it: the strict one of OpenMetrics where that is what it is."""
    return list(read_openmetrics(text) if text.endswith("# EOF\n") else read_text(text))


def samples(text: str) -> Samples:
    """Its samples; none is told twice."""
    every = [each for family in families(text) for each in family.samples]
    found = {(each.name, frozenset(each.labels.items())): each.value for each in every}
    assert len(found) == len(every)
    return found


def of(found: Samples, name: str, **labels: str) -> float | None:
    """The sample of these labels."""
    return found.get((name, frozenset(labels.items())))


def every(found: Samples, name: str) -> list[tuple[Mapping[str, str], float]]:
    """All samples of a name."""
    return [(dict(labels), value) for (each, labels), value in found.items() if each == name]
