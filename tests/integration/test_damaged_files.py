"""Whatever a file holds, the service answers, stays up, and gives its memory back."""

import pytest

from tests.bombard import bombard
from tests.integration.serving import Server

COUNT = 500
SECONDS = 60.0
"""Longest answer that is no hang, on a machine that is busy with other tests."""
GROWTH = 48 << 20


@pytest.mark.timeout(900)
def test_damaged_files_are_read_or_refused(server: Server) -> None:
    with server.client() as http:
        report = bombard(http, server.process.pid, COUNT)
        assert http.get("/readyz").status_code == 200

    assert report.faults == []
    assert report.slowest < SECONDS
    assert report.growth < GROWTH
    # Neither is all refused by the first check, nor is the damage too small to notice.
    assert len(report.answers) > 10, report.answers
    assert COUNT / 20 < report.answers["read"] < COUNT / 2, report.answers
