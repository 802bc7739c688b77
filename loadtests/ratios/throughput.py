"""P7: clicks a second of locust's users against the same work called bare, with as many threads.

Decoders of official size, general route, cached, one window. Bare are decoder, paste and packing
in this process, by two threads as the service has them. Locust runs in a process of its own on the
same two cores, and what it takes of them is not the service's to give: its rate is divided by the
share of the machine that it leaves. Blocks are in turn.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
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


def measure(rounds: int) -> list[Ratio]:
    """P7."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = random_bundle(folder / "bundle", ["expert_0"])
        template = mni_template()
        bare = Bare(bundle, scan_bytes(template, 0))
        with server(bundle, folder / "state", "--log-level", "warning") as url:
            with httpx.Client(base_url=url, timeout=120) as http:
                volume = add_volume(http, template, 0)
                same = click(http, volume, "general").content == bare.click()
            found = [
                (in_process(bare), *by_locust(url, volume, folder))
                for _ in range(max(rounds // 5, 2))
            ]
    ratios = [rate / (1 - cpu / CORES) / limit for limit, rate, cpu, _ in found]
    limit, rate, cpu = (statistics.median(block[i] for block in found) for i in range(3))
    return [
        Ratio(
            "P7",
            "clicks a second by locust / by bare calls, vit_b size, general",
            statistics.median(ratios),
            0.8,
            0.9,
            f"{rate:.1f} / {limit:.1f} a second, locust takes {cpu:.0%} of a core;"
            f" blocks {min(ratios):.2f} to {max(ratios):.2f}",
            at_most=False,
            holds=same and not any(failed for *_, failed in found),
        )
    ]


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
