import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from sammoe.api.leaving import in_time, while_wanted
from sammoe.errors import DeadlineExceeded, NotFound


class Client:
    """Has sent its request, and stays until it leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.request = Request({"type": "http", "method": "GET", "headers": []}, self._receive)
        self._sent = False

    async def _receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


class Work:
    """Takes for ever, and notes that it was stopped."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.stopped = False

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


async def test_the_answer_is_the_work_s() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    assert await while_wanted(Client().request, work(), 60.0) == 3


async def test_a_refusal_is_the_work_s() -> None:
    async def work() -> None:
        raise NotFound("no")

    with pytest.raises(NotFound):
        await while_wanted(Client().request, work(), 60.0)


@pytest.mark.fault("S34")
async def test_who_leaves_stops_the_work() -> None:
    client, work = Client(), Work()
    waiting = asyncio.create_task(while_wanted(client.request, work(), 60.0))
    await work.began.wait()
    client.left.set()
    with pytest.raises(ClientDisconnect):
        await waiting
    assert work.stopped


async def test_a_deadline_stops_the_work() -> None:
    work = Work()
    with pytest.raises(DeadlineExceeded):
        await while_wanted(Client().request, work(), 0.01)
    assert work.stopped


async def test_a_request_that_is_cancelled_stops_the_work() -> None:
    work = Work()
    waiting = asyncio.create_task(while_wanted(Client().request, work(), 60.0))
    await work.began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.stopped


async def test_a_stream_has_a_deadline_too() -> None:
    work = Work()
    with pytest.raises(DeadlineExceeded):
        await in_time(work(), 0.01)
    assert work.stopped
    with pytest.raises(TimeoutError):
        await in_time(_broken(), 60.0)


async def _broken() -> None:
    raise TimeoutError
