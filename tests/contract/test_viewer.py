"""The page's own routes: its files, where they may be shown, and the address that leads there."""

import gzip
from pathlib import Path

import httpx
import nibabel
import numpy as np
import pytest
from fastapi import FastAPI

from sammoe.api.headers import page_headers
from sammoe.api.viewer import Page, page_router
from sammoe.segmentation import Workspace
from tests import scans
from tests.contract.service import Service, refusal

PLAIN_NIFTI = "application/x-nifti"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What a build leaves, in small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "assets" / "index-1a2b.js").write_text("'script';" * 99)
    (tmp_path / "sample.nii.gz").write_bytes(gzip.compress(b"scan"))
    return tmp_path


@pytest.fixture
def http(built: Path) -> httpx.AsyncClient:
    """A client of the page alone."""
    app = FastAPI()
    app.include_router(page_router(Page.load(built), ["https://ohif.example"]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


@pytest.mark.parametrize("path", ["/", "/viewer"])
async def test_the_bare_address_leads_to_the_page(service: Service, path: str) -> None:
    answer = await service.http.get(path)
    assert answer.status_code == 307
    # Relative: behind a proxy the service does not know under which path it is served.
    assert answer.headers["Location"] == "viewer/"


async def test_the_page_is_there_without_a_key(workspace: Workspace) -> None:
    async with Service.over(workspace, api_keys="alice:a-key-of-16-letters") as service:
        page = await service.http.get("/viewer/")
        assert "text/html" in page.headers["Content-Type"]
        assert page.status_code in {200, 404}
        assert (await service.http.get("/v1/volumes")).status_code == 401


async def test_a_page_that_was_not_built_says_how_to_get_it(tmp_path: Path) -> None:
    app = FastAPI()
    app.include_router(page_router(Page.load(tmp_path)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/viewer/")
        assert answer.status_code == 404
        assert "text/html" in answer.headers["Content-Type"]
        assert "make viewer" in answer.text
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_files_are_kept_by_browsers_as_long_as_they_stay_the_same(
    http: httpx.AsyncClient,
) -> None:
    entry = await http.get("/viewer/")
    asset = await http.get("/viewer/assets/index-1a2b.js")
    assert entry.headers["Cache-Control"] == "no-cache"
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert asset.headers["Content-Encoding"] == "gzip"
    assert asset.text == "'script';" * 99
    again = await http.get("/viewer/", headers={"If-None-Match": entry.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_file_can_be_looked_for_without_its_bytes(http: httpx.AsyncClient) -> None:
    answer = await http.head("/viewer/")
    assert answer.status_code == 200
    assert answer.headers["ETag"]


async def test_who_takes_no_gzip_gets_the_plain_file(http: httpx.AsyncClient) -> None:
    answer = await http.get("/viewer/assets/index-1a2b.js", headers={"Accept-Encoding": "br"})
    assert "Content-Encoding" not in answer.headers
    assert answer.text == "'script';" * 99


async def test_a_compressed_scan_is_sent_as_the_file_that_it_is(http: httpx.AsyncClient) -> None:
    answer = await http.get("/viewer/sample.nii.gz")
    assert "Content-Encoding" not in answer.headers
    assert gzip.decompress(answer.content) == b"scan"


@pytest.mark.parametrize(
    "name", ["nothing.js", "../pyproject.toml", "%2e%2e/page.py", "assets", "assets/"]
)
async def test_there_is_nothing_but_its_files(service: Service, name: str) -> None:
    answer = await service.http.get(f"/viewer/{name}")
    assert answer.status_code == 404


async def test_a_page_loads_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    for path in ("/viewer/", "/viewer/assets/index-1a2b.js"):
        headers = (await http.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors https://ohif.example" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_nobody_may_frame_it_unless_named() -> None:
    assert page_headers()["Content-Security-Policy"].endswith("frame-ancestors 'none'")


async def test_answers_with_anatomy_are_kept_by_no_cache(service: Service) -> None:
    volume = await service.volume()
    for path in (f"/v1/volumes/{volume}", f"/v1/volumes/{volume}/voxels"):
        answer = await service.http.get(path)
        assert answer.headers.get_list("Cache-Control") == ["no-store"]
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]


async def test_voxels_come_back_as_they_were_sent(service: Service) -> None:
    volume = await service.volume()
    answer = await service.http.get(f"/v1/volumes/{volume}/voxels")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == PLAIN_NIFTI
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    found = nibabel.Nifti1Image.from_bytes(answer.content)
    sent = nibabel.Nifti1Image.from_bytes(gzip.decompress(scans.gzipped()))
    assert found.shape == scans.SHAPE
    shown, given = np.asarray(found.dataobj), np.asarray(sent.dataobj)
    assert shown.dtype == given.dtype
    np.testing.assert_array_equal(shown, given)
    np.testing.assert_allclose(found.affine, scans.AFFINE, atol=1e-5)


async def test_voxels_are_the_owners_alone(workspace: Workspace) -> None:
    keys = "alice:a-key-of-16-letters,bob:b-key-of-16-letters"
    async with Service.over(workspace, api_keys=keys) as service:
        alice = {"Authorization": "Bearer a-key-of-16-letters"}
        volume = (await service.add(headers=alice)).json()["id"]
        path = f"/v1/volumes/{volume}/voxels"
        assert (await service.http.get(path, headers=alice)).status_code == 200
        bob = await service.http.get(path, headers={"X-API-Key": "b-key-of-16-letters"})
        assert refusal(bob) == (404, "not_found")


async def test_voxels_have_one_form(service: Service) -> None:
    volume = await service.volume()
    answer = await service.http.get(
        f"/v1/volumes/{volume}/voxels", headers={"Accept": "application/json"}
    )
    assert refusal(answer) == (406, "not_acceptable")
