"""Two front ends on two machines, as it were, with one bucket; and a bucket that fails."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from tests import scans
from tests.integration.redis_server import RedisServer
from tests.integration.s3_server import BUCKET, S3Server, client_environment
from tests.integration.serving import sammoe, serving
from tests.support.chaos import ChaosProxy

OCTETS = {"Content-Type": "application/octet-stream"}
BITE = [36, 30, 20]
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Place:
    """Two services on one bucket, the door before the bucket, and what lies there."""

    here: httpx.Client
    there: httpx.Client
    folders: tuple[Path, Path]
    door: ChaosProxy
    bucket: S3Store

    def objects(self) -> list[str]:
        """All that is there about volumes, but what says which were deleted."""
        listed = [entry["path"] for entry in obstore.list(self.bucket).collect()]
        return [path for path in listed if path.split("/")[0] in {"owners", "contents"}]


@pytest.fixture(scope="module")
def place(
    bundle: Path,
    s3_server: S3Server,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Embeddings are shared through Redis, too."""
    door = ChaosProxy(s3_server.port)
    prefix = secrets.token_hex(4)
    variables = client_environment(f"http://127.0.0.1:{door.port}")
    variables["SAMMOE_REDIS_URL"] = redis_server.url
    root = tmp_path_factory.mktemp("s3-front-ends")
    folders = root / "1", root / "2"
    with ExitStack() as stack:
        clients = []
        for folder in folders:
            flags = ["--store", f"s3://{BUCKET}/{prefix}"]
            server = stack.enter_context(serving(bundle, folder, *flags, **variables))
            clients.append(stack.enter_context(server.client()))
        bucket = S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=s3_server.url,
            access_key_id="a",
            secret_access_key="b",
            region="us-east-1",
            client_options={"allow_http": True},
        )
        yield Place(clients[0], clients[1], folders, door, bucket)
        door.shut()


def keyed(key: str | None) -> dict[str, str]:
    """The header of an idempotent request."""
    return {} if key is None else {"Idempotency-Key": key}


def add(client: httpx.Client, seed: int, key: str | None = None) -> str:
    headers = OCTETS | keyed(key)
    answer = client.post("/v1/volumes", content=scans.gzipped(seed), headers=headers)
    return str(answer.raise_for_status().json()["id"])


def click(
    client: httpx.Client,
    volume: str,
    position: object = scans.INSIDE,
    label: int = 1,
    parent: str | None = None,
    key: str | None = None,
) -> httpx.Response:
    prompt = {"space": "voxel", "points": [{"position": position, "label": label}]}
    body = prompt if parent is None else prompt | {"parent": parent}
    return client.post(f"/v1/volumes/{volume}/segmentations", json=body, headers=keyed(key))


