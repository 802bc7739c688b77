"""Users who click with an Idempotency-Key and try once more, as a viewer should."""

import collections
import threading
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import httpx

from tests import scans

DEADLINE: Final = 15.0
"""Seconds in which an answer or a refusal must have come."""


class Clickers:
    """Threads that click on volumes until they are told to stop.

    Attributes
    ----------
    answers
        How many there were of each kind: ``answered``, ``retried`` (by the second try), ``refused``
        (503 or 429 with Retry-After), ``lost``.
    made
        Ids of the segmentations that were answered, by key.
    slowest
        Seconds until the end of the slowest.
    """

    def __init__(self, url: str, volumes: Sequence[str], count: int) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self.lost: list[str] = []
        self.made: dict[str, str] = {}
        self.slowest = 0.0
        self._url, self._volumes = url, volumes
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._use, args=(n,)) for n in range(count)]

    def __enter__(self) -> "Clickers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _use(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=DEADLINE) as http:
            turn = number
            while not self._stop.is_set():
                volume = self._volumes[turn % len(self._volumes)]
                turn += 1
                self._click(http, volume, uuid4().hex)

    def _click(self, http: httpx.Client, volume: str, key: str) -> None:
        began = time.monotonic()
        first, why = _once(http, volume, key)
        answer, kind = first, "answered"
        if first is None or first.status_code != 201:
            answer, again = _once(http, volume, key)
            kind, why = "retried", f"{why}, then {again}"
        told = answer is not None and "Retry-After" in answer.headers
        if answer is None or answer.status_code != 201:
            refused = told and answer is not None and answer.status_code in {429, 503}
            kind = "refused" if refused else "lost"
        taken = time.monotonic() - began
        if taken > 2 * DEADLINE:
            kind, why = "lost", f"{why} after {taken:.1f} s"
        with self._lock:
            self.answers[kind] += 1
            self.slowest = max(self.slowest, taken)
            if kind == "lost":
                self.lost.append(why)
            elif answer is not None and answer.status_code == 201:
                self.made[key] = answer.json()["id"]
        if kind == "refused":
            time.sleep(0.2)


def _once(http: httpx.Client, volume: str, key: str) -> tuple[httpx.Response | None, str]:
    body: dict[str, Any] = {
        "space": "voxel",
        "points": [{"position": scans.INSIDE, "label": 1}],
        "extend": False,
    }
    path = f"/v1/volumes/{volume}/segmentations"
    try:
        answer = http.post(path, json=body, headers={"Idempotency-Key": key})
    except httpx.TransportError as error:
        return None, type(error).__name__
    return answer, str(answer.status_code)


def segmentations(http: httpx.Client, volume: str) -> list[str]:
    """Ids of all that the store has of a volume."""
    found: list[str] = []
    query: dict[str, Any] = {"limit": 200}
    while True:
        page = http.get(f"/v1/volumes/{volume}/segmentations", params=query).json()
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]
