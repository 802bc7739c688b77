"""A front end whose bucket is behind a network that fails, on a server that does."""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from tests import scans
from tests.integration.conftest import bundle, s3_server  # noqa: F401
from tests.integration.s3_server import BUCKET, S3Server, client_environment
from tests.integration.serving import serving
from tests.support.chaos import ChaosProxy

OCTETS = {"Content-Type": "application/octet-stream"}
CLICK = {"space": "voxel", "points": [{"position": scans.INSIDE, "label": 1}]}


@dataclass(frozen=True, eq=False)
class Place:
    """A service, the network before its bucket, and what lies there."""

    http: httpx.Client
    network: ChaosProxy
    bucket: S3Store
    prefix: str

    def add(self, seed: int) -> httpx.Response:
        return self.http.post("/v1/volumes", content=scans.gzipped(seed), headers=OCTETS)

    def volume(self, seed: int) -> str:
        return str(self.add(seed).raise_for_status().json()["id"])

    def click(self, volume: str, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"/v1/volumes/{volume}/segmentations", json=CLICK, headers=headers)

    def listed(self, volume: str) -> list[str]:
        answer = self.http.get(f"/v1/volumes/{volume}/segmentations").raise_for_status()
        return [item["id"] for item in answer.json()["items"]]

    def ready(self) -> bool:
        return self.http.get("/readyz").is_success

    def heal(self) -> None:
        """End every fault, and wait until the service has seen it."""
        self.network.calm()
        end = time.monotonic() + 60.0
        while not self.ready():
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture(scope="module")
def started(
    bundle: Path,  # noqa: F811
    s3_server: S3Server,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    network, prefix = ChaosProxy(s3_server.port), secrets.token_hex(4)
    variables = client_environment(f"http://127.0.0.1:{network.port}")
    state = tmp_path_factory.mktemp("faulty") / "state"
    bucket = S3Store(
        BUCKET,
        prefix=prefix,
        endpoint=s3_server.url,
        access_key_id="a",
        secret_access_key="b",
        region="us-east-1",
        client_options={"allow_http": True},
    )
    flags = ["--store", f"s3://{BUCKET}/{prefix}"]
    with serving(bundle, state, *flags, **variables) as server, server.client() as http:
        yield Place(http, network, bucket, prefix)
        network.shut()


@pytest.fixture
def place(started: Place) -> Iterator[Place]:
    yield started
    started.heal()


def unavailable(answer: httpx.Response) -> bool:
    """Whether it says that the store can not be had, and when to come back."""
    return (
        answer.status_code == 503
        and answer.json()["code"] == "store_unavailable"
        and int(answer.headers["Retry-After"]) >= 1
    )


@pytest.mark.fault("F21")
def test_a_slow_bucket_is_waited_for_and_holds_nobody_else_up(
    place: Place, seen: Callable[[str], None]
) -> None:
    volume = place.volume(1)
    place.click(volume).raise_for_status()
    place.network.delay_seconds = 0.3
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(place.click, volume) for _ in range(4)]
        time.sleep(0.2)
        began = time.monotonic()
        for path in ("/livez", "/v1/capabilities", "/metrics"):
            place.http.get(path).raise_for_status()
        quick = time.monotonic() - began
        made = [each.result().raise_for_status().json()["id"] for each in slow]
        waited = time.monotonic() - began
    assert quick < waited
    assert set(made) < set(place.listed(volume))
    seen(f"with 0.3 s more for each answer of the bucket, 4 clicks took {waited:.1f} s")


@pytest.mark.fault("F22")
def test_a_bucket_that_breaks_off_is_unavailable(place: Place) -> None:
    volume = place.volume(2)
    first = place.click(volume).raise_for_status().json()["id"]
    place.network.cut_bytes = 20
    asking: list[Callable[[], httpx.Response]] = [
        lambda: place.click(volume),
        lambda: place.http.get(f"/v1/segmentations/{first}/mask"),
        lambda: place.add(99),
        lambda: place.http.get("/readyz"),
    ]
    with ThreadPoolExecutor(len(asking)) as pool:
        assert all(pool.map(lambda ask: unavailable(ask()), asking))
    place.http.get("/livez").raise_for_status()
    place.heal()
    place.network.shut(reset=True)
    try:
        with ThreadPoolExecutor(len(asking)) as pool:
            assert all(pool.map(lambda ask: unavailable(ask()), asking))
    finally:
        place.network.open()
    place.heal()
    assert place.http.get(f"/v1/segmentations/{first}").is_success


