"""A TCP proxy before a server: shut and opened again it is a server that dies and comes back."""

import contextlib
import socket
import threading

_PIECE_BYTES = 1 << 16


class Door:
    """Passes all on, unless told otherwise.

    Parameters
    ----------
    port
        Of loopback, where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._answering = threading.Event()
        self._answering.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accept()

    def shut(self) -> None:
        """Refuse connections from now on, and break those that there are off."""
        with self._lock:
            listener, sockets = self._listener, [*self._sockets]
        # Wakes the thread that waits for connections; closing alone would not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in sockets:
            _end(each)

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
            for source, target, held in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, target, held), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, held: bool) -> None:
        try:
            while piece := source.recv(_PIECE_BYTES):
                if held:
                    self._answering.wait()
                target.sendall(piece)
        except OSError:
            pass
        finally:
            _end(source)
            _end(target)
            with self._lock:
                self._sockets -= {source, target}


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
