"""A real uvicorn on loopback, with the limits on connections that it lacks by itself."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from sammoe.cli import connections as limits
from sammoe.cli.connections import HEAD_BYTES, UNWANTED_BYTES, Connections
from sammoe.cli.listening import listen

HEAD_SECONDS = 0.5
PLACES = 4
ASK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UNREAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999\r\n\r\n"

Connect = Callable[..., Awaitable["Pair"]]
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class App:
    """Answers at once, or when told to; reads no body, and keeps no connection that brings one."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.answering.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answering.wait()
        headers = [(b"content-length", b"2")]
        if scope["method"] == "POST":
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def port(app: App) -> AsyncIterator[int]:
    connections = Connections(PLACES, head_seconds=HEAD_SECONDS)
    config = uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], connections.protocol),
        lifespan="off",
        log_config=None,
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server._serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
        app.answering.set()
        server.should_exit = server.force_exit = True
        await task


@pytest.fixture
async def connect(port: int) -> AsyncIterator[Connect]:
    """Connects and sends; closes all at the end."""
    writers = []

    async def connect(sent: bytes = b"") -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def answer(pair: Pair) -> bytes:
    """The next answer; empty where the connection has ended."""
    async with asyncio.timeout(30):
        try:
            head = await pair[0].readuntil(b"\r\n\r\n")
            return head + await pair[0].readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@pytest.mark.fault("S03")
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(connect: Connect, sent: bytes) -> None:
    slow = await connect(sent)
    assert await answer(slow) == b""
    assert (await answer(await connect(ASK))).endswith(b"hi")


@pytest.mark.fault("S03")
async def test_a_further_head_has_to_come_as_well(connect: Connect) -> None:
    pair = await connect(ASK)
    assert (await answer(pair)).endswith(b"hi")
    pair[1].write(ASK[:-2])
    assert await answer(pair) == b""


async def test_who_asks_again_and_again_may_stay(connect: Connect) -> None:
    pair = await connect()
    for _ in range(4):
        await asyncio.sleep(HEAD_SECONDS / 2)
        pair[1].write(ASK)
        assert (await answer(pair)).endswith(b"hi")


async def test_a_request_that_is_worked_on_is_no_slow_head(connect: Connect, app: App) -> None:
    app.answering.clear()
    pair = await connect(ASK)
    await asyncio.sleep(2 * HEAD_SECONDS)
    app.answering.set()
    assert (await answer(pair)).endswith(b"hi")


@pytest.mark.fault("S25")
async def test_a_head_without_end_is_refused(connect: Connect) -> None:
    head = ASK[:-2] + b"X: " + b"x" * (2 * HEAD_BYTES)
    refused = await answer(await connect(head))
    # What was not read of it may reset the connection before the answer is.
    assert refused == b"" or b" 400 " in refused
    assert (await answer(await connect(ASK))).endswith(b"hi")


async def test_a_long_head_that_comes_at_once_is_refused(connect: Connect) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1000) for i in range(HEAD_BYTES // 1000 + 1))
    pair = await connect(ASK[:-2] + fields + b"\r\n")
    refused = await pair[0].read()
    assert refused.startswith(b"HTTP/1.1 400 ")
    assert refused.endswith(b"The request's head is too long.")
    assert (await answer(await connect(ASK))).endswith(b"hi")


@pytest.mark.fault("S04")
async def test_idle_connections_give_way(connect: Connect) -> None:
    idle = [await connect() for _ in range(5 * PLACES)]
    # Before their time for a head is over.
    assert (await answer(await connect(ASK))).endswith(b"hi")
    ended = [await answer(pair) for pair in idle[:-PLACES]]
    assert ended == [b""] * len(ended)


@pytest.mark.fault("S04")
async def test_those_at_work_do_not_give_way(connect: Connect, app: App) -> None:
    app.answering.clear()
    busy = [await connect(ASK) for _ in range(PLACES)]
    await asyncio.sleep(0.1)
    assert await answer(await connect(ASK)) == b""
    app.answering.set()
    assert all([(await answer(pair)).endswith(b"hi") for pair in busy])


async def write(pair: Pair, data: bytes) -> None:
    """Send, and see whether the connection still takes it."""
    pair[1].write(data)
    await asyncio.sleep(0.05)
    await pair[1].drain()


async def test_who_still_sends_a_refused_body_reads_the_answer(connect: Connect) -> None:
    """A proxy whose connection is reset tells the client 502 and nothing of why."""
    pair = await connect(UNREAD)
    assert (await answer(pair)).endswith(b"hi")
    assert await pair[0].read() == b""  # Nothing more comes, and still:
    for _ in range(3):
        await write(pair, b"x" * 1000)
    await write(pair, ASK)  # is part of the body
    assert pair[0].at_eof()


@pytest.mark.parametrize("piece", [b"x", b"x" * (UNWANTED_BYTES // 4)])
async def test_a_refused_body_is_not_received_for_ever(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    seconds = 0.3 if len(piece) == 1 else 60.0
    monkeypatch.setattr(limits, "UNWANTED_SECONDS", seconds)
    pair = await connect(UNREAD)
    assert (await answer(pair)).endswith(b"hi")
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while True:
                await write(pair, piece)
    with pytest.raises(ConnectionError):
        await write(pair, piece)


async def test_those_who_send_what_is_refused_give_way(connect: Connect) -> None:
    sending = [await connect(UNREAD) for _ in range(PLACES)]
    assert all([(await answer(pair)).endswith(b"hi") for pair in sending])
    assert (await answer(await connect(ASK))).endswith(b"hi")


async def test_nothing_stays_of_a_refused_connection_that_was_reset(connect: Connect) -> None:
    for _ in range(3):
        pair = await connect(UNREAD)
        assert (await answer(pair)).endswith(b"hi")
        reset = struct.pack("ii", 1, 0)
        pair[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        pair[1].transport.abort()
    async with asyncio.timeout(5):  # before the time for what is unwanted, and for keeping alive
        while any(type(one) is limits._Connection for one in gc.get_objects()):
            await asyncio.sleep(0.05)
            gc.collect()
