import gzip
import re

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.packed import unpack
from tests import scans
from tests.contract.service import EXPERT, NIFTI, NRRD, PACKED, Service, point, refusal


def from_nifti(content: bytes) -> NDArray[np.uint8]:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert np.allclose(image.affine, scans.AFFINE)
    return np.asarray(image.dataobj, dtype=np.uint8)


def from_nrrd(content: bytes) -> NDArray[np.uint8]:
    header, _, data = content.partition(b"\n\n")
    fields = dict(re.findall(r"^([\w ]+): (.*)$", header.decode(), re.MULTILINE))
    assert (fields["space"], fields["encoding"]) == ("left-posterior-superior", "gzip")
    shape = tuple(map(int, fields["sizes"].split()))
    return np.frombuffer(gzip.decompress(data), np.uint8).reshape(shape, order="F")


def from_packed(content: bytes) -> NDArray[np.uint8]:
    pasted, shape = unpack(content)
    return pasted.full(shape)


READERS = {NIFTI: from_nifti, NRRD: from_nrrd, PACKED: from_packed}


@pytest.mark.parametrize("form", READERS)
async def test_every_form_holds_the_same_mask(service: Service, form: str) -> None:
    volume = await service.volume()
    made = (await service.click(volume)).json()
    answer = await service.http.get(
        f"/v1/segmentations/{made['id']}/mask", headers={"Accept": form}
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, form)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="mask.')
    mask = READERS[form](answer.content)
    assert mask.shape == scans.SHAPE
    assert mask.sum() == made["voxel_count"]
    assert mask[scans.INSIDE] == 1
    clicked = await service.click(volume, headers={"Accept": form})
    assert (READERS[form](clicked.content) == mask).all()


async def test_a_browser_gets_nifti(service: Service) -> None:
    name = await service.segmentation(await service.volume())
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = await service.http.get(f"/v1/segmentations/{name}/mask", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == NIFTI


async def test_candidates_differ_and_fused_is_the_answer(service: Service) -> None:
    volume = await service.volume()
    made = (await service.click(volume, tau=0.0)).json()
    path = f"/v1/segmentations/{made['id']}/mask"
    sizes = {}
    for candidate in ("general", "expert", "fused"):
        answer = await service.http.get(f"{path}?candidate={candidate}", headers={"Accept": PACKED})
        sizes[candidate] = int(from_packed(answer.content).sum())
    assert sizes["general"] < sizes["expert"]
    assert sizes["fused"] == made["voxel_count"]
    default = await service.http.get(path, headers={"Accept": PACKED})
    assert from_packed(default.content).sum() == sizes["fused"]


async def test_a_candidate_is_computed_when_it_is_asked_for(service: Service) -> None:
    volume = await service.volume()
    name = await service.segmentation(volume, expert=EXPERT)
    path = f"/v1/segmentations/{name}/mask"
    packed = {"Accept": PACKED}
    answers = [
        await service.http.get(f"{path}?candidate=general", headers=packed) for _ in range(2)
    ]
    wanted = await service.click(volume, expert="general", headers=packed)
    assert answers[0].content == answers[1].content == wanted.content
    # It is kept, and the answer is what it was.
    again = (await service.http.get(f"/v1/segmentations/{name}")).json()
    assert again["candidates"] == ["expert", "general"]
    fused = await service.http.get(f"{path}?candidate=fused", headers=packed)
    assert fused.content == (await service.click(volume, expert=EXPERT, headers=packed)).content
    assert refusal(await service.http.get(f"{path}?candidate=best")) == (422, "invalid_input")


async def test_expert_below_tau_is_computed_when_it_is_asked_for(service: Service) -> None:
    volume = await service.volume()
    name = await service.segmentation(volume, tau=1.0)
    path = f"/v1/segmentations/{name}/mask?candidate=expert"
    found = await service.http.get(path, headers={"Accept": PACKED})
    named = await service.click(volume, expert=EXPERT, headers={"Accept": PACKED})
    assert found.content == named.content


async def test_gate_is_asked_late_where_it_was_not(service: Service) -> None:
    volume = await service.volume()
    name = await service.segmentation(volume, expert="general")
    path = f"/v1/segmentations/{name}/mask?candidate=expert"
    found = await service.http.get(path, headers={"Accept": PACKED})
    named = await service.click(volume, expert=EXPERT, headers={"Accept": PACKED})
    assert found.content == named.content


async def test_one_expert_has_no_rival(service: Service) -> None:
    made = (await service.click(await service.volume())).json()
    assert (made["route"]["top"], made["route"]["rival"]) == (EXPERT, None)
    none = await service.http.get(f"/v1/segmentations/{made['id']}/mask?candidate=rival")
    assert refusal(none) == (404, "candidate_unavailable")


async def test_candidate_after_its_parent_was_deleted(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume, expert="general")
    bite = point(scans.INSIDE[0] + 8, *scans.INSIDE[1:], label=0)
    second = await service.segmentation(volume, parent=first, expert=EXPERT, **bite)
    await service.http.delete(f"/v1/segmentations/{first}")
    gone = await service.http.get(f"/v1/segmentations/{second}/mask?candidate=general")
    assert refusal(gone) == (409, "candidate_gone")


async def test_going_on_from_a_candidate_pins_it(service: Service) -> None:
    volume = await service.volume()
    first = await service.segmentation(volume, expert=EXPERT)
    bite = point(scans.INSIDE[0] + 4, *scans.INSIDE[1:], label=0)
    packed = {"Accept": PACKED}
    answers = {
        candidate: await service.click(
            volume, parent=first, candidate=candidate, expert="general", headers=packed, **bite
        )
        for candidate in ("fused", "general")
    }
    assert answers["fused"].content != answers["general"].content
    kept = (await service.http.get(f"/v1/segmentations/{first}")).json()
    assert "general" in kept["candidates"]
    plain = await service.segmentation(volume, expert="general")
    same = await service.click(volume, parent=plain, expert="general", headers=packed, **bite)
    assert same.content == answers["general"].content


async def test_json_is_no_mask(service: Service) -> None:
    name = await service.segmentation(await service.volume())
    answer = await service.http.get(
        f"/v1/segmentations/{name}/mask", headers={"Accept": "application/json"}
    )
    assert refusal(answer) == (406, "not_acceptable")


async def test_an_empty_mask_is_an_answer_too(service: Service) -> None:
    volume = await service.volume()
    x, y, z = scans.INSIDE
    # Bites of 4.5 mm every 4 mm leave nothing of a ball of 9 mm.
    steps = range(-12, 13, 4)
    around = [(x + a, y + b, z + c / 1.5) for a in steps for b in steps for c in steps]
    points = [{"position": scans.INSIDE, "label": 1}]
    points += [{"position": place, "label": 0} for place in around if place != scans.INSIDE]
    answer = await service.click(volume, space="voxel", points=points, expert="general")
    made = answer.json()
    assert (made["voxel_count"], made["volume_ml"]) == (0, 0.0)
    path = f"/v1/segmentations/{made['id']}"
    seen = (await service.http.get(path)).json()
    assert (seen["diameters"], seen["bounding_box"]) == (None, None)
    for form, read in READERS.items():
        content = (await service.http.get(f"{path}/mask", headers={"Accept": form})).content
        mask = read(content)
        assert mask.shape == scans.SHAPE
        assert not mask.any()
