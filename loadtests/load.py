"""Radiologists at work on a real service, and a report of what they met.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.load [--users 8] [--seconds 120] [--vit-b]

A real ``sammoe serve`` on loopback with three tenants, and the journeys of `loadtests.locustfile`.
The report has percentiles by kind of request and by phase, goodput, cache hits, memory and
descriptors over time: as text, and in ``out/load/`` as ``report.html`` with plots, beside locust's
own page and figures. Exits 1 when a request failed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from loadtests.phantoms import liver
from loadtests.report import Figures, write_report
from sammoe.bundle import load_bundle
from sammoe.bundle.finding import find_bundle
from tests import scans
from tests.integration.triton.server import TritonServer

TENANTS: Final = ("north", "south", "research")
SLOW_SECONDS: Final = 2.0
"""A click that takes longer is answered, but no good one."""


@dataclass
class Plan:
    """What the users are to do; see `loadtests.locustfile`.

    Attributes
    ----------
    url, keys
        The service, and the tenants' API keys.
    scans
        For each its path (uncompressed NIfTI), modality, and voxels to click on.
    think_seconds
        Least and most between two requests of one user.
    close
        How often a study is deleted at the end.
    out
        File for the answers.
    """

    url: str
    scans: list[dict[str, Any]]
    out: str
    keys: list[str] = field(default_factory=list)
    think_seconds: tuple[float, float] = (0.2, 1.5)
    close: float = 0.3


@dataclass(frozen=True)
class Sample:
    """What the service held at a moment, and Triton beside it (0 where there is none); metrics."""

    at: float
    rss: int
    descriptors: int
    triton: int
    shared_memory: int
    metrics: dict[str, float]


class Watch:
    """Looks at a service again and again, from a thread.

    Parameters
    ----------
    every
        Seconds between two looks.
    triton
        The server beside it, if there is one.
    """

    def __init__(
        self, url: str, key: str, every: float, triton: TritonServer | None = None
    ) -> None:
        self.samples: list[Sample] = []
        self._triton = triton
        self._url, self._headers, self._every = url, {"X-API-Key": key} if key else {}, every
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            try:
                text = httpx.get(f"{self._url}/metrics", headers=self._headers, timeout=60).text
            except httpx.TransportError:
                text = ""
            metrics = samples_of(text)
            if "process_open_fds" in metrics:
                self.samples.append(
                    Sample(
                        time.monotonic() - self._began,
                        int(metrics["process_resident_memory_bytes"]),
                        int(metrics["process_open_fds"]),
                        *_held(self._triton),
                        metrics,
                    )
                )
            if self._stop.wait(self._every):
                return


def _held(triton: TritonServer | None) -> tuple[int, int]:
    """Bytes of a server's processes that nobody shares, and of its blocks in ``/dev/shm``."""
    if triton is None or triton.process is None:
        return 0, 0
    blocks = [Path("/dev/shm") / name for name in triton.shared_memory()]
    return (
        sum(map(private_bytes, family(triton.process.pid))),
        sum(block.stat().st_size for block in blocks),
    )


def family(process: int) -> list[int]:
    """A process and all that it began, by what ``/proc`` tells."""
    found = [process]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):  # it has just ended
                found += map(int, task.read_text().split())
    return found


