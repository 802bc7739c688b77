"""Metrics in Prometheus' text form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sammoe import __version__
from sammoe.errors import SammoeError

METRICS_TYPE: Final = CONTENT_TYPE_LATEST
"""Content type of :meth:`Telemetry.exposition`."""

UNMATCHED: Final = "unmatched"
"""Route label of a request that no route took."""

OTHER: Final = "other"
"""Label of anything outside a closed set."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
_SCORES = tuple(n / 20 for n in range(1, 21))


def known_method(method: str) -> str:
    """An HTTP method, or :data:`OTHER` for one that somebody made up."""
    return method if method in _METHODS else OTHER


@dataclass(frozen=True)
class Routed:
    """What is counted of a segmentation's route.

    Attributes
    ----------
    used
        Whose mask it is: ``general`` or an expert of a bundle that was served.
    fused
        Whether two masks were mixed.
    check
        The verdict on the best expert's mask, or None where there was none.
    s_top
        The best expert's score, or None where no gate was asked.
    """

    used: str
    fused: bool = False
    check: str | None = None
    s_top: float | None = None


class Telemetry:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "sammoe_http_requests",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "sammoe_http_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "sammoe_http_requests_in_flight", "HTTP requests under way.", registry=self.registry
        )
        self._refusals = Counter(
            "sammoe_refusals",
            "Requests answered with a problem, by its code.",
            ["code"],
            registry=self.registry,
        )
        self._phases = Histogram(
            "sammoe_phase_seconds",
            "Time of one phase of a segmentation.",
            ["phase"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._cache = Counter(
            "sammoe_embedding_cache",
            "Segmentations by whether their embedding was at hand.",
            ["outcome"],
            registry=self.registry,
        )
        self._segmentations = Counter(
            "sammoe_segmentations",
            "Segmentations made, by whose mask was used and whether it was fused.",
            ["expert", "fused"],
            registry=self.registry,
        )
        self._checks = Counter(
            "sammoe_expert_checks",
            "Masks of experts that were sure enough, by the consistency check's verdict.",
            ["verdict"],
            registry=self.registry,
        )
        self._scores = Histogram(
            "sammoe_gate_score",
            "The best expert's score, where the gate was asked.",
            buckets=_SCORES,
            registry=self.registry,
        )
        self._uploaded = Counter(
            "sammoe_uploaded_bytes", "Bytes of uploaded scans.", registry=self.registry
        )
        # From 0 on: of a series that begins with its first event, nobody sees that one increase.
        for code in ("internal_server_error", *_codes(SammoeError)):
            self._refusals.labels(code)
        for verdict in ("accepted", "rejected", "failed"):
            self._checks.labels(verdict)
        for outcome in ("hit", "miss"):
            self._cache.labels(outcome)
        info = Gauge("sammoe_info", "The running version.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a template or :data:`UNMATCHED`."""
        self._requests.labels(known_method(method), route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refusal(self, code: str) -> None:
        """Count one problem by its code, one of the tree of exceptions."""
        self._refusals.labels(code).inc()

    def segmentation(self, routed: Routed, *, phases_ms: Mapping[str, float], cache: str) -> None:
        """Count one segmentation: its route, its phases in ms, and ``hit`` or ``miss``."""
        self._segmentations.labels(routed.used, str(routed.fused).lower()).inc()
        self._cache.labels(cache).inc()
        if routed.check is not None:
            self._checks.labels(routed.check).inc()
        if routed.s_top is not None:
            self._scores.observe(routed.s_top)
        for phase, milliseconds in phases_ms.items():
            self._phases.labels(phase).observe(milliseconds / 1000)

    def upload(self, size: int) -> None:
        """Count the bytes of one upload."""
        self._uploaded.inc(size)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return generate_latest(self.registry)


def _codes(kind: type[SammoeError]) -> set[str]:
    """Of a refusal and all kinds of it."""
    return {kind.code}.union(*(_codes(below) for below in kind.__subclasses__()))
