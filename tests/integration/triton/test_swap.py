"""Bundles exchanged under front ends that share a Triton server."""

from pathlib import Path

import pytest

from tests.integration.serving import serving
from tests.integration.swapping import (
    Users,
    add_volume,
    serve_folder,
    swap_there_and_back,
    two_bundles,
)
from tests.integration.triton.server import running


@pytest.mark.fault("F19", "F20")
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
        swap_there_and_back(users, urls, folder, bundles, SAMMOE_STATE=str(state))
