"""Bundles exchanged under front ends that run them in their own processes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sammoe.bundle import Bundle
from tests.integration.serving import serving
from tests.integration.swapping import (
    Users,
    add_volume,
    publish,
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


def test_users_do_not_notice_a_swap(
    urls: list[str], folder: Path, bundles: tuple[Bundle, Bundle]
) -> None:
    swap_there_and_back(Users(urls * 2, add_volume(urls[0])), urls, folder, bundles)
    metrics = httpx.get(f"{urls[0]}/metrics").text
    assert 'sammoe_bundle_swaps_total{outcome="switched"} 2.0' in metrics
    assert f'digest="{bundles[0].digest}"' in metrics


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
