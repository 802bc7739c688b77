"""A real ``sammoe serve`` in a process of its own, on loopback and a free port."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

SILENT: Final = {name: value for name, value in os.environ.items() if "SAMMOE_" not in name}
"""The environment without settings of the service."""

START_SECONDS: Final = 120.0
RUN_SECONDS: Final = 240.0
"""Of a start, and of a command that trains. Generous: other tests may have all cores."""

_URL = re.compile(r"https?://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, eq=False)
class Server:
    """A running service: its process, port, first lines, and the file that stderr goes to."""

    process: "subprocess.Popen[str]"
    port: int
    greeting: str
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def beside(self, what: str) -> str:
        """Address of a port beside its own, which its lines tell after the first six."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip().startswith(what):
                return line.split()[-1]
        raise AssertionError(self.log.read_text())

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=START_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(how)
        return self.process.wait(START_SECONDS)


def sammoe(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    command = [sys.executable, "-m", "sammoe", *map(str, arguments)]
    return subprocess.run(
        command,
        env=SILENT | environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@contextmanager
def serving(
    bundle: Path,
    state: Path,
    *flags: str,
    scheme: str = "http",
    **environment: str,
) -> Iterator[Server]:
    """Start the service, wait until it is ready, and end it if the test did not.

    ``scheme``: ``https`` where it speaks TLS; its certificate is not checked here.
    """
    log = state.with_name(f"{state.name}.log")
    command = [sys.executable, "-m", "sammoe", "serve", "--port", "0", "--threads", "1"]
    command += ["--bundle", str(bundle), "--state", str(state), *flags]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, env=SILENT | environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            greeting = "".join(process.stdout.readline() for _ in range(6))
            found = _URL.search(greeting)
            assert found, log.read_text()
            server = Server(process, int(found[1]), greeting, log)
            transport = httpx.HTTPTransport(verify=False, retries=8)
            url = server.url.replace("http", scheme)
            with httpx.Client(transport=transport) as http:
                http.get(f"{url}/readyz", timeout=START_SECONDS).raise_for_status()
            yield server
        finally:
            process.kill()
