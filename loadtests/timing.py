"""Timing two things against each other in one process."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tqdm import tqdm


@dataclass(frozen=True)
class Times:
    """Seconds of each run, in the order in which they ran."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median * 1e3:9.2f} ms (min {low * 1e3:.2f}, max {high * 1e3:.2f})"


def interleave(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Call each of ``runs`` once per round, in turn, after one warm-up round.

    Whatever disturbs the machine then disturbs them all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in tqdm(range(rounds + 1), unit="round", delay=2, leave=False):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if number > 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: Times(tuple(values)) for name, values in seconds.items()}
