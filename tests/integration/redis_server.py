"""A real redis-server on loopback and a free port, which keeps nothing on the disk."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PASSWORD: Final = "open-sesame"

_PATIENCE_SECONDS: Final = 30.0


class RedisServer:
    """One server, to be killed, held up and started again on the same port; empty each time.

    Parameters
    ----------
    folder
        For its log and whatever it writes.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no redis-server (apt-get install redis-server)")
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        """With the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A client that blocks, for what a test arranges."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def start(self, password: str = PASSWORD) -> None:
        """Start it, and wait until it answers."""
        flags = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        flags += ["--save", "", "--appendonly", "no", "--requirepass", password]
        end = time.monotonic() + _PATIENCE_SECONDS
        with (self._folder / "redis.log").open("ab") as log:
            while not self._answers():
                assert time.monotonic() < end, (self._folder / "redis.log").read_text()
                if self._process is None or self._process.poll() is not None:
                    command = [self._program, *flags]
                    self._process = subprocess.Popen(command, stdout=log, stderr=log)
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_PATIENCE_SECONDS)
        self._process = None

    def hang(self) -> None:
        """Its connections stay, and it takes new ones, but says nothing."""
        self._signal(signal.SIGSTOP)

    def fill(self) -> None:
        """It has no memory left, and may not evict."""
        with self.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)

    def heal(self) -> None:
        """The end of any fault: it goes on where it hung, else it is started again if it must."""
        if self._process is not None:
            self._signal(signal.SIGCONT)
            try:
                with self.client() as client:
                    client.config_set("maxmemory", 0)
            except redis.RedisError:
                self.kill()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"-NOAUTH")
        except OSError:
            return False


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
