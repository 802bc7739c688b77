"""Metrics and request logs, without patient data and without globals.

Labels are bounded: methods and routes come from closed sets (route *templates*, never paths),
experts from the bundles that were served. Logs hold a request id, route template, status and times:
never a path, a query, a file name, a prompt or a message of an exception, any of which could name a
patient.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sammoe import __version__

METRICS_TYPE: Final = CONTENT_TYPE_LATEST
"""Content type of :meth:`Telemetry.exposition`."""

UNMATCHED: Final = "unmatched"
"""Route label of a request that no route took."""

OTHER: Final = "other"
"""Label of anything outside a closed set."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)

access_log = logging.getLogger("sammoe.access")
error_log = logging.getLogger("sammoe.errors")


class Telemetry:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self._uploaded = Counter(
            "sammoe_uploaded_bytes", "Bytes of uploaded scans.", registry=self.registry
        )
        info = Gauge("sammoe_info", "The running version.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a template or :data:`UNMATCHED`."""
        known = method if method in _METHODS else OTHER
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def segmentation(
        self, expert: str, *, fused: bool, phases_ms: Mapping[str, float], cache: str
    ) -> None:
        """Count one segmentation: whose mask (``general`` or an expert of a bundle that was
        served), its phases in ms, and ``hit`` or ``miss``.
        """
        self._segmentations.labels(expert, str(fused).lower()).inc()
        self._cache.labels(cache).inc()
        for phase, milliseconds in phases_ms.items():
            self._phases.labels(phase).observe(milliseconds / 1000)

    def upload(self, size: int) -> None:
        """Count the bytes of one upload."""
        self._uploaded.inc(size)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return generate_latest(self.registry)


def log_request(request_id: str, method: str, route: str, status: int, seconds: float) -> None:
    """One line per request."""
    access_log.info(
        "request_id=%s method=%s route=%s status=%d ms=%.1f",
        request_id,
        method if method in _METHODS else OTHER,
        route,
        status,
        seconds * 1000,
    )


def log_failure(request_id: str, error: BaseException) -> None:
    """A fault of ours: the exception's type and frames, without its message or any value."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    error_log.error(
        "request_id=%s exception=%s at %s", request_id, type(error).__qualname__, places
    )


def configure_logging(level: str) -> None:
    """Send the service's own log lines to stderr, from ``level`` (``debug`` ... ``error``) up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("sammoe")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    # At a lower level they log addresses, which hold UIDs of patients' studies.
    for library in ("httpcore", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
