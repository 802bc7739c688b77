"""Three front ends that share a Redis and a state folder, and a Redis that fails."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import scans
from tests.integration.redis_server import PASSWORD, RedisServer
from tests.integration.serving import Server, serving

FRONT_ENDS = 3
OCTETS = {"Content-Type": "application/octet-stream"}
BITE = [36, 30, 20]


@dataclass(frozen=True, eq=False)
class FrontEnd:
    """One service with a client."""

    server: Server
    http: httpx.Client

    def metric(self, name: str) -> float:
        """A metric's value; labels are part of the name."""
        text = self.http.get("/metrics").raise_for_status().text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    @property
    def encodes(self) -> float:
        """So many windows were cut out to be encoded."""
        return self.metric('sammoe_phase_seconds_count{phase="crop"}')


@pytest.fixture(scope="module")
def front_ends(
    bundle: Path, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[FrontEnd]]:
    """The first keeps no embedding in memory: it asks Redis for each click."""
    state = tmp_path_factory.mktemp("front-ends") / "state"
    with ExitStack() as stack:
        made = []
        for number in range(FRONT_ENDS):
            flags = ["--embedding-cache-mib", "64" if number else "0"]
            variables = {"SAMMOE_REDIS_URL": redis_server.url}
            server = stack.enter_context(serving(bundle, state, *flags, **variables))
            made.append(FrontEnd(server, stack.enter_context(server.client())))
        yield made


def add(front_end: FrontEnd, seed: int) -> str:
    answer = front_end.http.post("/v1/volumes", content=scans.gzipped(seed), headers=OCTETS)
    return str(answer.raise_for_status().json()["id"])


def click(
    front_end: FrontEnd,
    volume: str,
    position: object = scans.INSIDE,
    label: int = 1,
    parent: str | None = None,
) -> httpx.Response:
    prompt = {"space": "voxel", "points": [{"position": position, "label": label}]}
    body = prompt if parent is None else prompt | {"parent": parent}
    return front_end.http.post(f"/v1/volumes/{volume}/segmentations", json=body)


def settle(front_ends: list[FrontEnd], volume: str) -> None:
    """Click until every front end uses Redis; more than a pause of the breaker after a fault."""
    for front_end in front_ends:
        end = time.monotonic() + 30.0
        while front_end.metric("sammoe_redis_breaker_open"):
            assert time.monotonic() < end
            time.sleep(0.1)
            # The first has nothing in memory; the others need a window that they have not.
            add_and_click(front_end)
    assert click(front_ends[0], volume).is_success


_seeds = iter(range(1000, 10**6))


def add_and_click(front_end: FrontEnd) -> None:
    click(front_end, add(front_end, next(_seeds))).raise_for_status()


@pytest.mark.fault("S28")
def test_fifty_first_clicks_over_three_front_ends_are_one_encode(
    front_ends: list[FrontEnd],
) -> None:
    volume = add(front_ends[0], seed=50)
    before = sum(front_end.encodes for front_end in front_ends)
    together = threading.Barrier(50)

    def first_click(number: int) -> httpx.Response:
        together.wait(60.0)
        return click(front_ends[number % FRONT_ENDS], volume)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(first_click, range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["voxel_count"] for answer in answers}) == 1
    assert sum(front_end.encodes for front_end in front_ends) - before == 1
    assert sum("crop;dur" in answer.headers["Server-Timing"] for answer in answers) == 1


def test_what_one_front_end_encoded_the_others_fetch(front_ends: list[FrontEnd]) -> None:
    volume = add(front_ends[0], seed=51)
    click(front_ends[1], volume).raise_for_status()
    for front_end in (front_ends[0], front_ends[2]):
        timing = click(front_end, volume).headers["Server-Timing"]
        assert "fetch;dur" in timing
        assert 'cache;desc="hit"' in timing
    hits = 'sammoe_embeddings_total{level="redis",outcome="hit"}'
    assert front_ends[2].metric(hits) >= 1


def kill(server: RedisServer) -> None:
    server.kill()


def hang(server: RedisServer) -> None:
    server.hang()


def fill(server: RedisServer) -> None:
    server.fill()


def empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def rotate(server: RedisServer) -> None:
    server.kill()
    server.start("another password")


@pytest.mark.fault("F01", "F02", "F03", "F04", "F06")
@pytest.mark.parametrize("fault", [kill, hang, fill, empty, rotate])
def test_every_request_succeeds_while_redis_fails(
    front_ends: list[FrontEnd], redis_server: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    """Refine, undo, masks of what was made before, and first clicks, before and after the fault."""
    volume = add(front_ends[0], seed=60)
    settle(front_ends, volume)
    first = click(front_ends[1], volume).raise_for_status().json()["id"]
    second = click(front_ends[2], volume, BITE, 0, first).raise_for_status().json()["id"]
    mask = front_ends[1].http.get(f"/v1/segmentations/{second}/mask").raise_for_status()

    def refine(front_end: FrontEnd) -> None:
        answer = click(front_end, volume, [30, 36, 20], 0, second)
        assert (answer.status_code, answer.json()["parent"]) == (201, second)

    def undo(front_end: FrontEnd) -> None:
        answer = front_end.http.post(f"/v1/segmentations/{second}/undo")
        assert (answer.status_code, answer.json()["id"]) == (200, first)

    def get_mask(front_end: FrontEnd) -> None:
        answer = front_end.http.get(f"/v1/segmentations/{second}/mask")
        assert (answer.status_code, answer.content) == (200, mask.content)

    def ready(front_end: FrontEnd) -> None:
        answer = front_end.http.get("/readyz")
        assert (answer.status_code, answer.text[:5]) == (200, "ready")

    deeds = (refine, undo, get_mask, ready, add_and_click)
    with ThreadPoolExecutor(4) as pool:
        # The fault comes in the middle of the first; all of the second are after it.
        during = [pool.submit(deed, each) for deed in deeds for each in front_ends]
        next(as_completed(during)).result()
        try:
            fault(redis_server)
            after = [pool.submit(deed, each) for deed in deeds for each in front_ends]
            for answered in (*during, *after):
                answered.result()
            said = {front_end.http.get("/readyz").text for front_end in front_ends}
            assert said == {"ready\n" if fault in (fill, empty) else "ready, without Redis\n"}
        finally:
            redis_server.heal()
    settle(front_ends, volume)


def test_the_password_is_nowhere_to_be_seen(front_ends: list[FrontEnd]) -> None:
    for front_end in front_ends:
        assert PASSWORD not in front_end.server.greeting
        assert PASSWORD not in front_end.http.get("/metrics").text
        assert PASSWORD not in front_end.server.log.read_text()