@pytest.mark.fault("F23")
def test_a_write_that_is_said_to_have_failed_is_made_once(
    place: Place, seen: Callable[[str], None]
) -> None:
    volume, seen_key, unseen_key = place.volume(3), secrets.token_hex(8), secrets.token_hex(8)
    before = place.listed(volume)
    place.network.denied = re.compile(rb"PUT ")
    # What was to be made can be read: it is there, and that is what the client is told.
    answers = [place.click(volume, seen_key).raise_for_status()]
    answers += [place.click(volume).raise_for_status()]
    made = [answer.json()["id"] for answer in answers]
    # Of what is written whatever is there, it can not be told.
    assert unavailable(place.add(4))
    assert unavailable(place.http.get("/readyz"))
    # Nor is it known what became of a segmentation that can not be read.
    place.network.denied = re.compile(rb"PUT |GET \S+\.seg ")
    assert unavailable(place.click(volume, unseen_key))
    # Without a key nobody will ask for it: it is taken back.
    assert unavailable(place.click(volume))
    # That with a key took effect all the same.
    records = [entry["path"] for entry in obstore.list(place.bucket, "owners").collect()]
    written = {Path(path).stem for path in records if volume in path and path.endswith(".seg")}
    [unseen] = written - {*made, *before}
    place.heal()
    after = [unseen, *reversed(made), *before]
    assert place.listed(volume) == after
    assert place.click(volume, seen_key).content == answers[0].content
    answer = place.click(volume, unseen_key).raise_for_status()
    assert answer.json()["id"] == unseen
    assert place.click(volume, unseen_key).content == answer.content
    assert place.listed(volume) == after
    count = len(place.http.get("/v1/volumes").json()["items"])
    again = place.volume(4)
    assert place.volume(4) == again
    assert len(place.http.get("/v1/volumes").json()["items"]) == count + 1
    seen(
        f"{len(written)} records written under answers of 500: {len(made)} clicks answered with"
        " theirs, 1 with 503 and with the same one on the second trial"
    )


@pytest.mark.fault("F24")
@pytest.mark.parametrize("refusal", [b"403 Forbidden", b"507 Insufficient Storage"])
def test_what_can_not_be_written_can_be_read(place: Place, refusal: bytes) -> None:
    volume = place.volume(5)
    first = place.click(volume).raise_for_status().json()["id"]
    mask = place.http.get(f"/v1/segmentations/{first}/mask").raise_for_status().content
    before = place.listed(volume)
    place.network.refused, place.network.refusal = b"PUT ", refusal
    for _ in range(4):
        assert unavailable(place.click(volume))
        assert unavailable(place.http.get("/readyz"))
        again = place.http.get(f"/v1/segmentations/{first}/mask").raise_for_status()
        assert again.content == mask
        assert place.listed(volume) == before
    assert unavailable(place.add(6))
    place.heal()
    assert place.click(volume).is_success


@pytest.mark.fault("F25")
@pytest.mark.parametrize("how", ["newer", "damaged"])
def test_a_record_that_can_not_be_read_hides_no_other(place: Place, how: str) -> None:
    well, bad = place.volume(7), place.volume(8 if how == "newer" else 9)
    kept = place.click(bad).raise_for_status().json()["id"]
    [path] = [
        entry["path"]
        for entry in obstore.list(place.bucket, "owners").collect()
        if entry["path"].endswith(f"{bad}/volume.json")
    ]
    text = bytes(obstore.get(place.bucket, path).bytes())
    changed = text.replace(b'"schema_version":1', b'"schema_version":99')
    obstore.put(place.bucket, path, changed if how == "newer" else text[:-9])
    try:
        for answer in (place.click(bad), place.http.get(f"/v1/volumes/{bad}")):
            assert unavailable(answer)
        listed = place.http.get("/v1/volumes").raise_for_status().json()["items"]
        ids = [item["id"] for item in listed]
        assert well in ids
        assert bad not in ids
        assert place.click(well).is_success
        assert place.ready()
    finally:
        obstore.put(place.bucket, path, text)
    assert place.http.get(f"/v1/segmentations/{kept}").is_success