def private_bytes(process: int) -> int:
    """Bytes of a process that are not shared with others; 0 when it has ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return 1024 * sum(int(lines[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=8, help="default 8")
    parser.add_argument("--seconds", type=int, default=120, help="default 120")
    parser.add_argument("--vit-b", action="store_true", help="random weights of official size")
    parser.add_argument("--out", type=Path, default=Path("out/load"), help="default out/load")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        service(Path(name), vit_b=args.vit_b) as (url, keys),
        Watch(url, keys[0], every=1.0) as watch,
    ):
        answers = args.out / "answers.json"
        plan = Plan(url, study_scans(Path(name)), str(answers), keys)
        journeys(plan, args.users, args.seconds, args.out)
    pause = statistics.mean(plan.think_seconds)
    figures = figures_of(json.loads(answers.read_text()), watch.samples, args.users, pause)
    print(write_report(figures, args.out))
    return 1 if figures.failed else 0


@contextmanager
def service(folder: Path, *flags: str, vit_b: bool = False) -> Iterator[tuple[str, list[str]]]:
    """A real service on a free port with a key for each tenant; its URL and the keys."""
    from loadtests.bench_clicks import random_bundle, server

    keys = [f"{tenant}-{os.urandom(16).hex()}" for tenant in TENANTS]
    lines = [f"{tenant}:{key}" for tenant, key in zip(TENANTS, keys, strict=True)]
    (folder / "keys").write_text("\n".join(lines))
    bundle = random_bundle(folder / "bundle") if vit_b else load_bundle(find_bundle(None))
    flags = ("--api-keys-file", str(folder / "keys"), "--log-level", "warning", *flags)
    with server(bundle, folder / "state", *flags) as url:
        yield url, keys


def study_scans(folder: Path) -> list[dict[str, Any]]:
    """A CT of a trunk, and a small MR, with places to click on."""
    found = []
    phantom = liver()
    inside = np.argwhere(phantom.mask)[:: max(int(phantom.mask.sum()) // 50, 1)]
    for name, data, modality, clicks in (
        (
            "ct.nii",
            scans.as_nifti(phantom.volume.voxels, phantom.volume.geometry.affine),
            "CT",
            inside.tolist(),
        ),
        ("mr.nii", scans.nifti(), "MR", [[30, 30, 20], [25, 40, 25], [35, 35, 30]]),
    ):
        (folder / name).write_bytes(data)
        found.append({"path": str(folder / name), "modality": modality, "clicks": clicks})
    return found


def journeys(plan: Plan, users: int, seconds: float, out: Path, *flags: str) -> None:
    """Let locust's users work, and wait for the end."""
    note = out / "plan.json"
    note.write_text(json.dumps(asdict(plan)))
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless"]
    command += ["--users", str(users), "--spawn-rate", str(max(users / 4, 1))]
    command += ["--run-time", f"{round(seconds)}s", "--stop-timeout", "60"]
    command += ["--html", str(out / "locust.html"), "--csv", str(out / "locust"), *flags]
    command += ["--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"]
    with (out / "locust.log").open("w") as log:
        subprocess.run(
            command,
            env={**os.environ, "LOAD_PLAN": str(note)},
            stdout=log,
            stderr=log,
            check=True,
        )


def samples_of(text: str) -> dict[str, float]:
    """Every sample of a page of metrics, by name and labels."""
    return {
        sample.name + "".join(f"|{n}={v}" for n, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures_of(
    told: dict[str, Any], samples: Sequence[Sample], users: int, think_seconds: float
) -> Figures:
    """What a run showed."""
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    by_phase: defaultdict[str, list[float]] = defaultdict(list)
    failed: Counter[str] = Counter()
    refused = good = 0
    for answer in told["answers"]:
        status = answer["status"]
        if 200 <= status < 300:
            by_kind[answer["what"]].append(answer["ms"])
            good += answer["ms"] <= 1000 * SLOW_SECONDS
            for phase, ms in phases(answer["timing"]):
                by_phase[phase].append(ms)
        elif status in {429, 503}:
            refused += 1
        else:
            failed[f"{answer['what']}: {status or 'no answer'}"] += 1
    first, last = samples[0].metrics, samples[-1].metrics

    def grew(name: str) -> float:
        return last.get(name, 0.0) - first.get(name, 0.0)

    hits, misses = (grew(f"sammoe_embedding_cache_total|outcome={o}") for o in ("hit", "miss"))
    return Figures(
        users=users,
        seconds=told["seconds"],
        think_seconds=think_seconds,
        cores=len(os.sched_getaffinity(0)),
        generator_cpu=told["cpu_seconds"],
        service_cpu=grew("process_cpu_seconds_total"),
        requests=len(told["answers"]),
        good=good,
        refused=refused,
        failed=dict(failed),
        by_kind=dict(by_kind),
        by_phase=dict(by_phase),
        hits=hits / max(hits + misses, 1),
        encodes=grew("sammoe_encodes_total"),
        times=[sample.at for sample in samples],
        rss=[sample.rss for sample in samples],
        descriptors=[sample.descriptors for sample in samples],
        triton=[sample.triton for sample in samples],
        shared_memory=[sample.shared_memory for sample in samples],
    )


def phases(timing: str) -> Iterator[tuple[str, float]]:
    """Name and milliseconds of each entry of ``Server-Timing``."""
    for entry in timing.split(", "):
        name, _, duration = entry.partition(";dur=")
        if duration:
            yield name, float(duration)


if __name__ == "__main__":
    sys.exit(main())
