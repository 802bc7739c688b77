"""Bundles exchanged under front ends that run them in their own processes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sammoe.bundle import Bundle
from tests.integration.s3_server import BUCKET, S3Server
from tests.integration.serving import serving
from tests.integration.swapping import (
    Users,
    add_volume,
    publish,
    rollback,
    serve_folder,
    served_digest,
    swap_there_and_back,
    two_bundles,
    wait_for_switch,
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    return two_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def folder(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> Path:
    return serve_folder(bundles[0], tmp_path / "served")


@pytest.fixture
def urls(folder: Path, tmp_path: Path) -> Iterator[list[str]]:
    """Two front ends with one state folder."""
    state = tmp_path / "state"
    with serving(folder, state) as one, serving(folder, state) as two:
        yield [one.url, two.url]


@pytest.mark.fault("F19", "F20")
def test_users_do_not_notice_a_swap(
    urls: list[str], folder: Path, bundles: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    users = Users(urls * 2, add_volume(urls[0]))
    swap_there_and_back(users, urls, folder, bundles, SAMMOE_STATE=str(tmp_path / "state"))
    metrics = httpx.get(f"{urls[0]}/metrics").text
    assert 'sammoe_bundle_swaps_total{outcome="switched"} 2.0' in metrics
    assert f'digest="{bundles[0].digest}"' in metrics


def test_replicas_follow_the_record_of_their_bucket(
    bundles: tuple[Bundle, Bundle], s3_server: S3Server, tmp_path: Path
) -> None:
    """Each has a folder of its own: what the record names answers where its files have come."""
    variables = s3_server.environment | {"SAMMOE_STORE": f"s3://{BUCKET}/{tmp_path.name}"}
    here, there = (serve_folder(bundles[0], tmp_path / name) for name in ("here", "there"))
    with (
        serving(here, tmp_path / "1", **variables) as one,
        serving(there, tmp_path / "2", **variables) as two,
    ):
        publish(bundles[1], here, **variables)
        wait_for_switch([one.url], here)
        awaited = f"ready, bundle {bundles[1].digest[:12]} awaited\n"
        while httpx.get(f"{two.url}/readyz").text != awaited:
            assert served_digest(two.url) == bundles[0].digest
        assert "sammoe_bundle_awaited 1.0" in httpx.get(f"{two.url}/metrics").text
        publish(bundles[1], there)
        wait_for_switch([two.url], here)
        assert httpx.get(f"{two.url}/readyz").text == "ready\n"
        rollback(here, **variables)
        wait_for_switch([one.url, two.url], here)
        told = f"bundle {bundles[1].digest[:12]} is active and {there} does not hold it"
        assert told in two.log.read_text()


@pytest.mark.fault("F18")
def test_a_damaged_bundle_is_not_served(
    urls: list[str], folder: Path, bundles: tuple[Bundle, Bundle]
) -> None:
    volume = add_volume(urls[0])
    publish(bundles[1], folder)
    wait_for_switch(urls, folder)
    manifest = folder / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"name"', '"nom"', 1))
    users = Users(urls, volume)
    users.start()
    try:
        for url in urls:
            while 'swaps_total{outcome="refused"} 1.0' not in httpx.get(f"{url}/metrics").text:
                assert served_digest(url) == bundles[1].digest
    finally:
        users.stop()
    assert not users.failed
    assert {seen.bundle for seen in users.first} == {bundles[1].digest}
