"""Metrics of the levels at which an embedding is looked for: this process's memory, then Redis."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sammoe.segmentation import Workspace
from sammoe.store import CacheCounters, SharedCounters

_OUTCOMES = {"hit": "hits", "miss": "misses", "joined": "joined", "damaged": "damaged"}
"""Label to counter."""


class CacheMetrics(Collector):
    """Reads a workspace's counters when metrics are asked for.

    Of the outcomes, ``joined`` are the misses that waited for somebody else's encode: another
    request's of this process (``memory``), another process's (``redis``).
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def describe(self) -> tuple[Metric, ...]:
        """Nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of now; those of Redis only where there is one."""
        memory, shared = self._workspace.cache, self._workspace.shared
        looked = CounterMetricFamily(
            "sammoe_embeddings",
            "Embeddings looked for, by level and outcome.",
            labels=["level", "outcome"],
        )
        _add(looked, "memory", memory.counters)
        if shared is not None:
            _add(looked, "redis", shared.counters)
            yield from _redis(shared.counters)
        yield looked
        made = memory.counters if shared is None else shared.counters
        yield CounterMetricFamily(
            "sammoe_encodes",
            "Encodes that this process began, for clicks and ahead of them.",
            value=made.misses - made.joined,
        )
        yield GaugeMetricFamily(
            "sammoe_embedding_memory_bytes",
            "Embeddings kept in memory.",
            value=memory.counters.bytes,
        )


def _add(looked: CounterMetricFamily, level: str, counters: CacheCounters | SharedCounters) -> None:
    for outcome, counter in _OUTCOMES.items():
        looked.add_metric([level, outcome], getattr(counters, counter))


def _redis(counters: SharedCounters) -> Iterator[Metric]:
    refused = CounterMetricFamily(
        "sammoe_redis_errors",
        "Operations that failed or took too long, or that Redis had no memory for.",
        labels=["kind"],
    )
    refused.add_metric(["failed"], counters.errors)
    refused.add_metric(["full"], counters.full)
    yield refused
    yield GaugeMetricFamily(
        "sammoe_redis_breaker_open",
        "1 while Redis failed so often that it is left alone.",
        value=counters.away,
    )
