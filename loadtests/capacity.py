"""How many front ends do so many radiologists need? From measured times, by formula and simulation.

Run from the project's root::

    python -m loadtests.capacity --radiologists 40 [--cores 4] [--figures out/load/figures.json]

A closed network: each user thinks, then asks, and waits for the answer; what a request takes is
processor time of a machine with some cores (`Station`). Mean value analysis (Reiser and Lavenberg
1980; several cores after Seidmann and others 1987) gives throughput and time to the answer, a
simulation of the same checks it, and with ``--figures`` both are held against what `make load` saw.
"""

import argparse
import heapq
import json
import math
import random
import statistics
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEMAND_SECONDS: Final = 0.30
"""Processor seconds of one request of the demo bundle on the CPU, as `make load` measured them."""

THINK_SECONDS: Final = 8.0
"""Between two requests of one radiologist, while working with it."""

AT_MOST: Final = 0.7
"""Share of a machine that may be busy: beyond it, waits grow fast."""


@dataclass(frozen=True)
class Station:
    """A front end: cores, and the processor seconds that one request takes on average."""

    cores: int
    demand: float


@dataclass(frozen=True)
class Met:
    """What users meet: requests a second of all, seconds to an answer, share that is busy."""

    rate: float
    seconds: float
    busy: float


def analysed(station: Station, users: int, think: float) -> Met:
    """By mean value analysis; several cores as one fast core and a delay beside it."""
    fast = station.demand / station.cores
    delay = station.demand - fast
    queued = seconds = rate = 0.0
    for number in range(1, users + 1):
        seconds = delay + fast * (1 + queued)
        rate = number / (think + seconds)
        queued = rate * (seconds - delay)
    return Met(rate, seconds, rate * fast)


def simulated(
    station: Station, users: int, think: float, requests: int = 20_000, seed: int = 0
) -> Met:
    """The same by events: exponential times, first come first served."""
    dice = random.Random(seed)
    events = [(dice.expovariate(1 / think), user, "asks") for user in range(users)]
    heapq.heapify(events)
    waiting: deque[int] = deque()
    free, asked, taken = station.cores, [0.0] * users, list[float]()
    work = now = 0.0

    def start(user: int) -> None:
        nonlocal work
        service = dice.expovariate(1 / station.demand)
        work += service
        heapq.heappush(events, (now + service, user, "answered"))

    while len(taken) < requests:
        now, user, what = heapq.heappop(events)
        if what == "asks":
            asked[user] = now
            if free:
                free -= 1
                start(user)
            else:
                waiting.append(user)
            continue
        taken.append(now - asked[user])
        heapq.heappush(events, (now + dice.expovariate(1 / think), user, "asks"))
        if waiting:
            start(waiting.popleft())
        else:
            free += 1
    return Met(len(taken) / now, statistics.mean(taken), work / now / station.cores)


def replicas(station: Station, users: int, think: float, at_most: float = AT_MOST) -> int:
    """The fewest front ends over which so many users leave each no busier than that.

    The router spreads volumes, and so users, evenly but for chance: each is given room for two
    standard deviations more than its share.
    """
    count = 1
    while True:
        share = users / count
        crowd = share if count == 1 else share + 2 * math.sqrt(share * (1 - 1 / count))
        if analysed(station, math.ceil(crowd), think).busy <= at_most:
            return count
        count += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--radiologists", type=int, default=40, help="at work at once (default 40)")
    parser.add_argument("--cores", type=int, default=4, help="of a front end (default 4)")
    parser.add_argument("--think", type=float, default=THINK_SECONDS, help="seconds (default 8)")
    parser.add_argument("--demand", type=float, help="processor seconds of a request")
    parser.add_argument("--figures", type=Path, help="out/load/figures.json: demand, and a check")
    args = parser.parse_args()
    demand = args.demand or DEMAND_SECONDS
    if args.figures is not None:
        demand = compare(json.loads(args.figures.read_text()))
    station = Station(args.cores, demand)
    count = replicas(station, args.radiologists, args.think)
    each = math.ceil(args.radiologists / count)
    print(
        f"{args.radiologists} radiologists, {demand:.3f} processor seconds a request,"
        f" {args.think:g} s between two: {count} front ends of {args.cores} cores"
    )
    ways = (analysed(station, each, args.think), simulated(station, each, args.think))
    for name, met in zip(("formula", "simulation"), ways, strict=True):
        print(
            f"  {name:10} {met.rate:6.2f} requests a second each, {1000 * met.seconds:6.0f} ms"
            f" to the answer, {met.busy:.0%} busy"
        )
    return 0


def compare(figures: dict[str, Any]) -> float:
    """Print what `make load` saw beside both ways to foretell it; the demand of a request."""
    demand = figures["service_cpu"] / figures["requests"]
    cores, users = figures["cores"], figures["users"]
    station, think = Station(cores, demand), figures["think_seconds"]
    times = [ms for values in figures["by_kind"].values() for ms in values]
    seen = Met(
        figures["requests"] / figures["seconds"],
        statistics.mean(times) / 1000,
        figures["service_cpu"] / figures["seconds"] / cores,
    )
    ways = {
        "seen": seen,
        "formula": analysed(station, users, think),
        "simulation": simulated(station, users, think),
    }
    print(f"make load: {users} users who think {think:.2f} s, {cores} cores, {demand:.3f} s each")
    for name, met in ways.items():
        print(
            f"  {name:10} {met.rate:6.2f} requests a second, {1000 * met.seconds:6.0f} ms,"
            f" {met.busy:.0%} busy"
        )
    return float(demand)


if __name__ == "__main__":
    sys.exit(main())
