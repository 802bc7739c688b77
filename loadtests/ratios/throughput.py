"""P7: clicks a second of locust's users against the same work called bare, with as many threads.

Decoders of official size, general route, cached, one window. Bare are decoder, paste and packing
in this process, by two threads as the service has them: of ONNX Runtime as it is by itself, and set
up as in the service, with which calls get less into each other's way. Locust runs in a process of
its own on the same two cores, and what it takes of them is not the service's to give: its rate is
divided by the share of the machine that it leaves. Blocks are in turn.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx

from loadtests.bench_clicks import CLICK, add_volume, mni_template, scan_bytes, server
from loadtests.bench_triton import random_bundle
from loadtests.ratios.clicks import Bare, click
from loadtests.ratios.ratio import Ratio

USERS: Final = 4
SECONDS: Final = 8.0
WORKERS: Final = 2
CORES: Final = len(os.sched_getaffinity(0))
PLAIN, TUNED = "ONNX Runtime as it is", "set up as in the service"

Block = tuple[dict[str, float], float, float, int]
"""Bare clicks a second; locust's, its share of a core, and how many failed."""


def measure(rounds: int) -> list[Ratio]:
    """P7."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle", ["expert_0"])
        template = mni_template()
        bare = {
            name: Bare(bundle, scan_bytes(template, 0), spinning=name == PLAIN)
            for name in (PLAIN, TUNED)
        }
        with server(bundle, folder / "state", "--log-level", "warning") as url:
            with httpx.Client(base_url=url, timeout=120) as http:
                volume = add_volume(http, template, 0)
                answer = click(http, volume, "general").content
            same = all(answer == one.click() for one in bare.values())
            found = [
                (
                    {name: in_process(one) for name, one in bare.items()},
                    *by_locust(url, volume, folder),
                )
                for _ in range(max(rounds // 5, 2))
            ]
    return [_ratio(name, found, holds=same) for name in bare]


def _ratio(name: str, found: Sequence[Block], *, holds: bool) -> Ratio:
    ratios = [rate / (1 - cpu / CORES) / limits[name] for limits, rate, cpu, _ in found]
    limit = statistics.median(limits[name] for limits, *_ in found)
    rate, cpu = (statistics.median(numbers) for numbers in list(zip(*found, strict=True))[1:3])
    return Ratio(
        "P7",
        f"clicks a second by locust / by bare calls, vit_b size, general, {name}",
        statistics.median(ratios),
        0.8,
        0.9,
        f"{rate:.1f} / {limit:.1f} a second, locust takes {cpu:.0%} of a core;"
        f" blocks {min(ratios):.2f} to {max(ratios):.2f}",
        at_most=False,
        holds=holds and not any(failed for *_, failed in found),
    )


def in_process(bare: Bare) -> float:
    """Bare clicks a second."""
    end = time.monotonic() + SECONDS

    def work() -> int:
        done = 0
        while time.monotonic() < end:
            bare.click()
            done += 1
        return done

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda _: work(), range(WORKERS))) / SECONDS


def by_locust(url: str, volume: str, folder: Path) -> tuple[float, float, int]:
    """Clicks a second, what locust took meanwhile of a core, and how many failed."""
    out = folder / "clicks.json"
    plan = {"url": url, "volume": volume, "click": CLICK, "out": str(out)}
    (folder / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "locust", "-f", "loadtests/clickers.py", "--headless"]
    command += ["--users", str(USERS), "--spawn-rate", "100", "--run-time", f"{SECONDS:.0f}s"]
    subprocess.run(
        [*command, "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"],
        env={**os.environ, "LOAD_PLAN": str(folder / "plan.json")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    told = json.loads(out.read_text())
    return told["good"] / told["seconds"], told["cpu"] / told["seconds"], told["failed"]
