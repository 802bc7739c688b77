import gzip
import re
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.segmentation import composing
from tests import scans
from tests.contract.service import EXPERT, NIFTI, NRRD, Service, point, pointers, refusal

HERE = (30.0, 30.0, 20.0)
BESIDE = (42.0, 30.0, 20.0)
"""So near that the balls around both share voxels."""


def entry(segmentation: str, label: str = "Lesion", **further: Any) -> dict[str, Any]:
    return {"segmentation": segmentation, "label": label, **further}


async def two(service: Service) -> tuple[str, str, str]:
    """A volume with two segmentations that overlap."""
    volume = await service.volume()
    first = await service.segmentation(volume, expert="general", **point(*HERE))
    second = await service.segmentation(volume, expert="general", **point(*BESIDE))
    return volume, first, second


async def add(service: Service, volume: str, *entries: dict[str, Any], **further: Any) -> Any:
    answer = await service.http.post(
        f"/v1/volumes/{volume}/results", json={"entries": entries, **further}
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/results/{made['id']}"
    return made


async def voxels(service: Service, path: str) -> NDArray[np.uint8]:
    answer = await service.http.get(path)
    assert answer.status_code == 200, answer.text
    image = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    assert np.allclose(image.affine, scans.AFFINE)
    return np.asarray(image.dataobj, dtype=np.uint8)


async def test_a_result_is_kept_as_it_was_said(service: Service) -> None:
    volume, first, second = await two(service)
    code = {"scheme": "SCT", "value": "52988006", "meaning": "Lesion"}
    kind = {"scheme": "SCT", "value": "49755003", "meaning": "Morphologically Abnormal Structure"}
    made = await add(
        service,
        volume,
        entry(first, "Léšion 1", code=code, category=kind, colour=[1, 2, 3]),
        entry(second, "other"),
        merge="overwrite",
    )
    assert (made["volume"], made["revision"], made["merge"]) == (volume, 1, "overwrite")
    assert made["created"] == made["changed"]
    said, default = made["entries"]
    assert re.fullmatch(r"2\.25\.[1-9][0-9]+", said["tracking_uid"])
    assert said == {
        "tracking_uid": said["tracking_uid"],
        "number": 1,
        "segmentation": first,
        "candidate": "fused",
        "label": "Léšion 1",
        "code": code,
        "category": kind,
        "colour": [1, 2, 3],
    }
    assert (default["number"], default["segmentation"]) == (2, second)
    assert default["code"]["meaning"] == default["category"]["meaning"] == "Tissue"
    assert (await service.http.get(f"/v1/results/{made['id']}")).json() == made


async def test_a_code_alone_is_that_of_an_anatomical_structure(service: Service) -> None:
    volume, first, _ = await two(service)
    made = await add(service, volume, entry(first, code={"value": "78961009", "meaning": "Spleen"}))
    assert made["entries"][0]["code"]["scheme"] == "SCT"
    assert made["entries"][0]["category"]["value"] == "123037004"


async def test_an_entry_can_be_another_candidate(service: Service) -> None:
    volume = await service.volume()
    name = await service.segmentation(volume, expert=EXPERT, **point(*HERE))
    wanted = entry(name, candidate="general")
    path = f"/v1/volumes/{volume}/results"
    early = await service.http.post(path, json={"entries": [wanted]})
    assert refusal(early) == (404, "candidate_unavailable")
    assert pointers(early) == ["/entries/0/candidate"]

    masks = {
        candidate: await voxels(service, f"/v1/segmentations/{name}/mask?candidate={candidate}")
        for candidate in ("fused", "general")
    }
    assert (masks["fused"] != masks["general"]).any()
    made = await add(service, volume, wanted, entry(name))
    assert [kept["candidate"] for kept in made["entries"]] == ["general", "fused"]
    for number, candidate in enumerate(("general", "fused"), 1):
        found = await voxels(service, f"/v1/results/{made['id']}/mask?structure={number}")
        assert (found == masks[candidate]).all()


async def test_results_are_listed_newest_first_in_pages(service: Service) -> None:
    volume, first, _ = await two(service)
    ids = [(await add(service, volume, entry(first)))["id"] for _ in range(3)]
    path = f"/v1/volumes/{volume}/results"
    page = (await service.http.get(f"{path}?limit=2")).json()
    assert [item["id"] for item in page["items"]] == [ids[2], ids[1]]
    rest = (await service.http.get(f"{path}?limit=2&cursor={page['next']}")).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([ids[0]], None)
    other = await service.volume(1)
    assert (await service.http.get(f"/v1/volumes/{other}/results")).json()["items"] == []


async def test_a_correction_keeps_what_is_the_same(service: Service) -> None:
    volume, first, second = await two(service)
    made = await add(service, volume, entry(first, "A"), entry(first, "B"))
    a, b = (kept["tracking_uid"] for kept in made["entries"])
    path = f"/v1/results/{made['id']}"
    body = {"entries": [entry(second, "B"), entry(second, "C"), entry(first, "A")]}
    answer = await service.http.put(path, json=body)
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["id"], changed["revision"]) == (made["id"], 2)
    assert (changed["created"], changed["merge"]) == (made["created"], "overlap")
    tracked = [kept["tracking_uid"] for kept in changed["entries"]]
    assert (tracked[0], tracked[2]) == (b, a)
    assert tracked[1] not in {a, b}
    again = (await service.http.put(path, json=body)).json()
    # Nothing new, so nothing changed; colours go by place and were kept, too.
    assert again == changed
    merged = (await service.http.put(path, json=body | {"merge": "overwrite"})).json()
    assert (merged["revision"], merged["entries"]) == (3, changed["entries"])


