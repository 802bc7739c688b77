"""Masks larger than one window over HTTP: following, steps, masks that are brought."""

import base64
import gzip
from typing import Any

import numpy as np
import pytest

from sammoe.segmentation import Workspace
from sammoe.volume.packed import unpack
from tests import scans
from tests.contract.service import EVENTS, NIFTI, OCTETS, PACKED, Service, events, point, refusal
from tests.scans import AFFINE, as_nifti, nifti

SHAPE = (60, 150, 50)
TWO: dict[str, Any] = {
    "space": "voxel",
    "points": [
        {"position": [30.0, 24.0, 20.0], "label": 1},
        {"position": [30.0, 54.0, 20.0], "label": 1},
    ],
    "expert": "general",
}
"""Two clicks in one window; the mask goes on beyond it."""


async def long_scan(service: Service) -> str:
    answer = await service.http.post(
        "/v1/volumes?modality=MR", content=nifti(shape=SHAPE), headers=OCTETS
    )
    return str(answer.json()["id"])


async def test_following_is_told_and_can_be_stopped(service: Service) -> None:
    volume = await long_scan(service)
    follows = (await service.click(volume, **TWO)).json()
    assert [window["kept"] for window in follows["windows"]] == [True, True]
    assert follows["encodes"] == 2
    stays = (await service.click(volume, extend=False, **TWO)).json()
    assert (len(stays["windows"]), stays["encodes"]) == (1, 0)
    assert stays["voxel_count"] < follows["voxel_count"]
    assert len((await service.click(volume, max_windows=1, **TWO)).json()["windows"]) == 1


@pytest.mark.parametrize(
    "member", [{"max_windows": 0}, {"max_windows": 65}, {"extend": 1}, {"zoom": 1}]
)
async def test_extent_must_be_sane(service: Service, member: dict[str, Any]) -> None:
    answer = await service.click(await service.volume(), **point(*scans.INSIDE), **member)
    assert refusal(answer) == (422, "invalid_input")


async def test_spacing_must_be_the_bundle_s(service: Service) -> None:
    volume = await service.volume()
    coarse = (await service.click(volume, spacing=3.0)).json()
    assert coarse["windows"][0]["spacing"] == 3.0
    assert refusal(await service.click(volume, spacing=2.0)) == (422, "invalid_input")


async def test_answer_in_steps_is_the_answer(service: Service) -> None:
    volume = await long_scan(service)
    answer = await service.click(volume, headers={"Accept": EVENTS}, **TWO)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (201, EVENTS)
    assert answer.headers["X-Accel-Buffering"] == "no"
    (first, step), (last, found) = events(answer.text)
    assert (first, last) == ("progress", "segmentation")
    assert step["windows"] == 1
    plain = await service.click(volume, headers={"Accept": PACKED}, **TWO)
    assert base64.b64decode(found["mask"]) == plain.content
    stays = await service.click(volume, headers={"Accept": PACKED}, extend=False, **TWO)
    assert base64.b64decode(step["mask"]) == stays.content
    kept = await service.http.get(f"/v1/segmentations/{found['segmentation']['id']}")
    assert kept.json()["windows"] == found["segmentation"]["windows"]


async def test_refusal_in_steps_is_a_problem(service: Service) -> None:
    volume = await long_scan(service)
    outside = {"headers": {"Accept": EVENTS}, **point(30, 999, 20)}
    ((name, problem),) = events((await service.click(volume, **outside)).text)
    assert (name, problem["code"], problem["status"]) == ("problem", "point_outside", 422)
    keyed = await service.click(volume, headers={"Accept": EVENTS, "Idempotency-Key": "one"}, **TWO)
    assert refusal(keyed) == (400, "bad_request")
    none = await service.click("0" * 26, headers={"Accept": EVENTS}, **TWO)
    assert refusal(none) == (404, "not_found")


