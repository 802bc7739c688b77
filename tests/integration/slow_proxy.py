"""A TCP proxy that can stop in the middle of an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PIECE_BYTES = 4096


class SlowProxy:
    """Passes requests on at once, and of each answer the beginning; the rest only while it flows.

    Parameters
    ----------
    port
        Of loopback, where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._handlers: set[asyncio.Task[None]] = set()
        self.flowing = asyncio.Event()
        self.held = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["SlowProxy"]:
        """Listen on a free :attr:`port` of loopback."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        async with listener:
            yield self
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", self._server_port)
            ends.append(requests)
            await asyncio.gather(
                _pass_on(reader, requests),
                self._pass_on_slowly(answers, writer),
                return_exceptions=True,
            )
        finally:
            for end in ends:
                end.close()

    async def _pass_on_slowly(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            half = len(piece) // 2
            writer.write(piece[:half])
            await writer.drain()
            self.held += 1
            try:
                await self.flowing.wait()
            finally:
                self.held -= 1
            writer.write(piece[half:])
            await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.close()
