"""Numbers with labels as Prometheus takes them: summed, bounded, written as its text format or OpenMetrics.

Of each metric only so many series are told; the rest is summed as `other`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, exposition, openmetrics
from prometheus_client.core import Exemplar, Metric

from blocks.printable import printable
from tasks import tally

MOST_SERIES = 1000
"""Label sets of one metric."""
MOST_HISTOGRAMS = 200
"""Label sets of one histogram, each with its buckets."""
LONGEST_LABEL = 200
OTHER = "other"
TEXT = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS = openmetrics.exposition.CONTENT_TYPE_LATEST
_BOUNDS = {f"{bound:g}": str(float(bound)) for bound in tally.BUCKETS} | {tally.ENDLESS: tally.ENDLESS}
"""Bucket of the totals → `le`."""
_SUM = "sum"

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


def text(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The metrics as a client takes them, and their content type.

    Args:
        accept: the request's Accept header; OpenMetrics, which alone has exemplars, where it is named.
    """
    registry: Any = CollectorRegistry()
    registry.register(_Collected(tuple(metrics)))
    asked = "application/openmetrics-text" in accept
    write: Any = openmetrics.exposition.generate_latest if asked else exposition.generate_latest
    return write(registry, escaping=openmetrics.exposition.ALLOWUTF8), OPENMETRICS if asked else TEXT


def told(name: str, kind: str, documentation: str, names: Labels, samples: Mapping[Labels, float]) -> Metric:
    """A metric of these samples.

    Args:
        kind: `counter`, whose name ends with `_total`, `gauge` or `unknown`.
        names: of the labels.
    """
    metric = Metric(name.removesuffix("_total") if kind == "counter" else name, documentation, kind)
    for labels, value in {_clean(labels): value for labels, value in samples.items()}.items():
        metric.add_sample(name, dict(zip(names, labels, strict=True)), value)
    return metric


def sums(seeds: Iterable[Labels], rows: Iterable[tuple[Labels, int]]) -> dict[Labels, float]:
    """Numbers summed by their labels; 0 for seeds that none has."""
    found = _summed(seeds, ((labels, Counter({_SUM: number})) for labels, number in rows))
    return {labels: amounts[_SUM] for labels, amounts in found.items()}


def shares(whole: Iterable[tuple[Labels, int]], without: Iterable[tuple[Labels, int]]) -> dict[Labels, float]:
    """By labels, the share of the whole that remains without a part of it; none where there is no whole."""
    rows = [(labels, Counter(whole=number)) for labels, number in whole]
    rows += [(labels, Counter(without=number)) for labels, number in without]
    return {
        labels: 1 - min(1.0, amounts["without"] / amounts["whole"])
        for labels, amounts in _summed((), rows).items()
        if amounts["whole"]
    }


def histogram(
    name: str,
    documentation: str,
    names: Labels,
    seeds: Iterable[Labels],
    rows: Iterable[tuple[Labels, Any]],
) -> Metric:
    """Latencies. Each bucket's exemplar is the execution that last fell into it.

    Args:
        rows: labels, and a row of `execution_totals`.
    """
    amounts, last = [], dict[tuple[Labels, str], Any]()
    for labels, row in rows:
        place = _clean(labels)
        amounts.append((place, Counter({row.bucket: row.executions, _SUM: row.latency_seconds})))
        newest = last.get((place, row.bucket))
        if row.exemplar and (newest is None or row.exemplar_at >= newest.exemplar_at):
            last[place, row.bucket] = row
    metric = Metric(name, documentation, "histogram")
    for place, found in _summed(seeds, amounts, MOST_HISTOGRAMS).items():
        labelled, below = dict(zip(names, place, strict=True)), 0
        for bucket, bound in _BOUNDS.items():
            below += found[bucket]
            exemplar = _exemplar(last.get((place, bucket)))
            metric.add_sample(f"{name}_bucket", {**labelled, "le": bound}, below, exemplar=exemplar)
        metric.add_sample(f"{name}_count", labelled, below)
        metric.add_sample(f"{name}_sum", labelled, found[_SUM])
    return metric


def trace_id(execution_id: str) -> str:
    """The id of an execution's trace in Langfuse, as its `create_trace_id(seed=execution_id)` gives it."""
    return hashlib.sha256(execution_id.encode()).digest()[:16].hex()


class _Collected:
    """Collects what is given to it."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        return self._metrics


def _exemplar(row: Any) -> Exemplar | None:
    if row is None:
        return None
    at = round(row.exemplar_at.timestamp(), 3)
    return Exemplar({"trace_id": trace_id(row.exemplar)}, row.exemplar_seconds, at)


def _summed(
    seeds: Iterable[Labels], rows: Iterable[tuple[Labels, Counter[str]]], most: int = MOST_SERIES
) -> dict[Labels, Counter[str]]:
    """Amounts by their labels, seeds first. Of more than `most` the last ones of the alphabet are `other`."""
    found: dict[Labels, Counter[str]] = {_clean(labels): Counter() for labels in seeds}
    seeded = list(found)
    for labels, amounts in rows:
        found.setdefault(_clean(labels), Counter()).update(amounts)
    if len(found) <= most:
        return found
    ordered = seeded + sorted(found.keys() - set(seeded))
    kept = {labels: found[labels] for labels in ordered[: most - 1]}
    rest = kept.setdefault((OTHER,) * len(ordered[0]), Counter())
    for labels in ordered[most - 1 :]:
        rest.update(found[labels])
    return kept


def _clean(labels: Labels) -> Labels:
    return tuple(printable(each)[:LONGEST_LABEL] for each in labels)
