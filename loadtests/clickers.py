"""Locust users who click without a pause on one volume; `loadtests.ratios.throughput` starts it."""

import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

PLAN = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
BODY = json.dumps(
    {
        "points": [{"position": PLAN["click"], "label": 1}],
        "space": "voxel",
        "extend": False,
        "expert": "general",
    }
)
HEADERS = {"Content-Type": "application/json", "Accept": "application/vnd.sammoe.mask"}

_seen = {"good": 0, "failed": 0, "began": 0.0, "ended": 0.0, "cpu": 0.0}


class Clicker(FastHttpUser):
    """Clicks."""

    host = PLAN["url"]

    @task
    def click(self) -> None:
        """Once."""
        path = f"/v1/volumes/{PLAN['volume']}/segmentations"
        if not _seen["began"]:
            _seen.update(began=time.monotonic(), cpu=time.process_time())
        answer: Any = self.client.post(path, data=BODY, headers=HEADERS, name="click")
        _seen["good" if answer.status_code == 201 else "failed"] += 1
        _seen["ended"] = time.monotonic()


def _tell(**_: Any) -> None:
    told = {
        "good": _seen["good"],
        "failed": _seen["failed"],
        "seconds": _seen["ended"] - _seen["began"],
        "cpu": time.process_time() - _seen["cpu"],
    }
    Path(PLAN["out"]).write_text(json.dumps(told))


events.quitting.add_listener(_tell)  # type: ignore[no-untyped-call]
