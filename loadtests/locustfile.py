"""What radiologists do all day, as locust users; `loadtests.load` and `loadtests.soak` start it.

A `Radiologist` opens a study of their own, clicks, refines two to six times, now and then goes one
step back, and saves: a result is kept and its mask fetched. A `Scheduler` warms studies up beside
them. Users take the tenants in turn. What happens is told by a plan, a JSON file that the variable
``LOAD_PLAN`` names (see `loadtests.load.Plan`); every request goes into its ``out`` at the end,
with the phases that the service told.
"""

import itertools
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from locust import FastHttpUser, events, task

PLAN = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
PACKED = "application/vnd.sammoe.mask"
OCTETS = {"Content-Type": "application/octet-stream"}

_numbers = itertools.count()
_answers: list[dict[str, Any]] = []
_began = {"wall": time.time(), "cpu": 0.0}


class Reader(FastHttpUser):
    """Somebody with a key and a scan that nobody else has."""

    abstract = True
    host = PLAN["url"]
    network_timeout = connection_timeout = 120.0

    def on_start(self) -> None:
        """Take the next tenant and the next scan."""
        number = next(_numbers)
        self.dice = random.Random(number)
        keys = PLAN["keys"]
        self.headers = {"Authorization": f"Bearer {keys[number % len(keys)]}"} if keys else {}
        self.scan = PLAN["scans"][number % len(PLAN["scans"])]
        # Its last voxels differ from everybody else's, and from the same user's of another run.
        data = bytearray(Path(self.scan["path"]).read_bytes())
        data[-8:] = np.array([number, os.getpid()], "<i4").tobytes()
        self.data = bytes(data)

    def think(self) -> None:
        """Look at the answer."""
        low, high = PLAN["think_seconds"]
        time.sleep(self.dice.uniform(low, high))

    def ask(self, method: str, path: str, what: str, **more: Any) -> Any:
        """One request, which counts as ``what``; its answer, or None where it was refused."""
        headers = {**self.headers, **more.pop("headers", {})}
        answer = self.client.request(method, path, name=what, headers=headers, **more)
        return answer if 200 <= answer.status_code < 300 else None

    def open(self) -> str | None:
        """Upload the scan, or find it there; its volume's id."""
        where = f"/v1/volumes?modality={self.scan['modality']}"
        answer = self.ask("POST", where, "open", data=self.data, headers=OCTETS)
        return None if answer is None else str(answer.json()["id"])

    def close(self, volume: str) -> None:
        """Forget the study and what was drawn on it."""
        self.ask("DELETE", f"/v1/volumes/{volume}", "close")


class Radiologist(Reader):
    """Segments."""

    weight = 4

    @task
    def study(self) -> None:
        """One study, from opening it to the saved mask."""
        volume = self.open()
        if volume is None:
            self.think()
            return
        self.think()
        middle = self.dice.choice(self.scan["clicks"])
        last = self.click(volume, "first click", middle, 1, None)
        before, clicked = None, [middle]
        for _ in range(self.dice.randint(2, 6)):
            self.think()
            if before is not None and self.dice.random() < 0.15:
                last = before
            near = middle
            while near in clicked:  # one voxel can not be inside and outside
                near = [n + self.dice.randint(-6, 6) for n in middle]
            clicked.append(near)
            answer = self.click(volume, "refine", near, self.dice.choice([1, 1, 0]), last)
            before, last = last, answer or last
        self.think()
        if last is not None:
            self.save(volume, last)
        if self.dice.random() < PLAN["close"]:
            self.close(volume)

    def click(
        self, volume: str, what: str, at: list[int], label: int, parent: str | None
    ) -> str | None:
        """The segmentation's id, or None where the click was refused."""
        body: dict[str, Any] = {"space": "voxel", "points": [{"position": at, "label": label}]}
        if parent is not None:
            body["parent"] = parent
        elif label == 0:
            body["points"][0]["label"] = 1
        path = f"/v1/volumes/{volume}/segmentations"
        answer = self.ask("POST", path, what, json=body, headers={"Accept": PACKED})
        return None if answer is None else str(answer.headers["Location"]).rpartition("/")[2]

    def save(self, volume: str, segmentation: str) -> None:
        """Keep a result, and fetch its mask as a file."""
        body = {"entries": [{"segmentation": segmentation, "label": "lesion"}]}
        answer = self.ask("POST", f"/v1/volumes/{volume}/results", "save", json=body)
        if answer is not None:
            place = f"/v1/results/{answer.json()['id']}/mask"
            self.ask("GET", place, "fetch", headers={"Accept": "application/x-nifti+gzip"})


class Scheduler(Reader):
    """Warms studies up ahead of those who will open them."""

    weight = 1

    @task
    def warm(self) -> None:
        """One study."""
        volume = self.open()
        if volume is not None:
            self.ask("POST", f"/v1/volumes/{volume}/embeddings", "warm")
            self.think()
            if self.dice.random() < PLAN["close"]:
                self.close(volume)
        self.think()


def _begin(**_: Any) -> None:
    _began.update(wall=time.time(), cpu=time.process_time())


def _note(
    name: str, response_time: float, response: Any = None, exception: Any = None, **_: Any
) -> None:
    headers = getattr(response, "headers", None) or {}
    _answers.append(
        {
            "at": time.time() - _began["wall"],
            "what": name,
            "ms": response_time,
            "status": getattr(response, "status_code", 0),
            "timing": headers.get("Server-Timing", ""),
        }
    )


def _tell(**_: Any) -> None:
    told = {
        "seconds": time.time() - _began["wall"],
        "cpu_seconds": time.process_time() - _began["cpu"],
        "answers": _answers,
    }
    Path(PLAN["out"]).write_text(json.dumps(told))


for _event, _listener in (
    (events.test_start, _begin),
    (events.request, _note),
    (events.quitting, _tell),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
