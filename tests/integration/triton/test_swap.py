"""Bundles exchanged under front ends that share a Triton server."""

from pathlib import Path

from tests.integration.serving import serving
from tests.integration.swapping import (
    Users,
    add_volume,
    publish,
    rollback,
    serve_folder,
    two_bundles,
    wait_for_switch,
)
from tests.integration.triton.server import running


def test_users_do_not_notice_a_swap_on_triton(environment: None, tmp_path: Path) -> None:
    bundles = two_bundles(tmp_path)
    folder, state = serve_folder(bundles[0], tmp_path / "served"), tmp_path / "state"
    with (
        running(folder, tmp_path / "triton.log") as triton,
        serving(folder, state, "--triton-url", triton.url) as one,
        serving(folder, state, "--triton-url", triton.url) as two,
    ):
        urls = [one.url, two.url]
        users = Users(urls, add_volume(one.url))
        users.start()
        try:
            publish(bundles[1], folder)
            wait_for_switch(urls, folder)
            rollback(folder)
            wait_for_switch(urls, folder)
        finally:
            users.stop()
    assert not users.failed
    assert users.untold == 0
    assert {seen.bundle for seen in users.first} == {bundle.digest for bundle in bundles}
    assert users.wrong(bundles) == []