async def test_merge_says_whose_shared_voxels_are(service: Service) -> None:
    volume, first, second = await two(service)
    here = await voxels(service, f"/v1/segmentations/{first}/mask")
    beside = await voxels(service, f"/v1/segmentations/{second}/mask")
    shared = here & beside
    assert shared.any()
    entries = (entry(first, "A"), entry(second, "B"))
    kept = await add(service, volume, *entries, merge="keep_existing")
    labels = await voxels(service, f"/v1/results/{kept['id']}/mask")
    assert np.array_equal(labels, np.where(here, 1, 2 * beside))
    written = await add(service, volume, *entries, merge="overwrite")
    labels = await voxels(service, f"/v1/results/{written['id']}/mask")
    assert np.array_equal(labels, np.where(beside, 2, here))
    alone = await voxels(service, f"/v1/results/{written['id']}/mask?structure=1")
    assert np.array_equal(alone, here & ~beside)
    # The segmentations themselves are as they were.
    assert np.array_equal(await voxels(service, f"/v1/segmentations/{first}/mask"), here)


async def test_what_overlaps_has_no_label_map_but_layers(service: Service) -> None:
    volume, first, second = await two(service)
    made = await add(service, volume, entry(first, "A"), entry(second, "B"))
    path = f"/v1/results/{made['id']}/mask"
    assert refusal(await service.http.get(path)) == (409, "structures_overlap")
    answer = await service.http.get(path, headers={"Accept": NRRD})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, NRRD)
    assert 'filename="result.seg.nrrd"' in answer.headers["Content-Disposition"]
    assert b"\nSegment1_Name:=B\n" in answer.content
    assert b"sizes: 2 60 70 50\n" in answer.content
    alone = await service.http.get(f"{path}?structure=2", headers={"Accept": NIFTI})
    assert 'filename="result.nii.gz"' in alone.headers["Content-Disposition"]
    assert refusal(await service.http.get(f"{path}?structure=3")) == (404, "not_found")
    assert refusal(await service.http.get(f"{path}?structure=0")) == (422, "invalid_input")
    answer = await service.http.get(path, headers={"Accept": "image/png"})
    assert refusal(answer) == (406, "not_acceptable")


async def test_more_than_memory_should_hold_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, first, second = await two(service)
    made = await add(service, volume, entry(first), entry(second, "other"))
    monkeypatch.setattr(composing, "_MOST_VOLUMES", 0)
    answer = await service.http.get(f"/v1/results/{made['id']}/mask", headers={"Accept": NRRD})
    assert refusal(answer) == (413, "too_large")


async def test_a_segmentation_that_a_result_holds_can_not_be_deleted(service: Service) -> None:
    volume, first, second = await two(service)
    made = await add(service, volume, entry(first))
    answer = await service.http.delete(f"/v1/segmentations/{first}")
    assert refusal(answer) == (409, "conflict")
    assert made["id"] in answer.json()["detail"]
    assert (await service.http.delete(f"/v1/segmentations/{second}")).status_code == 204
    assert (await service.http.delete(f"/v1/results/{made['id']}")).status_code == 204
    assert refusal(await service.http.get(f"/v1/results/{made['id']}")) == (404, "not_found")
    assert refusal(await service.http.delete(f"/v1/results/{made['id']}")) == (404, "not_found")
    assert (await service.http.delete(f"/v1/segmentations/{first}")).status_code == 204