@pytest.mark.fault("S34")
async def test_who_leaves_stops_the_work(service: Service, workspace: Workspace) -> None:
    volume = await long_scan(service)
    path = f"/v1/volumes/{volume}/segmentations"
    sent = await service.leave(path, TWO | {"max_windows": 64})
    assert sent[0]["status"] == 201
    assert b"event: segmentation" not in b"".join(m.get("body", b"") for m in sent)
    page = await workspace.list_segmentations("local", volume)
    assert not page.items


def half_full() -> np.ndarray:
    mask = np.zeros(scans.SHAPE, np.uint8)
    mask[20:40, 20:40, 10:30] = 1
    mask[2:5, 2:5, 2:5] = 7
    return mask


async def bring(service: Service, volume: str, content: bytes, query: str = "") -> Any:
    return await service.http.post(
        f"/v1/volumes/{volume}/masks{query}", content=content, headers=OCTETS
    )


async def test_mask_that_is_brought_can_be_refined_at_once(service: Service) -> None:
    volume = await service.volume()
    content = gzip.compress(as_nifti(half_full(), AFFINE))
    answer = await bring(service, volume, content, "?label=1")
    assert answer.status_code == 201, answer.text
    given = answer.json()
    assert answer.headers["Location"] == f"/v1/segmentations/{given['id']}"
    assert (given["route"]["used"], given["points"]) == ("given-mask", [])
    mask = await service.http.get(f"{answer.headers['Location']}/mask", headers={"Accept": PACKED})
    pasted, _ = unpack(mask.content)
    found, wanted = pasted.full(scans.SHAPE).astype(bool), half_full() == 1
    dice = 2 * np.count_nonzero(found & wanted) / (found.sum() + wanted.sum())
    assert dice > 0.9
    bite = point(35, 35, 25, label=0)
    refined = await service.click(volume, parent=given["id"], headers={"Accept": NIFTI}, **bite)
    assert refined.status_code == 201
    listed = (await service.http.get(f"/v1/volumes/{volume}/segmentations")).json()
    assert [item["parent"] for item in listed["items"]] == [given["id"], None]
    for candidate in ("general", "expert"):
        none = await service.http.get(f"{answer.headers['Location']}/mask?candidate={candidate}")
        assert refusal(none) == (404, "candidate_unavailable")


@pytest.mark.fault("S17")
async def test_mask_must_lie_on_the_volume(service: Service) -> None:
    volume = await service.volume()
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    empty = np.zeros(scans.SHAPE, np.uint8)
    for content in (
        as_nifti(half_full()[:-1], AFFINE),
        as_nifti(half_full(), moved),
        as_nifti(empty, AFFINE),
    ):
        assert refusal(await bring(service, volume, content)) == (422, "prior_invalid")
    assert refusal(await bring(service, volume, as_nifti(half_full(), AFFINE), "?label=3")) == (
        422,
        "prior_invalid",
    )
    assert refusal(await bring(service, volume, b"no scan")) == (415, "unsupported_format")
    assert refusal(await bring(service, "0" * 26, as_nifti(half_full(), AFFINE)))[0] == 404


@pytest.mark.parametrize("label", [10**400, 2**32, -(2**31) - 1], ids=["huge", "high", "low"])
async def test_label_that_no_voxel_has_is_refused(service: Service, label: int) -> None:
    volume = await service.volume()
    content = as_nifti(half_full().astype(np.float32), AFFINE)
    refused = await bring(service, volume, content, f"?label={label}")
    assert refusal(refused) == (422, "invalid_input")


async def test_mask_whose_axes_changed_places_is_refused(service: Service) -> None:
    """With an affine that says so, as nibabel reads DICOM: the ends of a diagonal stay in place."""
    content = nifti(shape=(40, 40, 30))
    answer = await service.http.post("/v1/volumes?modality=MR", content=content, headers=OCTETS)
    mask = np.zeros((40, 40, 30), np.uint8)
    mask[5:15, 20:35, 10:20] = 1
    turned = as_nifti(mask.swapaxes(0, 1), AFFINE[:, [1, 0, 2, 3]])
    refused = await bring(service, answer.json()["id"], turned)
    assert refusal(refused) == (422, "prior_invalid")
    assert "axes run ALS and the volume's LAS" in refused.json()["detail"]
