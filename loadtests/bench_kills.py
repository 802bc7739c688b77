"""What clicks meet while a model's process, and then the whole Triton server, is killed under load.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_kills

A bundle of arithmetic, for only the plumbing counts; real processes of ``sammoe triton`` and
``sammoe serve --triton-url`` on loopback; threads that click without a pause. Killed with SIGKILL:
the general decoder's process, which the service heals, and the server, which is started again.
Exits 1 when a request got neither its mask nor a 503 with Retry-After within the deadline.
"""

import argparse
import collections
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from loadtests.bench_clicks import server
from sammoe.bundle import GENERAL_DECODER
from sammoe.engine.triton import TritonOptions
from tests import scans
from tests.integration.triton.conftest import make_bundle
from tests.integration.triton.server import running, until

DEADLINE = TritonOptions().decode_seconds
MARGIN = 2.0
"""Seconds beside the engine's deadline, for the rest of a click."""


class Clickers:
    """Threads that click on one volume until they are told to stop.

    Attributes
    ----------
    answers
        How many there were of each kind; ``lost`` are those that should not be.
    masks
        When each request that got its mask was sent and answered, by `time.monotonic`.
    """

    def __init__(self, url: str, volume: str, count: int) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.masks: list[tuple[float, float]] = []
        self._url, self._volume = url, volume
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._click) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let clicks under way finish."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _click(self) -> None:
        body = {"points": [{"position": [20, 30, 20], "label": 1}], "space": "voxel"}
        with httpx.Client(base_url=self._url, timeout=DEADLINE + 10 * MARGIN) as http:
            while not self._stop.is_set():
                began = time.monotonic()
                answer = http.post(f"/v1/volumes/{self._volume}/segmentations", json=body)
                ended = time.monotonic()
                self.slowest = max(self.slowest, ended - began)
                kind = str(answer.status_code)
                told = answer.status_code in {429, 503} and "Retry-After" in answer.headers
                if answer.status_code == 201:
                    self.masks.append((began, ended))
                elif not told:
                    kind = "lost"
                if ended - began > DEADLINE + MARGIN:
                    kind = "lost"
                self.answers[kind] += 1
                if told:
                    time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clickers", type=int, default=8, help="threads (default 8)")
    parser.add_argument("--seconds", type=float, default=5, help="before each kill (default 5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = make_bundle(folder / "bundle")
        with (
            running(bundle.path, folder / "triton.log") as triton,
            server(bundle, folder / "state", "--triton-url", triton.url) as url,
        ):
            clickers = Clickers(url, add_volume(url), args.clickers)
            until(lambda: len(clickers.masks) > 0)
            time.sleep(args.seconds)
            killed = time.monotonic()
            triton.kill(bundle.manifest.models[GENERAL_DECODER])
            healed = first_mask(clickers, lambda began, ended: began > killed)
            print(f"a model's process: a later click got its mask {healed - killed:.1f} s after it")
            time.sleep(args.seconds)
            triton.stop(signal.SIGKILL)
            time.sleep(args.seconds)
            triton.start()
            returned = time.monotonic()
            found = first_mask(clickers, lambda began, ended: ended > returned)
            print(f"the server: the first mask {found - returned:.1f} s after it was ready again")
            clickers.stop()
            counts = sorted(clickers.answers.items())
            print(", ".join(f"{count} x {kind}" for kind, count in counts))
            print(f"slowest answer {clickers.slowest:.1f} s; lost: {clickers.answers['lost']}")
    return 1 if clickers.answers["lost"] else 0


def first_mask(clickers: Clickers, counts: Callable[[float, float], bool]) -> float:
    """When the first mask came whose request, by when it was sent and answered, counts."""

    def found() -> list[float]:
        return [ended for began, ended in list(clickers.masks) if counts(began, ended)]

    until(lambda: bool(found()))
    return min(found())


def add_volume(url: str) -> str:
    """Upload a small scan; returns the volume's id."""
    answer = httpx.post(
        f"{url}/v1/volumes",
        params={"modality": "MR"},
        content=scans.gzipped(),
        headers={"Content-Type": "application/octet-stream"},
        timeout=120,
    )
    name: str = answer.raise_for_status().json()["id"]
    return name


if __name__ == "__main__":
    sys.exit(main())
