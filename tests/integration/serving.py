"""A real ``sammoe serve`` in a process of its own, on loopback and a free port."""

import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
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
def serving(bundle: Path, state: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """Start the service, wait until it is ready, and end it if the test did not."""
    with _serving(bundle, state, flags, environment, None) as server:
        yield server


@contextmanager
def serving_tls(
    bundle: Path, state: Path, trusting: ssl.SSLContext, *flags: str
) -> Iterator[Server]:
    """The same where flags have it speak TLS; ``trusting`` trusts it."""
    with _serving(bundle, state, flags, {}, trusting) as server:
        yield server


@contextmanager
def _serving(
    bundle: Path,
    state: Path,
    flags: Sequence[str],
    environment: Mapping[str, str],
    trusting: ssl.SSLContext | None,
) -> Iterator[Server]:
    log = state.with_name(f"{state.name}.log")
    command = [sys.executable, "-m", "sammoe", "serve", "--port", "0", "--threads", "1"]
    command += ["--bundle", str(bundle), "--state", str(state), *flags]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, env={**SILENT, **environment}, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            greeting = "".join(process.stdout.readline() for _ in range(6))
            found = _URL.search(greeting)
            assert found, log.read_text()
            server = Server(process, int(found[1]), greeting, log)
            transport = httpx.HTTPTransport(verify=trusting or True, retries=8)
            url = server.url.replace("http", "http" if trusting is None else "https")
            with httpx.Client(transport=transport) as http:
                http.get(f"{url}/readyz", timeout=START_SECONDS).raise_for_status()
            yield server
        finally:
            process.kill()
