"""A real S3 server (moto's) on loopback and a free port."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from tests.integration.redis_server import free_port

BUCKET: Final = "hospital"

_PATIENCE_SECONDS: Final = 60.0

_UNTRACED: Final = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
"""The environment without coverage's: nothing of ours runs in it."""

_ROOT: Final = Path(__file__).parents[2]
"""Of the project, from where the tests are modules."""


class S3Server:
    """One server, to be killed, held up and started again on the same port.

    It keeps objects in its memory, so a server that was killed is empty; `hang` and `heal` are the
    way to lose it and have it back with all that is in it.

    Parameters
    ----------
    folder
        For its log.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its clients are told by."""
        return client_environment(self.url)

    def start(self) -> None:
        """Start it, wait until it answers, and make the bucket."""
        command = [sys.executable, "-m", "tests.integration.moto_server"]
        command += ["-H", "127.0.0.1", "-p", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=_UNTRACED, cwd=_ROOT
            )
        end = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_PATIENCE_SECONDS)

    def hang(self) -> None:
        """Its connections stay, and the system takes new ones, but it says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        """Go on where it hung."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        request = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=5.0):
                return True
        except OSError:
            return False


def client_environment(url: str) -> dict[str, str]:
    """What a client of the server at ``url`` is told by."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "open-sesame",
        "AWS_REGION": "us-east-1",
    }
