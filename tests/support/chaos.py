"""A TCP proxy before a server, which can do to it what networks do."""

import contextlib
import re
import socket
import struct
import threading
import time
from typing import Final

_PIECE_BYTES: Final = 1 << 16
_REQUEST_BYTES: Final = 1000
_DONE: Final = re.compile(rb"HTTP/1\.1 2\d\d")
_RESET: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: a connection is reset, not ended."""


class ChaosProxy:
    """Passes all on, unless told otherwise.

    Parameters
    ----------
    port
        Of loopback, where the server listens.

    Attributes
    ----------
    port
        Of loopback, where the proxy listens.
    delay_seconds
        How much later each piece of an answer comes.
    bytes_per_second
        How fast answers come; 0: as they do.
    cut_bytes
        After so many bytes of an answer the connection is reset; None: never.
    denied
        HTTP requests that begin so are done by the server, and answered 500 where it says that
        they are; None: none.
    refused
        HTTP requests that begin so do not reach the server, and are answered ``refusal``.
    """

    def __init__(self, port: int) -> None:
        self.delay_seconds = 0.0
        self.bytes_per_second = 0
        self.cut_bytes: int | None = None
        self.denied: re.Pattern[bytes] | None = None
        self.refused: bytes | None = None
        self.refusal = b"403 Forbidden"
        self._server_port = port
        self._answering = threading.Event()
        self._answering.set()
        self._stalled: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accept()

    def shut(self, *, reset: bool = False) -> None:
        """Refuse connections from now on, and break those that there are off."""
        with self._lock:
            listener, sockets = self._listener, [*self._sockets]
        # Wakes the thread that waits for connections; closing alone would not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in sockets:
            _end(each, reset=reset)

    def open(self) -> None:
        """Let connections in again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def hold(self) -> None:
        """Take requests, and keep answers back until `let_go`."""
        self._answering.clear()

    def let_go(self) -> None:
        """Send what was kept back, and all that comes."""
        self._answering.set()

    def stall(self) -> None:
        """Let nothing more through the connections that there are, and never end them."""
        with self._lock:
            self._stalled |= self._sockets

    def calm(self) -> None:
        """The end of every fault but those of connections."""
        self.delay_seconds, self.bytes_per_second = 0.0, 0
        self.cut_bytes = self.denied = self.refused = None
        self.let_go()

    def _accept(self) -> None:
        threading.Thread(target=self._run, args=(self._listener,), daemon=True).start()

    def _run(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            with self._lock:
                self._sockets |= {client, server}
            asked = _Asked()
            for source, target, by_server in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, target, asked, by_server), daemon=True
                ).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, asked: "_Asked", by_server: bool
    ) -> None:
        passed, reset = 0, False
        try:
            while piece := source.recv(_PIECE_BYTES):
                if source in self._stalled:
                    continue
                if by_server:
                    piece = self._answer(piece, asked)
                    if self.cut_bytes is not None and passed + len(piece) > self.cut_bytes:
                        reset = True
                        return
                else:
                    asked.note(piece)
                    if self.refused is not None and asked.request.startswith(self.refused):
                        _refuse(source, self.refusal)
                        return
                passed += len(piece)
                target.sendall(piece)
        except OSError:
            pass
        finally:
            if source not in self._stalled:
                _end(source, reset=reset)
                _end(target, reset=reset)
            with self._lock:
                self._sockets -= {source, target}

    def _answer(self, piece: bytes, asked: "_Asked") -> bytes:
        """A piece of an answer as it shall come, when it shall."""
        self._answering.wait()
        time.sleep(self.delay_seconds)
        if self.bytes_per_second:
            time.sleep(len(piece) / self.bytes_per_second)
        if self.denied is not None and self.denied.match(asked.request):
            return _DONE.sub(b"HTTP/1.1 500", piece, count=1)
        return piece


class _Asked:
    """What was asked last on a connection."""

    _METHODS: Final = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")

    def __init__(self) -> None:
        self.request = b""

    def note(self, piece: bytes) -> None:
        if piece.startswith(self._METHODS):
            self.request = piece[:_REQUEST_BYTES]


def _refuse(client: socket.socket, refusal: bytes) -> None:
    client.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % refusal)
    # So that nothing unread resets the connection before the answer has come.
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while client.recv(_PIECE_BYTES):
            pass


def _end(connection: socket.socket, *, reset: bool) -> None:
    with contextlib.suppress(OSError):
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        else:
            connection.shutdown(socket.SHUT_RDWR)
    connection.close()
