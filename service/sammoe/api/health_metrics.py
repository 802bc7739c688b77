"""Metrics of what a click needs: queues with free places, models that run, a store to write to."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sammoe.segmentation import Workspace


class HealthMetrics(Collector):
    """Reads a workspace when metrics are asked for; asks no server and no disk itself."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def describe(self) -> tuple[Metric, ...]:
        """Nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of now."""
        yield from _queues(self._workspace)
        engine, health = self._workspace.engine, self._workspace.health
        models = GaugeMetricFamily(
            "sammoe_model_up",
            "1 while a model of the bundle can be run; with Triton, as the last look found.",
            labels=["model"],
        )
        for name, folder in engine.bundle.manifest.folders.items():
            models.add_metric([name], folder not in engine.missing)
        yield models
        yield GaugeMetricFamily(
            "sammoe_engine_up", "1 if clicks could be decoded at the last look.", health.engine
        )
        yield GaugeMetricFamily(
            "sammoe_store_up", "1 if the store could be written at the last look.", health.store
        )


def _queues(workspace: Workspace) -> Iterator[Metric]:
    calls = GaugeMetricFamily(
        "sammoe_queue_calls",
        "Calls in a queue: running, or waiting for a worker. What waits at Triton is running.",
        labels=["queue", "state"],
    )
    places = GaugeMetricFamily(
        "sammoe_queue_places",
        "How many calls a queue takes, running and waiting; one more is answered 429.",
        labels=["queue"],
    )
    for name, load in workspace.loads.items():
        calls.add_metric([name, "running"], load.running)
        calls.add_metric([name, "waiting"], load.waiting)
        places.add_metric([name], load.places)
    yield calls
    yield places
