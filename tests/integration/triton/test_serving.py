"""``sammoe serve --triton-url``: this process's masks, and what a dead server costs."""

import asyncio
import gzip
import signal
import time
from pathlib import Path

import httpx
import pytest

from sammoe.bundle import Bundle
from sammoe.cli.assembly import load_engine, open_workspace
from sammoe.segmentation import Point, Prompt
from sammoe.volume.nifti import write_nifti
from tests import scans
from tests.integration.serving import serving
from tests.integration.triton.server import TritonServer, until

pytestmark = pytest.mark.integration

NIFTI = "application/x-nifti+gzip"
PLACE = (20, 30, 20)


def click(http: httpx.Client, volume: str) -> httpx.Response:
    body = {"points": [{"position": PLACE, "label": 1}], "space": "voxel"}
    headers = {"Accept": NIFTI}
    return http.post(f"/v1/volumes/{volume}/segmentations", json=body, headers=headers)


def mask_of_this_process(bundle: Path, state: Path, scan: Path) -> bytes:
    """The mask of the same click on `LocalEngine`, as NIfTI."""

    async def segment() -> bytes:
        async with open_workspace(load_engine(bundle, 1), state, 1 << 20) as workspace:
            volume, _ = await workspace.volumes.add("local", scan, modality="MR")
            made = await workspace.segment(
                "local",
                volume.id,
                Prompt(points=(Point(*PLACE, positive=True),), space="voxel"),
                render=lambda pasted, geometry: write_nifti(pasted.full(geometry.shape), geometry),
            )
            assert made.rendered is not None
            return made.rendered

    return asyncio.run(segment())


@pytest.mark.fault("F08", "F09")
def test_a_click_over_http_is_this_process_s_and_a_dead_server_is_told(
    triton: TritonServer, bundle: Bundle, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(scans.gzipped())
    expected = mask_of_this_process(bundle.path, tmp_path / "local", scan)
    flags = ("--triton-url", triton.url)
    with serving(bundle.path, tmp_path / "state", *flags) as service, service.client() as http:
        headers = {"Content-Type": "application/octet-stream"}
        added = http.post(
            "/v1/volumes",
            params={"modality": "MR"},
            content=scan.read_bytes(),
            headers=headers,
        )
        volume = added.raise_for_status().json()["id"]
        answer = click(http, volume).raise_for_status()
        assert gzip.decompress(answer.content) == gzip.decompress(expected)

        triton.stop(signal.SIGKILL)

        refused = click(http, volume)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["code"] == "engine_unavailable"
        time.sleep(1.1)
        assert http.get("/readyz").status_code == 503
        assert http.get("/livez").is_success

        triton.start()

        until(lambda: http.get("/readyz").is_success)
        again = click(http, volume).raise_for_status()
        assert gzip.decompress(again.content) == gzip.decompress(expected)
