"""The selector's arithmetic on the CPU, at official size: what a GPU could take over.

Run from the project's root::

    python -m loadtests.bench_selector

Prints medians, and what one mask weighs. On a GPU every mask that is answered must come to the host
anyway: two that are fused here, or three if they were fused there.
"""

import argparse
import sys
from types import SimpleNamespace

import numpy as np

from loadtests.timing import interleave
from sammoe.engine import decide, fuse

CELLS, SIDE = 32, 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=201, help="timed runs of each (default 201)")
    rounds = parser.parse_args().rounds
    random = np.random.default_rng(0)
    general, expert = (
        np.repeat(random.normal(0, 4, (CELLS // 4,) * 3).astype(np.float32), 4, 0)
        .repeat(4, 1)
        .repeat(4, 2)
        for _ in range(2)
    )
    coords = np.array([[[SIDE / 2] * 3, [0, 0, 0]]], np.float32)
    labels = np.array([[1, -1]], np.int32)
    routing = SimpleNamespace(
        tau={"click": 0.3}, slack={"click": 99.0}, own_slack={}, fusion="probability"
    )
    times = interleave(
        {
            "decide, fusion included": lambda: decide(
                general, expert, 0.7, "click", coords, labels, SIDE, routing, name=""
            ),
            "fusion alone": lambda: fuse(general, expert, 0.7, "probability"),
            "a copy of one mask": general.copy,
        },
        rounds,
    )
    print(f"one mask: {general.nbytes / 1e3:.0f} KB; {rounds} runs each, in turn, median:")
    for name, value in times.items():
        print(f"  {name:24} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
