"""How long a connection may keep its place: uvicorn's protocol, with the limits that it lacks.

Uvicorn waits for a request's head for as long as it takes, of whatever length, and counts
connections that say nothing like any other. So some hundred of them would keep everybody out.
And it closes a connection with its answer, even where the refused body still comes.
"""

import asyncio
from collections import OrderedDict
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
"""From a connection's beginning, or the first byte of a further request, to the head's end."""

HEAD_BYTES: Final = 64 << 10
"""Target and headers together."""

HEAD_TOO_LONG: Final = "The request's head is too long."

UNWANTED_SECONDS: Final = 10.0
"""How long the rest of a refused body is received, and thrown away, after the answer."""

UNWANTED_BYTES: Final = 64 << 20
"""How much of it."""


class Connections:
    """The connections of one port. For one event loop.

    Parameters
    ----------
    limit
        How many there may be. One more takes the place of the one that has been idle longest, and
        is closed itself where all are at work.
    head_seconds
        See `HEAD_SECONDS`.
    """

    def __init__(self, limit: int, head_seconds: float = HEAD_SECONDS) -> None:
        self.head_seconds = head_seconds
        self._limit = limit
        self._idle: OrderedDict[_Connection, None] = OrderedDict()
        self._count = 0

    def protocol(self, **given: Any) -> asyncio.Protocol:
        """What uvicorn makes for each connection."""
        return _Connection(self, **given)

    def entered(self, connection: "_Connection") -> bool:
        """Count a new connection; whether there is a place for it."""
        if self._count >= self._limit:
            if not self._idle:
                return False
            # It counts as gone at once: its end is told a moment later.
            oldest, _ = self._idle.popitem(last=False)
            self.left(oldest)
            oldest.transport.abort()
        connection.counts = True
        self._count += 1
        self._idle[connection] = None
        return True

    def left(self, connection: "_Connection") -> None:
        """It has ended, or is about to."""
        self._idle.pop(connection, None)
        if connection.counts:
            connection.counts = False
            self._count -= 1

    def busy(self, connection: "_Connection") -> None:
        """A request has come."""
        self._idle.pop(connection, None)

    def idle(self, connection: "_Connection") -> None:
        """Its requests are answered."""
        if connection.counts:
            self._idle[connection] = None


class _Connection(HttpToolsProtocol):
    """One connection, which has to bring a request's head in time and in size."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.counts = False
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._refused = self._stopping = False
        self._unwanted_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._connections.entered(self):
            self._start_timer(self._connections.head_seconds)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.left(self)
        self._stop_timer()
        super().connection_lost(exc)
        # Which uvicorn leaves running where the connection was reset; it would keep all of this.
        self._unset_keepalive_if_required()
        if self.cycle is not None:
            self.cycle.transport = self.transport  # No circle keeps them, and a body, in memory.

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._unwanted_bytes += len(data)
            if self._unwanted_bytes > UNWANTED_BYTES:
                self.transport.abort()
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self.send_400_response(HEAD_TOO_LONG)
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer(self._connections.head_seconds)

    def send_400_response(self, msg: str) -> None:
        too_long = self._in_head and self._head_bytes > HEAD_BYTES
        super().send_400_response(HEAD_TOO_LONG if too_long else msg)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # What came at once has not been counted: the parser is given all of it before.
        self._head_bytes = len(self.url) + sum(
            len(name) + len(value) for name, value in self.headers
        )
        if self._head_bytes > HEAD_BYTES:
            raise ValueError(HEAD_TOO_LONG)  # To the parser, which then reads no further.
        self._in_head = False
        self._stop_timer()
        self._connections.busy(self)
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, _Answering(self))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self._connections.idle(self)

    def shutdown(self) -> None:
        self._stopping = True
        super().shutdown()

    def close(self) -> None:
        """End the connection: at once, or where an answer came before its request's end, gently.

        A connection that is closed below a client that still sends is reset, and who writes into
        a reset connection (nginx) never reads the answer. So the rest is received for a while,
        until the client closes (RFC 9112, 9.6). Not with TLS, whose end can not be told before.
        """
        early = self.cycle.response_complete and self.cycle.more_body
        if not early or self._stopping or not self.transport.can_write_eof():
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:  # asyncio's own loop, where the client has gone
            self.transport.abort()
            return
        self._refused = True
        self.cycle.body = bytearray()
        self._start_timer(UNWANTED_SECONDS)

    def _start_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Answering:
    """What uvicorn writes an answer to: a connection that may outlive it by a moment."""

    def __init__(self, connection: _Connection) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.close
