"""``python -m loadtests.ratios``."""

import argparse
import os

# As the command sets it for itself: bare calls may not have more BLAS threads than the server.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from importlib import import_module
from typing import Final

from loadtests.ratios import __doc__ as about
from loadtests.ratios.ratio import Ratio, table

PARTS: Final = (
    "clicks",
    "encoder",
    "experts",
    "triton",
    "throughput",
    "overload",
    "replicas",
    "swaps",
)


def main() -> int:
    assert about is not None
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="of each (default 15)")
    args = parser.parse_args()
    if unknown := {*args.parts} - {*PARTS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    found: list[Ratio] = []
    for part in args.parts or PARTS:
        measured: list[Ratio] = import_module(f"loadtests.ratios.{part}").measure(args.rounds)
        for one in measured:
            print(
                f"{one.name:4} {one.what}: {one.value:.3g} ({one.seen}) {one.verdict}", flush=True
            )
        found += measured
    print(table(found))
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
