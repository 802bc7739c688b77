"""Three front ends behind nginx, two Tritons and a Redis, for real; some of it is killed."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sammoe.bundle import Bundle
from tests import scans
from tests.integration.clickers import Clickers, segmentations
from tests.integration.cluster import Cluster, cluster
from tests.integration.serving import START_SECONDS
from tests.integration.triton.server import until

OCTETS = {"Content-Type": "application/octet-stream"}
VOLUMES = 6
DASHBOARD = Path(__file__).resolve().parents[3] / "deploy" / "grafana" / "sammoe.json"


@pytest.fixture(scope="module")
def whole(
    bundle: Bundle, environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with cluster(bundle.path, tmp_path_factory.mktemp("cluster")) as whole:
        yield whole


@pytest.fixture
def http(whole: Cluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=whole.url, timeout=START_SECONDS) as http:
        yield http


def add(http: httpx.Client, seed: int) -> str:
    answer = http.post("/v1/volumes", content=scans.gzipped(seed), headers=OCTETS)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def click(http: httpx.Client, volume: str) -> httpx.Response:
    body = {"space": "voxel", "points": [{"position": scans.INSIDE, "label": 1}]}
    headers = {"Accept": "application/vnd.sammoe.mask"}
    return http.post(f"/v1/volumes/{volume}/segmentations", json=body, headers=headers)


def test_a_scan_is_always_the_same_front_ends(whole: Cluster, http: httpx.Client) -> None:
    volumes = [add(http, seed) for seed in range(VOLUMES)]
    seen = set()
    for volume in volumes:
        before = whole.counted("sammoe_segmentations_total")
        masks = {click(http, volume).content for _ in range(3)}
        after = whole.counted("sammoe_segmentations_total")
        assert len(masks) == 1
        grown = [now - then for now, then in zip(after, before, strict=True)]
        assert sorted(grown) == [0, 0, 3]
        seen.add(grown.index(3))
    assert len(seen) > 1
    # One encode a scan in all, and whoever is asked past nginx answers the same from Redis.
    encodes = sum(whole.counted("sammoe_encodes_total"))
    for server in whole.front_ends:
        with server.client() as direct:
            assert click(direct, volumes[0]).content == click(http, volumes[0]).content
    assert sum(whole.counted("sammoe_encodes_total")) == encodes


@pytest.mark.parametrize("victim", ["redis", "front end"])
def test_nothing_is_lost_and_nothing_is_made_twice(
    whole: Cluster, http: httpx.Client, victim: str
) -> None:
    first = 20 if victim == "redis" else 40
    volumes = [add(http, seed) for seed in range(first, first + VOLUMES)]
    with Clickers(whole.url, volumes, 4) as users:
        until(lambda: len(users.made) > 4, lambda: str(users.answers))
        if victim == "redis":
            whole.redis.kill()
        else:
            whole.front_ends[-1].process.send_signal(signal.SIGKILL)
        done = len(users.made)
        until(lambda: len(users.made) > done + 20, lambda: str(users.answers))
        if victim == "redis":
            whole.redis.start()
        time.sleep(0.5)
    assert users.lost == []
    kept = [name for volume in volumes for name in segmentations(http, volume)]
    assert sorted(users.made.values()) == sorted(kept)


def test_the_dashboard_names_metrics_that_triton_has(whole: Cluster, http: httpx.Client) -> None:
    click(http, add(http, 0))
    url = f"http://127.0.0.1:{whole.tritons[1].ports[2]}/metrics"
    named = set(re.findall(r"\bnv_[a-z_]+", DASHBOARD.read_text()))
    assert named
    exposed = httpx.get(url).text
    assert [name for name in named if f"# TYPE {name} " not in exposed] == []
