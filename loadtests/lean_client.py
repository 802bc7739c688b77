"""Requests that cost their sender next to nothing: bytes made before, over connections kept open.

A client of comfort takes a millisecond of processor for each request, which on a machine of two
cores is the service's as well.
"""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """When a request was due (`time.monotonic`), its status, and seconds until its last byte."""

    due: float
    status: int
    seconds: float


class LeanClient:
    """Sends one request again and again.

    Parameters
    ----------
    request
        The whole of it, head and body.
    """

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._host, self._port, self._request = host, port, request
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, due: float) -> Answer:
        """Send it; status 0 where the connection broke.

        A connection that was idle may have been closed by the server meanwhile: that is no answer,
        and the request is sent over a new one, as every client does.
        """
        while self._idle:
            answer = await self._over(*self._idle.pop(), due)
            if answer.status:
                return answer
        try:
            fresh = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return Answer(due, 0, time.monotonic() - due)
        return await self._over(*fresh, due)

    async def _over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, due: float
    ) -> Answer:
        try:
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            sizes = [line for line in lines if line.startswith(b"content-length:")]
            await reader.readexactly(int(sizes[0].partition(b":")[2]))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return Answer(due, 0, time.monotonic() - due)
        if b"connection: close" in lines:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return Answer(due, int(head[9:12]), time.monotonic() - due)

    async def closed_loop(self, users: int, seconds: float) -> list[Answer]:
        """So many users, each with the next request as soon as the last is answered."""
        end, found = time.monotonic() + seconds, []

        async def user() -> None:
            while time.monotonic() < end:
                found.append(await self.ask(time.monotonic()))

        await asyncio.gather(*(user() for _ in range(users)))
        return found

    async def open_loop(self, rate: float, seconds: float) -> list[Answer]:
        """Requests at a rate, whatever becomes of those before."""
        began, tasks = time.monotonic(), []
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            tasks.append(asyncio.create_task(self.ask(due)))
        return list(await asyncio.gather(*tasks))

    def close(self) -> None:
        """Close idle connections."""
        for _, writer in self._idle:
            writer.close()
