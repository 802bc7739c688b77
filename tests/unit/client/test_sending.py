"""When the client tries again, and what it never does twice."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from sammoe_client import Client, Retries, Timeouts, errors

VOLUME = {
    "id": "v1",
    "created": "2026-01-02T03:04:05Z",
    "shape": [2, 3, 4],
    "spacing": [1, 1.5, 2],
    "orientation": "RAS",
    "affine": [[1, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]],
    "modality": "MR",
    "modality_source": "rule",
    "source": None,
    "warnings": [],
    "project": None,
    "of_a_newer_service": 1,
}
BUSY = (429, {"Retry-After": "3"}, {"code": "engine_busy", "detail": "Later."})

Reply = tuple[int, dict[str, str], Any] | Exception


class Script:
    """Answers requests one after the other as told, and keeps them."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        status, headers, content = reply
        return httpx.Response(status, headers=headers, content=json.dumps(content))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("sammoe_client._modes.time.sleep", waited.append)
    return waited


def client(script: Callable[[httpx.Request], httpx.Response], **patience: Any) -> Client:
    return Client(transport=httpx.MockTransport(script), retries=Retries(**patience))


def test_busy_is_tried_again_under_the_same_key(waits: list[float]) -> None:
    script = Script(BUSY, httpx.ReadError("reset"), (200, {}, {"waiting": 1}))
    assert client(script).warm_study("1.2") == 1
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(keys) == 1
    assert waits[0] == 3.0
    assert 0.3 < waits[1] <= 0.5
    other = Script((200, {}, {"waiting": 2}))
    client(other).warm_study("1.2")
    assert other.requests[0].headers["Idempotency-Key"] not in keys


def test_a_date_to_come_again(waits: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    script = Script((503, {"Retry-After": soon}, BUSY[2]), (200, {}, VOLUME))
    assert client(script).volume("v1").shape == (2, 3, 4)
    assert 15 < waits[0] <= 20


@pytest.mark.parametrize("header", ["-5", "soon", "", "nan"])
def test_nonsense_to_come_again_is_ignored(waits: list[float], header: str) -> None:
    script = Script((503, {"Retry-After": header}, BUSY[2]), (200, {}, VOLUME))
    client(script).volume("v1")
    assert 0 <= waits[0] <= 0.25


def test_who_asks_for_too_long_a_rest_is_heard(waits: list[float]) -> None:
    script = Script((503, {"Retry-After": "3600"}, BUSY[2]))
    with pytest.raises(errors.EngineBusy) as caught:
        client(script).volume("v1")
    assert caught.value.retry_after == 3600
    assert waits == []


def test_it_gives_up(waits: list[float]) -> None:
    with pytest.raises(errors.EngineBusy):
        client(Script(*[BUSY] * 3), attempts=3).volume("v1")
    assert len(waits) == 2
    with pytest.raises(errors.Unreachable, match="ConnectError"):
        client(Script(*[httpx.ConnectError("refused")] * 2), attempts=2).volume("v1")
    with pytest.raises(errors.TimedOut):
        client(Script(httpx.ReadTimeout("slow")), attempts=1).volume("v1")


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 500])
def test_what_is_refused_is_not_tried_again(waits: list[float], status: int) -> None:
    script = Script((status, {}, {"code": "c", "detail": "d"}))
    with pytest.raises(errors.Refused):
        client(script).volume("v1")
    assert waits == []


def test_a_proxy_whose_service_is_away_is_tried_again_and_a_pacs_is_not(
    waits: list[float],
) -> None:
    script = Script((502, {}, "<html>"), (504, {}, "<html>"), (200, {}, VOLUME))
    client(script).volume("v1")
    assert len(waits) == 2
    with pytest.raises(errors.PacsError):
        client(Script((502, {}, {"code": "pacs_failed", "detail": "d"}))).open_series("1", "2")
    with pytest.raises(errors.UnexpectedAnswer):
        client(Script((403, {}, "<html>"))).volume("v1")


def test_a_deletion_whose_answer_was_lost_is_done(waits: list[float]) -> None:
    gone: Reply = (404, {}, {"code": "not_found", "detail": "d"})
    script = Script((200, {}, VOLUME), httpx.ReadError("reset"), gone)
    client(script).volume("v1").delete()
    with pytest.raises(errors.NotFound):
        client(Script((200, {}, VOLUME), gone)).volume("v1").delete()
    with pytest.raises(errors.NotFound):
        client(Script((200, {}, VOLUME), httpx.ConnectError("no"), gone)).volume("v1").delete()


def test_a_stream_that_broke_off_is_not_begun_again(waits: list[float]) -> None:
    script = Script((200, {}, VOLUME), httpx.ReadError("reset"))
    volume = client(script).volume("v1")
    with pytest.raises(errors.Disconnected):
        volume.segment(points=(0, 0, 0), on_progress=print)
    assert "Idempotency-Key" not in script.requests[-1].headers
    busy_first = Script((200, {}, VOLUME), BUSY, httpx.ConnectError("no"), (200, {}, {}))
    with pytest.raises(errors.Disconnected, match="nothing was kept"):
        list(client(busy_first).volume("v1").segmenting(points=(0, 0, 0)))
    assert len(busy_first.requests) == 4


@pytest.mark.parametrize("answer", [{}, [], {**VOLUME, "shape": [1, 2]}, {**VOLUME, "id": 5}])
def test_another_service_is_found_out(answer: Any) -> None:
    with pytest.raises(errors.UnexpectedAnswer, match="VolumeInfo"):
        client(Script((200, {}, answer))).volume("v1")


def test_timeouts_and_the_path_of_the_address() -> None:
    script = Script((200, {}, VOLUME), (200, {}, VOLUME))
    limits = Timeouts(connect=1, send=2, answer=3, upload=4, pool=5)
    transport = httpx.MockTransport(script)
    with Client("http://host/a/b/", timeouts=limits, transport=transport, api_key="k") as one:
        one.volume("v/1")
        one.open_series("1", "2")
    first, second = script.requests
    assert str(first.url) == "http://host/a/b/v1/volumes/v%2F1"
    assert first.headers["Authorization"] == "Bearer k"
    assert first.extensions["timeout"] == {"connect": 1, "write": 2, "read": 3, "pool": 5}
    assert second.extensions["timeout"]["read"] == 4


def test_waits_grow_and_are_bounded() -> None:
    patience = Retries(attempts=9, first=1.0, longest=10.0)
    waits = [patience.wait(attempt) for attempt in range(1, 9)]
    for wait, usual in zip(waits, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert wait is not None
        assert 0.75 * usual <= wait <= usual
    assert patience.wait(9) is None
