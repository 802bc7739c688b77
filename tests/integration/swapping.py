"""Users who click and refine without a pause while bundles are exchanged under them."""

import collections
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sammoe.bundle import Bundle, manifest_digest, releases
from tests import scans
from tests.bundles import with_self_test, write_test_bundle
from tests.integration.serving import START_SECONDS, sammoe

EXPERTS = ("cord", "lesion")
BEFORE = "cord"
"""The one expert of the bundle before."""


def two_bundles(root: Path) -> tuple[Bundle, Bundle]:
    """One with an expert, and the same with two; their gates and selectors differ."""
    one = write_test_bundle(root / "one", experts=(BEFORE,), reference=True, slack=0.0)
    two = write_test_bundle(root / "two", experts=EXPERTS, reference=True, slack=0.0)
    return with_self_test(one), with_self_test(two)


def serve_folder(bundle: Bundle, folder: Path) -> Path:
    """A new folder that holds the bundle, as it is published."""
    releases.publish(bundle, folder)
    return folder


def publish(bundle: Bundle, folder: Path, **environment: str) -> None:
    """``sammoe bundle publish``; the environment may name a store."""
    done = sammoe("bundle", "publish", bundle.path, "--to", folder, **environment)
    assert done.returncode == 0, done.stderr


def rollback(folder: Path, **environment: str) -> None:
    """``sammoe bundle rollback``; the environment may name a store."""
    done = sammoe("bundle", "rollback", folder, **environment)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Seen:
    """What an answer was made of: `bundle` and what only that bundle answers."""

    bundle: str
    scores: tuple[str, ...]
    used: str
    voxels: int


@dataclass(eq=False)
class Users:
    """Threads, each with a front end of its own, that make first clicks and refine them.

    Attributes
    ----------
    urls, volume
        Front ends, and a volume in the store that they share.
    failed
        Answers other than 201, by status.
    first, refined
        How often each answer was seen, to the first click and to its refinement.
    crossed, untold
        Refinements that another bundle answered than their parent's, and those whose warnings do
        not say so, or say so without reason.
    slowest
        Seconds that the slowest answer took.
    """

    urls: Sequence[str]
    volume: str
    failed: collections.Counter[str] = field(default_factory=collections.Counter)
    first: collections.Counter[Seen] = field(default_factory=collections.Counter)
    refined: collections.Counter[Seen] = field(default_factory=collections.Counter)
    crossed: int = 0
    untold: int = 0
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._use, args=(url,)) for url in self.urls]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let what is under way finish."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _use(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=START_SECONDS) as http:
            while not self._stop.is_set():
                first = self._click(http, scans.INSIDE, 1, None)
                if first is None:
                    continue
                second = self._click(http, [36, 30, 20], 0, first["id"])
                with self._lock:
                    self.first[_seen(first)] += 1
                    if second is None:
                        continue
                    codes = [warning["code"] for warning in second["warnings"]]
                    crossed = first["bundle"] != second["bundle"]
                    self.crossed += crossed
                    self.untold += crossed != ("bundle_changed" in codes)
                    if not crossed:
                        self.refined[_seen(second)] += 1

    def _click(
        self, http: httpx.Client, position: object, label: int, parent: str | None
    ) -> "dict[str, Any] | None":
        body: dict[str, Any] = {
            "space": "voxel",
            "points": [{"position": position, "label": label}],
        }
        if parent is not None:
            body["parent"] = parent
        began = time.monotonic()
        answer = http.post(f"/v1/volumes/{self.volume}/segmentations", json=body)
        with self._lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status_code != 201:
                self.failed[f"{answer.status_code} {answer.text}"] += 1
                return None
        found: dict[str, Any] = answer.json()
        return found

    def wrong(self, bundles: Sequence[Bundle]) -> list[Seen]:
        """Answers that are not what the bundle that they name answers."""
        experts = {
            bundle.digest: tuple(expert.name for expert in bundle.manifest.experts)
            for bundle in bundles
        }
        odd = []
        for answers in (self.first, self.refined):
            usual: dict[str, Seen] = {}
            for seen, _ in answers.most_common():
                if (
                    usual.setdefault(seen.bundle, seen) != seen
                    or experts.get(seen.bundle) != seen.scores
                ):
                    odd.append(seen)
        return odd


def _seen(answer: "dict[str, Any]") -> Seen:
    route = answer["route"]
    return Seen(answer["bundle"], tuple(route["scores"]), route["used"], answer["voxel_count"])


def served_digest(url: str) -> str:
    """Digest of the bundle that a front end says it serves."""
    answer = httpx.get(f"{url}/v1/capabilities", timeout=START_SECONDS).raise_for_status()
    return str(answer.json()["bundle"]["digest"])


def wait_for_switch(urls: Sequence[str], folder: Path) -> None:
    """Wait until every front end serves what the folder holds."""
    digest = manifest_digest(folder)
    end = time.monotonic() + START_SECONDS
    for url in urls:
        while served_digest(url) != digest:
            assert time.monotonic() < end, f"{url} does not serve {digest}"
            time.sleep(0.1)


def add_volume(url: str) -> str:
    """Upload the small scan; its id."""
    answer = httpx.post(
        f"{url}/v1/volumes",
        params={"modality": "MR"},
        content=scans.gzipped(),
        headers={"Content-Type": "application/octet-stream"},
        timeout=START_SECONDS,
    )
    return str(answer.raise_for_status().json()["id"])


def swap_there_and_back(
    users: Users,
    urls: Sequence[str],
    folder: Path,
    bundles: Sequence[Bundle],
    **environment: str,
) -> None:
    """Exchange the first bundle with the second and back while users work; all must go well.

    The environment names the store whose record the front ends follow, if they follow one.
    """
    users.start()
    try:
        publish(bundles[1], folder, **environment)
        wait_for_switch(urls, folder)
        rollback(folder, **environment)
        wait_for_switch(urls, folder)
    finally:
        users.stop()
    assert not users.failed
    assert users.untold == 0
    assert {seen.bundle for seen in users.first} == {bundle.digest for bundle in bundles}
    assert users.wrong(bundles) == []
