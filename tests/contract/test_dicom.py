"""DICOM series over HTTP: in a zip, as several files, or one; and what is told of them."""

import io
import zipfile

import httpx
import numpy as np
import pytest
from httpx import AsyncClient

from sammoe.segmentation import Workspace
from tests.contract.service import NIFTI, Service, point, refusal
from tests.series import (
    REFERENCE,
    SERIES,
    STUDY,
    Series,
    as_bytes,
    changed,
    ct,
    enhanced,
    series,
    set_pixels,
)

SHAPE = (48, 44, 24)
CT = ct(SHAPE)


def zipped(made: Series) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, one in enumerate(made):
            archive.writestr(f"{one.PatientName}/{k}.dcm", as_bytes(one))
    return file.getvalue()


async def send(http: AsyncClient, made: Series) -> httpx.Response:
    files = [("file", (f"{k}.dcm", as_bytes(one))) for k, one in enumerate(made)]
    return await http.post("/v1/volumes", files=files)


async def test_a_zip_of_a_series_is_a_volume(service: Service) -> None:
    answer = await service.add(zipped(series(CT)))

    assert answer.status_code == 201, answer.text
    volume = answer.json()
    assert volume["shape"] == list(SHAPE)
    assert volume["spacing"] == pytest.approx([0.8, 0.7, 2.5])
    assert (volume["modality"], volume["modality_source"]) == ("CT", "tag")
    assert volume["source"] == {"study": STUDY, "series": SERIES, "frame_of_reference": REFERENCE}
    assert volume["warnings"] == []
    click = await service.click(volume["id"], **point(24, 22, 12), headers={"Accept": NIFTI})
    assert click.status_code == 201, click.text


@pytest.mark.fault("S12")
async def test_a_program_before_the_image_is_no_matter(service: Service) -> None:
    made, magics = series(CT), [b"\x7fELF\x02\x01\x01", b"MZ\x90\0", b"#!/bin/sh\n"]
    for k, one in enumerate(made):
        one.preamble = magics[k % len(magics)].ljust(128, b"\xcc")
    answer = await service.add(zipped(made))
    assert answer.status_code == 201, answer.text
    assert answer.json()["warnings"] == []


async def test_files_in_any_order_are_the_same_volume(http: AsyncClient) -> None:
    made = series(CT)

    first, again = await send(http, made), await send(http, made[::-1])

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["shape"] == list(SHAPE)


async def test_one_enhanced_image_is_a_volume(service: Service) -> None:
    answer = await service.add(as_bytes(enhanced(CT)[0]))

    assert answer.status_code == 201, answer.text
    assert answer.json()["shape"] == list(SHAPE)


@pytest.mark.fault("S10")
async def test_odd_series_are_volumes_with_a_warning(http: AsyncClient) -> None:
    affine = np.diag([-0.8, -0.7, 2.5, 1])
    affine[1, 2] = 0.6

    answer = await send(http, series(CT, affine))

    assert [warning["code"] for warning in answer.json()["warnings"]] == ["gantry_tilt"]
    assert "13.5 degrees" in answer.json()["warnings"][0]["detail"]


@pytest.mark.fault("S10")
async def test_a_refusal_has_its_code_and_numbers(http: AsyncClient) -> None:
    made = series(CT)

    answer = await send(http, made[:9] + made[10:])

    assert refusal(answer) == (422, "dicom_missing_slices")
    assert "5.000 mm" in answer.json()["detail"]


async def test_the_same_pixels_of_two_patients_are_two_volumes(http: AsyncClient) -> None:
    jane = await send(http, series(CT, patient="Doe^Jane"))
    john = await send(http, series(CT, patient="Doe^John"))

    assert (jane.status_code, john.status_code) == (201, 201)
    assert jane.json()["id"] != john.json()["id"]


async def test_each_volume_keeps_its_own_patient_s_headers(workspace: Workspace) -> None:
    async with Service.over(workspace) as service:
        for patient in ("Doe^Jane", "Doe^John"):
            volume = (await send(service.http, series(CT, patient=patient))).json()["id"]
            record = await workspace.volumes.get("local", volume)
            source = await workspace.volumes.source(record)
            assert {str(one.PatientName) for one in source.datasets()} == {patient}
            assert len(source.slices) == SHAPE[2]


async def test_a_form_of_other_things_is_refused(http: AsyncClient) -> None:
    field = await http.post("/v1/volumes", files={"file": b"x"}, data={"modality": "CT"})
    assert refusal(field) == (400, "malformed_body")
    texts = await http.post("/v1/volumes", files=[("file", b"hello"), ("file", b"you")])
    assert refusal(texts) == (422, "dicom_no_images")
    empty = await http.post("/v1/volumes", files=[("file", b""), ("file", b"")])
    assert refusal(empty) == (400, "malformed_body")


async def test_the_limit_counts_all_files_together(workspace: Workspace) -> None:
    def large(k: int, one: object) -> None:
        set_pixels(one, np.zeros((200, 200), np.uint16))  # type: ignore[arg-type]

    made = changed(series(ct((200, 200, 16))), large)
    async with Service.over(workspace, upload_limit_mib=1) as service:
        assert refusal(await send(service.http, made)) == (413, "too_large")