def memory(client: httpx.Client) -> float:
    """Bytes of embeddings in one process."""
    text = client.get("/metrics").raise_for_status().text
    found = re.search(r"^sammoe_embedding_memory_bytes (\S+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


def wait(done: Callable[[], bool], what: str) -> None:
    """Until ``done()`` is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def wait_for_more(things: Sized, count: int, what: str) -> None:
    """Until there are so many more than now."""
    enough = len(things) + count
    wait(lambda: len(things) >= enough, what)


@pytest.mark.fault("F14")
def test_click_here_refine_undo_and_mask_there(place: Place) -> None:
    volume = add(place.here, 1)
    assert add(place.there, 1) == volume
    first = click(place.here, volume).raise_for_status().json()["id"]
    second = click(place.there, volume, BITE, 0, first).raise_for_status().json()
    assert second["parent"] == first
    third = click(place.here, volume, [30, 36, 20], 0, second["id"]).raise_for_status().json()
    undone = place.there.post(f"/v1/segmentations/{third['id']}/undo").raise_for_status().json()
    assert undone["id"] == second["id"]
    for name in (first, second["id"], third["id"]):
        masks = {
            client.get(f"/v1/segmentations/{name}/mask").raise_for_status().content
            for client in (place.here, place.there)
        }
        assert len(masks) == 1
    listed = place.there.get(f"/v1/volumes/{volume}/segmentations").raise_for_status().json()
    assert [item["id"] for item in listed["items"]] == [third["id"], second["id"], first]
    place.here.delete(f"/v1/segmentations/{third['id']}").raise_for_status()
    assert place.there.get(f"/v1/segmentations/{third['id']}").status_code == 404


def test_answers_kept_here_are_given_again_there(place: Place) -> None:
    key = secrets.token_hex(8)
    volume = add(place.here, 2)
    first = click(place.here, volume, key=key).raise_for_status()
    again = click(place.there, volume, key=key).raise_for_status()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content
    other = click(place.there, volume, BITE, key=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_what_is_deleted_here_is_gone_there_and_everywhere(
    place: Place, redis_server: RedisServer
) -> None:
    for page in place.here.get("/v1/volumes").json()["items"]:
        place.here.delete(f"/v1/volumes/{page['id']}").raise_for_status()
    wait(lambda: memory(place.there) == 0, "embeddings of what was deleted")
    key = secrets.token_hex(8)
    volume = add(place.here, 3, key)
    made = click(place.here, volume, key="click").json()["id"]
    refined = click(place.there, volume, BITE, 0, made).raise_for_status().json()["id"]
    # Another window, which makes the other front end fetch the voxels.
    click(place.there, volume, [4, 4, 4]).raise_for_status()
    assert list(place.folders[1].glob("tmp/*/copies/*"))
    with redis_server.client() as redis:
        assert redis.keys("sammoe:embedding:*")
        assert memory(place.here) > 0
        assert memory(place.there) > 0

        assert place.here.delete(f"/v1/volumes/{volume}").status_code == 204

        assert redis.keys("sammoe:embedding:*") == []
    assert memory(place.here) == 0
    assert place.objects() == []
    for path in (
        f"/v1/volumes/{volume}",
        f"/v1/volumes/{volume}/segmentations",
        f"/v1/segmentations/{made}",
        f"/v1/segmentations/{refined}/mask",
    ):
        for client in (place.here, place.there):
            assert client.get(path).status_code == 404
    assert click(place.there, volume).status_code == 404
    assert click(place.there, volume, key="click").status_code == 404
    assert place.there.get("/v1/volumes").json()["items"] == []
    wait(lambda: memory(place.there) == 0, "embeddings of what was deleted elsewhere")
    assert list(place.folders[1].glob("tmp/*/copies/*")) == []
    assert add(place.there, 3, key) != volume


def refused(answer: httpx.Response) -> bool:
    """Whether it says to come back; everything but success must."""
    if answer.is_success:
        return False
    said = (answer.status_code, answer.json()["code"])
    assert said in {(503, "store_unavailable"), (429, "engine_busy")}
    assert int(answer.headers["Retry-After"]) >= 1
    return True


@pytest.mark.fault("F22")
def test_nothing_is_lost_when_the_bucket_dies_and_comes_back(place: Place) -> None:
    volume = add(place.here, 4)
    click(place.here, volume).raise_for_status()
    stop = threading.Event()
    made: list[tuple[str, int]] = []
    refusals: list[int] = []

    def work(client: httpx.Client) -> None:
        while not stop.is_set():
            answer = click(client, volume)
            if refused(answer):
                refusals.append(answer.status_code)
                time.sleep(0.05)
            else:
                made.append((answer.json()["id"], answer.json()["voxel_count"]))

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, client) for client in (place.here, place.there) * 2]
        try:
            for _ in range(3):
                wait_for_more(made, 4, "clicks while the bucket is there")
                place.door.shut()
                wait_for_more(refusals, 8, "refusals while it is not")
                assert refused(place.here.get("/readyz"))
                assert place.here.get("/livez").is_success
                place.door.open()
        finally:
            stop.set()
        for worker in workers:
            worker.result()
    wait(lambda: place.here.get("/readyz").is_success, "readiness")
    wait(lambda: place.there.get("/readyz").is_success, "readiness")
    for name, count in made:
        for client in (place.here, place.there):
            kept = client.get(f"/v1/segmentations/{name}").raise_for_status().json()
            assert kept["voxel_count"] == count


@pytest.mark.fault("F21")
def test_a_bucket_that_does_not_answer_holds_nobody_else_up(place: Place) -> None:
    volume = add(place.here, 5)
    click(place.here, volume).raise_for_status()
    place.door.hold()
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(click, place.here, volume)
        time.sleep(0.3)
        assert place.here.get("/livez").is_success
        assert place.here.get("/v1/capabilities").is_success
        assert not slow.done()
        place.door.let_go()
        assert slow.result().is_success
        # For longer than anybody waits.
        place.door.hold()
        try:
            doing = [pool.submit(click, place.here, volume) for _ in range(2)]
            doing.append(pool.submit(place.here.get, f"/v1/volumes/{volume}"))
            assert all(refused(each.result()) for each in doing)
        finally:
            place.door.let_go()
    wait(lambda: click(place.here, volume).is_success, "a click once it answers again")


def test_purge_looks_into_the_bucket(place: Place, s3_server: S3Server, tmp_path: Path) -> None:
    variables = client_environment(s3_server.url)
    url = f"s3://{BUCKET}/{place.bucket.prefix}"
    done = sammoe(
        "purge", "--study", "1.2.3", "--store", url, "--state", tmp_path / "state", **variables
    )
    assert (done.returncode, done.stdout[:11]) == (0, "0 volume(s)"), done.stderr
    variables["SAMMOE_STORE"] = "s3://no-such-bucket/x"
    refused = sammoe("purge", "--study", "1.2.3", "--state", tmp_path / "state", **variables)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_without_a_bucket_the_command_says_so_in_a_line(
    bundle: Path, s3_server: S3Server, tmp_path: Path
) -> None:
    flags: list[str | Path] = ["--bundle", bundle, "--state", tmp_path, "--port", "0"]
    flags += ["--store", "s3://no-such-bucket"]
    done = sammoe("serve", *flags, **s3_server.environment)
    assert (done.returncode, "bucket is not there" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
