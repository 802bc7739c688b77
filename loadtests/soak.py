"""Half an hour of journeys on the whole service: does anything grow that should not?

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.soak [--minutes 30]

A front end (real ``sammoe serve``), a Triton and a Redis on loopback; users who think long, so that
it can run beside other work; studies are forgotten at the end of each journey, and memory for
embeddings is small enough to be full soon. Of the front end resident memory and descriptors are
watched, of Triton its processes' own memory and its blocks in ``/dev/shm``; each is compared
before and after: medians of the first and the last fifth of the time after a warm-up of a quarter.
Exits 1 when memory grew by more than 2 %, descriptors by more than 5, ``/dev/shm`` at all, or when
a request failed.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.load import Plan, Watch, figures_of, journeys, service, study_scans
from loadtests.report import Figures, write_report
from sammoe.bundle.finding import find_bundle
from tests.integration.redis_server import RedisServer
from tests.integration.triton.server import running

MOST_GROWTH: Final = 0.02
WARM_UP: Final = 0.25
"""Of the time: caches fill, allocators settle."""

_THINKING: Final = (3.0, 9.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="default 30")
    parser.add_argument("--users", type=int, default=5, help="default 5")
    parser.add_argument("--out", type=Path, default=Path("out/soak"), help="default out/soak")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    answers = args.out / "answers.json"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redis = RedisServer(folder)
        try:
            with (
                running(find_bundle(None), folder / "triton.log") as triton,
                service(
                    folder,
                    *("--triton-url", triton.url, "--redis-url", redis.url),
                    *("--embedding-cache-mib", "4"),
                ) as (url, keys),
                Watch(url, keys[0], every=5.0, triton=triton) as watch,
            ):
                scans = study_scans(folder)
                plan = Plan(url, scans, str(answers), keys, think_seconds=_THINKING, close=1.0)
                journeys(plan, args.users, 60 * args.minutes, args.out)
        finally:
            redis.kill()
    pause = statistics.mean(_THINKING)
    figures = figures_of(json.loads(answers.read_text()), watch.samples, args.users, pause)
    print(write_report(figures, args.out))
    return judge(figures)


def judge(figures: Figures) -> int:
    """Print what grew; 1 if any of it did too much."""
    grown = {
        "memory": growth(figures.rss),
        "descriptors": growth(figures.descriptors),
        "Triton's memory": growth(figures.triton),
        "/dev/shm": growth(figures.shared_memory),
    }
    for name, (before, after) in grown.items():
        print(f"{name:16} {before:14.0f} to {after:14.0f}  {after / max(before, 1) - 1:+.2%}")
    bad = bool(figures.failed)
    for name in ("memory", "Triton's memory"):
        before, after = grown[name]
        bad |= after > before * (1 + MOST_GROWTH)
    bad |= grown["descriptors"][1] > grown["descriptors"][0] + 5
    bad |= grown["/dev/shm"][1] > grown["/dev/shm"][0]
    return int(bad)


def growth(values: Sequence[int]) -> tuple[float, float]:
    """Medians of the first and the last fifth after the warm-up."""
    settled = values[round(WARM_UP * len(values)) :]
    fifth = max(len(settled) // 5, 1)
    return statistics.median(settled[:fifth]), statistics.median(settled[-fifth:])


if __name__ == "__main__":
    sys.exit(main())
