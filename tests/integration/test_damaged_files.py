"""Whatever a file holds, the service answers, stays up, and gives its memory back."""

import time
from collections import Counter
from pathlib import Path

import httpx

from tests.integration.serving import Server
from tests.mutations import damaged_files

COUNT = 500
SECONDS = 60.0
"""Longest answer that is no hang, on a machine that is busy with other tests."""
GROWTH = 48 << 20


def memory(process: int) -> int:
    """Bytes of a process that are not shared with others."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return 1024 * sum(int(lines[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


def test_damaged_files_are_read_or_refused(server: Server) -> None:
    answers: Counter[str] = Counter()
    with server.client() as http:
        before = 0
        for number, (kind, data) in enumerate(damaged_files(COUNT)):
            started = time.monotonic()
            answer = post(http, data)
            assert time.monotonic() - started < SECONDS, f"{kind}, number {number}"
            assert answer.status_code < 500, f"{kind}, number {number}: {answer.text}"
            answers[answer.json().get("code", "read")] += 1
            if answer.status_code < 300:
                http.delete(f"/v1/volumes/{answer.json()['id']}").raise_for_status()
            if number == COUNT // 5:
                before = memory(server.process.pid)
        assert memory(server.process.pid) - before < GROWTH
        assert http.get("/readyz").status_code == 200

    assert len(answers) > 10, answers
    assert answers["read"] > COUNT / 20, answers


def post(http: httpx.Client, data: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return http.post("/v1/volumes", content=data, headers=headers)
