"""Damaged files sent to a running service, one after the other."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.mutations import damaged_files

_WARM_UP = 100
"""Files after which memory is looked at: caches are full and libraries loaded."""


@dataclass
class Report:
    """What came of them: answers by code, seconds of the slowest, and bytes that are not given
    back.
    """

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    growth: int = 0


def bombard(http: httpx.Client, process: int, count: int, seed: int = 0) -> Report:
    """Send so many damaged files; what is read all the same is deleted again.

    Parameters
    ----------
    http
        A client of the service.
    process
        Its process id.
    """
    report, before = Report(), 0
    headers = {"Content-Type": "application/octet-stream"}
    for number, (kind, data) in enumerate(damaged_files(count, seed)):
        started = time.monotonic()
        answer = http.post("/v1/volumes", content=data, headers=headers)
        report.slowest = max(report.slowest, time.monotonic() - started)
        if answer.status_code >= 500:
            report.faults.append(f"{kind}, number {number}: {answer.text}")
        if answer.status_code < 300:
            http.delete(f"/v1/volumes/{answer.json()['id']}").raise_for_status()
        report.answers[answer.json().get("code", "read")] += 1
        if number == _WARM_UP:
            before = _memory(process)
    report.growth = _memory(process) - before
    return report


def _memory(process: int) -> int:
    """Bytes of a process that are not shared with others."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return 1024 * sum(int(lines[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
