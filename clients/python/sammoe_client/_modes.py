"""Two ways to take the steps of a use case: blocking and awaiting. The only part that does I/O."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, Generic, TypeVar

import httpx

from sammoe_client._effects import Give, Giving, Open, Read, Send, Sleep, Steps
from sammoe_client._requests import Answer, Body, Request
from sammoe_client._settings import Timeouts
from sammoe_client.errors import ClientError, Disconnected, TimedOut, Unreachable

T = TypeVar("T")


class Mode:
    """How steps are taken."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts

    def _options(self, request: Request) -> dict[str, Any]:
        """What httpx needs to know of a request besides its body."""
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = request.body.media_type
            headers["Content-Length"] = str(request.body.size)
        limits = self._timeouts
        timeout = httpx.Timeout(
            connect=limits.connect,
            write=limits.send,
            read=limits.upload if request.upload else limits.answer,
            pool=limits.pool,
        )
        return {
            "method": request.method,
            "url": request.path,
            "params": request.query,
            "headers": headers,
            "timeout": timeout,
        }


class Sync(Mode):
    """Blocking."""

    def __init__(self, http: httpx.Client, timeouts: Timeouts) -> None:
        super().__init__(timeouts)
        self.http = http

    def run(self, steps: Steps[T]) -> T:
        """Take all steps; returns what they return."""
        machine = _Machine(steps)
        for _ in self._drive(machine):
            pass
        return machine.result

    def iterate(self, steps: Giving[T]) -> Iterator[T]:
        """Take steps as items are asked for."""
        return self._drive(_Machine(steps))

    def _drive(self, machine: "_Machine[Any]") -> Iterator[Any]:
        with closing(machine.steps), ExitStack() as opened:
            pieces: Iterator[bytes] = iter(())
            while not machine.ended:
                try:
                    match machine.effect:
                        case Give(item):
                            yield item
                            machine.reply(None)
                        case Send(request):
                            machine.reply(_whole(self.http.send(self._built(request))))
                        case Open(request):
                            response = self.http.send(self._built(request), stream=True)
                            opened.callback(response.close)
                            pieces = response.iter_bytes()
                            machine.reply(_begun(response))
                        case Read():
                            machine.reply(next(pieces, b""))
                        case Sleep(seconds):
                            time.sleep(seconds)
                            machine.reply(None)
                except httpx.HTTPError as error:
                    machine.fail(_translated(error))

    def _built(self, request: Request) -> httpx.Request:
        content = None if request.body is None else _pieces(request.body)
        return self.http.build_request(content=content, **self._options(request))


class Async(Mode):
    """Awaiting, on asyncio."""

    def __init__(self, http: httpx.AsyncClient, timeouts: Timeouts) -> None:
        super().__init__(timeouts)
        self.http = http

    async def run(self, steps: Steps[T]) -> T:
        """Take all steps; returns what they return."""
        machine = _Machine(steps)
        async with aclosing(self._drive(machine)) as items:
            async for _ in items:
                pass
        return machine.result

    def iterate(self, steps: Giving[T]) -> AsyncIterator[T]:
        """Take steps as items are asked for."""
        return self._drive(_Machine(steps))

    async def _drive(self, machine: "_Machine[Any]") -> AsyncGenerator[Any, None]:
        with closing(machine.steps):
            async with AsyncExitStack() as opened:
                pieces: AsyncIterator[bytes] = _nothing()
                while not machine.ended:
                    try:
                        match machine.effect:
                            case Give(item):
                                yield item
                                machine.reply(None)
                            case Send(request):
                                machine.reply(_whole(await self.http.send(self._built(request))))
                            case Open(request):
                                built = self._built(request)
                                response = await self.http.send(built, stream=True)
                                opened.push_async_callback(response.aclose)
                                pieces = response.aiter_bytes()
                                machine.reply(_begun(response))
                            case Read():
                                machine.reply(await anext(pieces, b""))
                            case Sleep(seconds):
                                await asyncio.sleep(seconds)
                                machine.reply(None)
                    except httpx.HTTPError as error:
                        machine.fail(_translated(error))

    def _built(self, request: Request) -> httpx.Request:
        content = None if request.body is None else _pieces_beside(request.body)
        return self.http.build_request(content=content, **self._options(request))


class _Machine(Generic[T]):
    """Steps, the effect that they wait for, and in the end their result."""

    result: T

    def __init__(self, steps: Generator[Any, Any, T]) -> None:
        self.steps = steps
        self.ended = False
        self.effect: Any = None
        self.reply(None)

    def reply(self, value: object) -> None:
        """Go on with what came of the effect."""
        try:
            self.effect = self.steps.send(value)
        except StopIteration as end:
            self._end(end.value)

    def fail(self, error: ClientError) -> None:
        """Go on with the effect's failure."""
        try:
            self.effect = self.steps.throw(error)
        except StopIteration as end:
            self._end(end.value)

    def _end(self, value: T) -> None:
        self.ended, self.result = True, value


def _pieces(body: Body) -> Iterator[bytes]:
    tell = body.teller()
    with closing(body.pieces()) as pieces:
        for piece in pieces:
            yield piece
            tell(len(piece))


async def _pieces_beside(body: Body) -> AsyncIterator[bytes]:
    """The same; files are read in a thread."""
    tell = body.teller()
    with closing(body.pieces()) as pieces:
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
            tell(len(piece))


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _whole(response: httpx.Response) -> Answer:
    return Answer(response.status_code, _headers(response), response.content)


def _begun(response: httpx.Response) -> Answer:
    return Answer(response.status_code, _headers(response), b"")


def _headers(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _translated(error: httpx.HTTPError) -> ClientError:
    """The same in our own words, which never show an address with credentials."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Unreachable(f"The service can not be reached: {type(error).__name__}.")
        case httpx.TimeoutException():
            return TimedOut(f"The service did not answer in time: {type(error).__name__}.")
    return Disconnected(f"The connection broke: {type(error).__name__}.")
