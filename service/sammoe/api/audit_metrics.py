"""A metric of the audit log."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sammoe.audit import AuditLog


class AuditMetrics(Collector):
    """Asks a log; None: there is none, and nothing that could fail."""

    def __init__(self, log: AuditLog | None) -> None:
        self._log = log

    def describe(self) -> tuple[Metric, ...]:
        """Nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The family of now."""
        yield GaugeMetricFamily(
            "sammoe_audit_log_up",
            "1 if the audit log could be written at the last trial, or there is none.",
            self._log is None or self._log.works,
        )
