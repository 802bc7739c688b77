"""Metrics of the bundle that answers, and of how often it was exchanged."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from sammoe.segmentation import Workspace


class BundleMetrics(Collector):
    """Reads a workspace when metrics are asked for.

    Front ends whose ``sammoe_bundle_info`` differs for longer than a minute do not serve the same.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def describe(self) -> tuple[Metric, ...]:
        """Nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of now."""
        bundle, swaps = self._workspace.bundle, self._workspace.swaps
        yield InfoMetricFamily(
            "sammoe_bundle",
            "The bundle that answers.",
            value={"name": bundle.manifest.name, "digest": bundle.digest},
        )
        yield GaugeMetricFamily(
            "sammoe_bundle_awaited",
            "1 while another bundle is active than the one that answers.",
            value=swaps.awaited is not None,
        )
        swapped = CounterMetricFamily(
            "sammoe_bundle_swaps",
            "Bundles published while this process served, by what became of them.",
            labels=["outcome"],
        )
        swapped.add_metric(["switched"], swaps.switched)
        swapped.add_metric(["refused"], swaps.refused)
        yield swapped
