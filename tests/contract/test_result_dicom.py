"""Results as DICOM files over HTTP."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from sammoe.volume.geometry import Geometry
from tests.contract.service import NRRD, OCTETS, Service, pointers, refusal
from tests.contract.test_dicom import zipped
from tests.contract.test_masks import from_nrrd
from tests.contract.test_results import add, entry
from tests.readers import by_references
from tests.series import AFFINE, Series, changed, ct, series

SHAPE = (40, 36, 16)
HERE = {"space": "voxel", "points": [{"position": [18.0, 18.0, 8.0], "label": 1}]}
BESIDE = {"space": "voxel", "points": [{"position": [30.0, 18.0, 8.0], "label": 1}]}


async def segmented(service: Service, images: Series) -> tuple[str, str, str]:
    """A volume made of images, and two segmentations that overlap."""
    answer = await service.add(zipped(images))
    assert answer.status_code in {200, 201}, answer.text
    volume = str(answer.json()["id"])
    first = await service.segmentation(volume, expert="general", **HERE)
    second = await service.segmentation(volume, expert="general", **BESIDE)
    return volume, first, second


async def fetched(service: Service, path: str) -> Dataset:
    answer = await service.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/dicom"
    return dcmread(BytesIO(answer.content))


async def mask_of(service: Service, result: dict[str, Any], number: int) -> NDArray[np.bool_]:
    path = f"/v1/results/{result['id']}/mask?structure={number}"
    answer = await service.http.get(path, headers={"Accept": NRRD})
    return from_nrrd(answer.content) > 0


@pytest.mark.fault("S12")
async def test_a_seg_holds_the_masks(service: Service, tmp_path: Path) -> None:
    images = series(ct(SHAPE))
    volume, first, second = await segmented(service, images)
    made = await add(service, volume, entry(first, "A"), entry(second, "B"), merge="overwrite")
    for query, numbers in (("", [1, 2]), ("?form=BINARY", [1, 2]), ("?form=LABELMAP", [0, 1, 2])):
        answer = await service.http.get(f"/v1/results/{made['id']}/seg{query}")
        assert answer.headers["Content-Type"] == "application/dicom"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="seg.dcm"'
        assert answer.content[:132] == bytes(128) + b"DICM"
        path = tmp_path / "seg.dcm"
        path.write_bytes(answer.content)
        found = by_references(path, images, Geometry(SHAPE, AFFINE))
        assert sorted(found) == numbers
        for number in (1, 2):
            mask = await mask_of(service, made, number)
            assert mask.any()
            assert np.array_equal(found[number], mask)


async def test_codes_and_tracking_are_those_of_the_result(service: Service) -> None:
    volume, first, _ = await segmented(service, series(ct(SHAPE)))
    code = {"value": "10200004", "meaning": "Liver"}
    made = await add(service, volume, entry(first, "Leber", code=code))
    path = f"/v1/results/{made['id']}"
    seg = await fetched(service, f"{path}/seg")
    (segment,) = seg.SegmentSequence
    assert segment.SegmentLabel == "Leber"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert segment.TrackingUID == made["entries"][0]["tracking_uid"]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    bundle = (await service.http.get("/v1/capabilities")).json()["bundle"]["digest"]
    assert bundle in str(algorithm.AlgorithmParameters)
    rt = await fetched(service, f"{path}/rtstruct")
    assert rt.StructureSetROISequence[0].ROIName == "Leber"
    assert rt.SOPInstanceUID != seg.SOPInstanceUID


async def test_uids_stay_until_the_result_changes(service: Service) -> None:
    volume, first, second = await segmented(service, series(ct(SHAPE)))
    made = await add(service, volume, entry(first, "A"))
    path = f"/v1/results/{made['id']}"
    one = await service.http.get(f"{path}/seg")
    again = await service.http.get(f"{path}/seg")
    assert again.content == one.content
    await service.http.put(path, json={"entries": [entry(second, "A")]})
    before, after = dcmread(BytesIO(one.content)), await fetched(service, f"{path}/seg")
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID == before.SeriesInstanceUID
    assert (before.InstanceNumber, after.InstanceNumber) == (1, 2)
    assert after.SegmentSequence[0].TrackingUID == before.SegmentSequence[0].TrackingUID
    labelmap = await fetched(service, f"{path}/seg?form=LABELMAP")
    assert labelmap.SeriesInstanceUID != after.SeriesInstanceUID


async def test_the_same_pixels_of_two_patients_stay_two_patients(service: Service) -> None:
    voxels = ct(SHAPE)
    seen = []
    for patient in ("Doe^Jane", "Roe^Richard"):

        def theirs(k: int, one: Dataset, patient: str = patient) -> None:
            one.StudyInstanceUID = f"1.2.3.{len(patient)}"

        images = changed(series(voxels, patient=patient, uid=f"1.2.826.0.1.{len(patient)}"), theirs)
        volume, first, _ = await segmented(service, images)
        made = await add(service, volume, entry(first))
        path = f"/v1/results/{made['id']}"
        for kind in ("seg", "rtstruct"):
            file = await fetched(service, f"{path}/{kind}")
            assert (file.PatientName, file.PatientID) == (patient, f"ID-{patient}")
            assert file.StudyInstanceUID == images[0].StudyInstanceUID
            referred = str(file)
            assert images[0].SOPInstanceUID in referred
            seen.append((volume, file.SOPInstanceUID, file.SeriesInstanceUID))
    volumes, instances, series_ = (set(column) for column in zip(*seen, strict=True))
    assert (len(volumes), len(instances), len(series_)) == (2, 4, 4)


async def test_what_did_not_come_from_dicom_is_refused_with_the_reason(service: Service) -> None:
    volume = await service.volume()
    made = await add(service, volume, entry(await service.segmentation(volume)))
    for file in ("seg", "rtstruct"):
        answer = await service.http.get(f"/v1/results/{made['id']}/{file}")
        assert refusal(answer) == (409, "no_dicom_source")
        assert "did not come from a DICOM series" in answer.json()["detail"]


async def test_what_the_form_has_no_room_for_is_refused(service: Service) -> None:
    volume, first, second = await segmented(service, series(ct(SHAPE)))
    made = await add(service, volume, entry(first, "A"), entry(second, "B"))
    path = f"/v1/results/{made['id']}"
    assert (await service.http.get(f"{path}/seg")).status_code == 200
    answer = await service.http.get(f"{path}/seg?form=LABELMAP")
    assert refusal(answer) == (409, "structures_overlap")
    gone = await add(service, volume, entry(first, "A"), entry(first, "B"), merge="keep_existing")
    for file in ("seg", "rtstruct"):
        answer = await service.http.get(f"/v1/results/{gone['id']}/{file}")
        assert refusal(answer) == (409, "structure_empty")
        assert pointers(answer) == ["/entries/1"]
    assert refusal(await service.http.get(f"{path}/seg?form=FRACTIONAL")) == (422, "invalid_input")
    answer = await service.http.get(f"{path}/seg", headers={"Accept": "application/json"})
    assert refusal(answer) == (406, "not_acceptable")


async def test_a_seg_can_be_brought_as_a_mask_to_refine(service: Service) -> None:
    images = series(ct(SHAPE))
    volume, first, second = await segmented(service, images)
    made = await add(service, volume, entry(first, "A"), entry(second, "B"), merge="overwrite")
    seg = (await service.http.get(f"/v1/results/{made['id']}/seg")).content
    path = f"/v1/volumes/{volume}/masks?label=2"
    answer = await service.http.post(path, content=seg, headers=OCTETS)
    assert answer.status_code == 201, answer.text
    brought = await service.http.get(
        f"/v1/segmentations/{answer.json()['id']}/mask", headers={"Accept": NRRD}
    )
    found, wanted = from_nrrd(brought.content) > 0, await mask_of(service, made, 2)
    both = np.count_nonzero(found & wanted)
    assert 2 * both / (np.count_nonzero(found) + np.count_nonzero(wanted)) > 0.9
    # Whoever drew it, no model of ours did.
    again = await add(service, volume, entry(answer.json()["id"], "B"))
    (segment,) = (await fetched(service, f"/v1/results/{again['id']}/seg")).SegmentSequence
    assert segment.SegmentAlgorithmType == "MANUAL"
    (region,) = (
        await fetched(service, f"/v1/results/{again['id']}/rtstruct")
    ).StructureSetROISequence
    assert region.ROIGenerationAlgorithm == "MANUAL"
    refused = await service.http.post(
        f"/v1/volumes/{volume}/masks?label=3", content=seg, headers=OCTETS
    )
    assert refusal(refused) == (422, "seg_invalid")
    elsewhere = await service.volume()
    refused = await service.http.post(f"/v1/volumes/{elsewhere}/masks", content=seg, headers=OCTETS)
    assert refusal(refused) == (422, "prior_invalid")
