"""Users of all dialects at once: does anybody ever see what is another's?

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_crosstalk --schedules 10000

Random schedules of two to four users, over /v1, nnInteractive and MONAI Label mixed, two
principals, in one process without a socket: the real application, store and engine. Each mask that
a user sees is compared, voxel by voxel, with what the same clicks give to somebody who is alone.
The bundle is the tests' own, whose decoders are arithmetic, so that ten thousand are affordable;
``--bundle`` takes another. Exits 1 when anything was wrong.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from loadtests.crosstalk import Log, Truth, play, random_schedule, service, truth
from sammoe.bundle import load_bundle
from sammoe.engine.local import EngineOptions, LocalEngine
from tests.bundles import write_test_bundle

BLOCK = 100
"""Schedules on one store; the next begin with an empty one."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default 0)")
    parser.add_argument("--bundle", type=Path, help="a bundle's folder (default: the tests' own)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(run(Path(name), args))


async def run(folder: Path, args: argparse.Namespace) -> int:
    """Play all schedules and print; 0 when nothing was wrong."""
    if args.bundle is None:
        bundle = write_test_bundle(folder / "bundle", experts=["spleen"])
    else:
        bundle = load_bundle(args.bundle)
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    seeds = range(args.first, args.first + args.schedules)
    seen, began = Seen(), time.perf_counter()
    try:
        async with truth(engine, folder / "truth") as alone:
            with tqdm(total=len(seeds), unit="schedule", delay=2, mininterval=5) as bar:
                for start in seeds[::BLOCK]:
                    block = range(start, min(start + BLOCK, seeds.stop))
                    with tempfile.TemporaryDirectory(dir=folder) as state:
                        await play_block(engine, Path(state), alone, block, seen, bar)
    finally:  # who interrupts it is told how far it came
        print("\n".join(seen.wrong[:20]))
        print(
            f"{seen.schedules} schedules, {seen.users} users, {seen.checks} masks compared,"
            f" {len(seen.wrong)} wrong ({time.perf_counter() - began:.0f} s)"
        )
        await engine.close()
    return 1 if seen.wrong else 0


@dataclass
class Seen:
    """Sums over all schedules."""

    schedules: int = 0
    users: int = 0
    checks: int = 0
    wrong: list[str] = field(default_factory=list)


async def play_block(
    engine: LocalEngine, state: Path, alone: Truth, seeds: range, seen: Seen, bar: "tqdm[NoReturn]"
) -> None:
    """Play schedules on one store, one after the other."""
    log = Log()
    async with service(engine, state) as http:
        for seed in seeds:
            schedule = random_schedule(seed)
            await play(http, alone, schedule, log)
            seen.wrong += [f"schedule {seed}: {text}" for text in log.wrong]
            seen.schedules += 1
            seen.users += len(schedule.seats)
            seen.checks += log.checks
            log.wrong, log.checks = [], 0
            bar.update()


if __name__ == "__main__":
    sys.exit(main())
