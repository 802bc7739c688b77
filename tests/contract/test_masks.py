import gzip
import re

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.packed import unpack
from tests import scans
from tests.contract.service import EXPERT, NIFTI, NRRD, PACKED, Service, refusal


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


async def test_a_candidate_that_was_not_computed_is_not_there(service: Service) -> None:
    volume = await service.volume()
    name = await service.segmentation(volume, expert=EXPERT)
    path = f"/v1/segmentations/{name}/mask"
    missing = await service.http.get(f"{path}?candidate=general")
    assert refusal(missing) == (404, "candidate_unavailable")
    assert (await service.http.get(f"{path}?candidate=fused")).status_code == 200
    assert refusal(await service.http.get(f"{path}?candidate=best")) == (422, "invalid_input")


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