async def test_results_go_with_their_volume(service: Service) -> None:
    volume, first, _ = await two(service)
    made = await add(service, volume, entry(first))
    assert (await service.http.delete(f"/v1/volumes/{volume}")).status_code == 204
    assert refusal(await service.http.get(f"/v1/results/{made['id']}")) == (404, "not_found")


async def test_the_same_request_under_one_key_makes_one_result(service: Service) -> None:
    volume, first, _ = await two(service)
    path, body = f"/v1/volumes/{volume}/results", {"entries": [entry(first)]}
    headers = {"Idempotency-Key": "once"}
    one = await service.http.post(path, json=body, headers=headers)
    two_ = await service.http.post(path, json=body, headers=headers)
    assert one.json() == two_.json()
    assert two_.headers["Idempotent-Replayed"] == "true"
    assert len((await service.http.get(path)).json()["items"]) == 1


async def test_segmentations_must_be_there_and_of_this_volume(service: Service) -> None:
    volume, first, _ = await two(service)
    other = await service.volume(1)
    elsewhere = await service.segmentation(other)
    path = f"/v1/volumes/{volume}/results"
    answer = await service.http.post(path, json={"entries": [entry(first), entry(elsewhere)]})
    assert refusal(answer) == (409, "conflict")
    assert pointers(answer) == ["/entries/1/segmentation"]
    for name in ("0" * 26, "../..", "Doe"):
        answer = await service.http.post(path, json={"entries": [entry(name)]})
        assert refusal(answer) == (404, "not_found")
        assert pointers(answer) == ["/entries/0/segmentation"]
    made = await add(service, volume, entry(first))
    answer = await service.http.put(
        f"/v1/results/{made['id']}", json={"entries": [entry(elsewhere)]}
    )
    assert refusal(answer) == (409, "conflict")
    assert (await service.http.get(f"/v1/results/{made['id']}")).json() == made


LABELS = ["", " ", " a", "a ", "a\\b", "a\nb", "a\x00b", "a\x85", "x" * 65, 7, None]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        *(({"label": label}, "/label") for label in LABELS),
        ({"colour": [0, 0, 256]}, "/colour/2"),
        ({"colour": [0, 0]}, "/colour/2"),
        ({"colour": "red"}, "/colour"),
        ({"code": {"value": "1", "meaning": "a~b"}}, "/code/meaning"),
        ({"code": {"value": "1^2", "meaning": "a"}}, "/code/value"),
        ({"code": {"value": "1" * 17, "meaning": "a"}}, "/code/value"),
        ({"code": {"value": "1", "meaning": "a", "scheme": "S CT"}}, "/code/scheme"),
        ({"category": {"value": "1"}}, "/category/meaning"),
        ({"mask": "file:///etc/passwd"}, "/mask"),
    ],
)
async def test_an_entry_of_another_form_is_refused(
    service: Service, change: dict[str, Any], pointer: str
) -> None:
    path = f"/v1/volumes/{await service.volume()}/results"
    answer = await service.http.post(path, json={"entries": [entry("0" * 26) | change]})
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == [f"/entries/0{pointer}"]
    assert "passwd" not in answer.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"entries": []}, "/entries"),
        ({"entries": [entry("0" * 26)] * 256}, "/entries"),
        ({}, "/entries"),
        ({"entries": [entry("0" * 26)], "merge": "max"}, "/merge"),
        ({"entries": [entry("0" * 26)], "name": "x"}, "/name"),
    ],
)
async def test_a_result_of_another_form_is_refused(
    service: Service, body: dict[str, Any], pointer: str
) -> None:
    path = f"/v1/volumes/{await service.volume()}/results"
    answer = await service.http.post(path, json=body)
    assert refusal(answer) == (422, "invalid_input")
    assert pointers(answer) == [pointer]


async def test_an_expert_s_code_is_its_structure_s(service: Service) -> None:
    volume = await service.volume()
    drawn = await service.segmentation(volume, expert=EXPERT)
    made = await add(service, volume, entry(drawn))
    # The bundle of these tests says no codes for its expert.
    assert made["entries"][0]["code"]["meaning"] == "Tissue"
