"""The service as a process of its own, and the few calls that a client needs."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from sammoe.volume.packed import unpack

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 40.0
_ANSWER_SECONDS: Final = 120.0
_PACKED: Final = "application/vnd.sammoe.mask"
_NIFTI: Final = "application/x-nifti+gzip"
_URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")


class DemoError(Exception):
    """What failed, in one line."""


@contextmanager
def running(bundle: Path | None) -> Iterator[str]:
    """Run ``sammoe serve`` on loopback, a free port and a state folder that goes away.

    Yields
    ------
    Its address, once it is ready.

    Raises
    ------
    DemoError
        It did not start; the detail is the last line that it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="sammoe-demo-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "sammoe", "serve", "--port", "0"]
        command += ["--state", f"{folder}/state"]
        command += ["--bundle", str(bundle)] if bundle else []
        # The user's own settings are for the user's own service.
        silent = {name: value for name, value in os.environ.items() if "SAMMOE_" not in name}
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=silent, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield _wait_ready(process, log)
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        written = log.read_text(errors="replace")
        if process.poll() is not None:
            lines = written.strip().splitlines() or ["it wrote nothing"]
            raise DemoError(f"the service did not start: {lines[-1]}")
        if found := _URL.search(written):
            try:
                if httpx.get(f"{found[0]}/readyz", timeout=5).is_success:
                    return found[0]
            except httpx.TransportError:
                pass  # it has its port, but does not listen yet
        time.sleep(0.05)
    raise DemoError(f"the service was not ready after {_START_SECONDS:.0f} s")


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back for one click.

    Attributes
    ----------
    mask
        On the volume's own grid.
    milliseconds
        From sending the click to having unpacked the mask.
    phases
        Milliseconds by phase, as ``Server-Timing`` says.
    cached
        Whether the embedding was at hand.
    """

    id: str
    mask: NDArray[np.bool_]
    milliseconds: float
    phases: dict[str, float]
    cached: bool


class Client:
    """A client of the service, for one volume at a time."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload(self, path: Path) -> dict[str, Any]:
        """Add a scan; the service's description of it."""
        response = self._http.post(
            "/v1/volumes",
            content=path.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        described: dict[str, Any] = _checked(response).json()
        return described

    def click(
        self, volume: str, place: tuple[float, float, float], *, positive: bool, parent: str | None
    ) -> Answer:
        """One click at ``place`` (RAS+ mm), refining ``parent`` if there is one."""
        body = {
            "space": "ras",
            "points": [{"position": place, "label": int(positive)}],
            "parent": parent,
        }
        began = time.perf_counter()
        response = _checked(
            self._http.post(
                f"/v1/volumes/{volume}/segmentations", json=body, headers={"Accept": _PACKED}
            )
        )
        pasted, shape = unpack(response.content)
        mask = pasted.full(shape).astype(bool)
        milliseconds = 1000 * (time.perf_counter() - began)
        phases, cached = read_server_timing(response.headers["Server-Timing"])
        return Answer(response.headers["X-Segmentation-Id"], mask, milliseconds, phases, cached)

    def nifti(self, segmentation: str) -> bytes:
        """The mask as .nii.gz."""
        response = self._http.get(
            f"/v1/segmentations/{segmentation}/mask", headers={"Accept": _NIFTI}
        )
        return _checked(response).content


def read_server_timing(header: str) -> tuple[dict[str, float], bool]:
    """Milliseconds by phase, and whether the embedding cache had a hit, from ``Server-Timing``."""
    phases = {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", header)}
    return phases, 'cache;desc="hit"' in header


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        try:
            detail = response.json()["detail"]
        except (ValueError, KeyError):
            detail = response.reason_phrase
        raise DemoError(f"{response.request.url.path} answered {response.status_code}: {detail}")
    return response
