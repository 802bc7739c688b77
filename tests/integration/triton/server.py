"""A real ``sammoe triton`` in a process of its own, on loopback and free ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.integration.serving import SILENT

PATIENCE: Final = 240.0
"""Seconds; generous: other work may have all cores."""


@dataclass(eq=False)
class TritonServer:
    """A server of one folder, which can be killed and started again on the same ports."""

    folder: Path
    log: Path
    flags: tuple[str, ...] = ()
    ports: tuple[int, int, int] = field(default_factory=lambda: free_ports())
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """``host:port`` of its gRPC port."""
        return f"127.0.0.1:{self.ports[0]}"

    def start(self) -> None:
        """Start it, and wait until every model is loaded."""
        grpc, http, metrics = map(str, self.ports)
        command = [sys.executable, "-m", "sammoe", "triton", "--bundle", str(self.folder)]
        command += ["--grpc-port", grpc, "--http-port", http, "--metrics-port", metrics]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *self.flags], env=SILENT, stdout=log, stderr=log
            )
        until(self.is_ready, lambda: self.log.read_text()[-4000:])

    def is_ready(self) -> bool:
        """Whether it says that it is ready; fails when it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[1]}/v2/health/ready").is_success
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def stubs(self, model: str) -> list[int]:
        """Process ids of a model's instances, on this server: others may have one of that name."""
        place = f"{self.folder.resolve()}/{model}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue  # it has just ended
            if words[0].endswith(b"triton_python_backend_stub") and any(
                place in word for word in words
            ):
                found.append(int(path.parent.name))
        return found

    def kill(self, model: str) -> None:
        """Kill every instance of a model, as a crash would."""
        stubs = self.stubs(model)
        assert stubs
        for stub in stubs:
            os.kill(stub, signal.SIGKILL)

    def shared_memory(self) -> list[str]:
        """What it has in ``/dev/shm``."""
        return [path.name for path in Path("/dev/shm").glob(f"sammoe-triton-{self.ports[0]}-*")]


@contextmanager
def running(folder: Path, log: Path, *flags: str) -> Iterator[TritonServer]:
    """A server that is ready; ended if the test did not."""
    server = TritonServer(folder, log, flags)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.process.kill()
            server.process.wait()


def until(true: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


def free_ports() -> tuple[int, int, int]:
    """Ports for gRPC, HTTP and metrics that nobody has now."""
    probes = [socket.socket() for _ in range(3)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    grpc, http, metrics = (probe.getsockname()[1] for probe in probes)
    for probe in probes:
        probe.close()
    return grpc, http, metrics
