"""Results in a real PACS: a series is pulled, segmented, and goes back as DICOM."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.nrrd import read_nrrd
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import Server, serving
from tests.places import PLACES
from tests.readers import by_dcmqi, by_references, dciodvfy
from tests.series import Series, as_bytes, changed, enhanced, mr, series

SHAPE = (41, 37, 14)
HERE, BESIDE = (16.0, 18.0, 6.0), (26.0, 18.0, 8.0)


@pytest.fixture(scope="module")
def front(
    orthanc: OrthancServer, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service that knows that PACS."""
    environment = {
        "SAMMOE_DICOMWEB_URL": orthanc.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    with serving(bundle, tmp_path_factory.mktemp("front") / "state", **environment) as server:
        yield server


@pytest.fixture
def http(front: Server, orthanc: OrthancServer) -> Iterator[httpx.Client]:
    orthanc.empty()
    with front.client() as http:
        yield http


def images_of(number: int, affine: NDArray[np.float64], patient: str = "Doe^Jane") -> Series:
    """An MR series with UIDs of its own."""

    def named(k: int, one: Dataset) -> None:
        one.StudyInstanceUID = f"1.2.826.0.1.50.{number}"
        one.FrameOfReferenceUID = f"1.2.826.0.1.51.{number}"

    made = series(
        mr(SHAPE, 5), affine, modality="MR", intercept=0, uid=f"1.2.826.0.1.52.{number}",
        patient=patient,
    )  # fmt: skip
    return changed(made, named)


def result_of(http: httpx.Client, orthanc: OrthancServer, images: Series) -> dict[str, Any]:
    """Put a series into the PACS, pull it, click twice, and make a result of both."""
    orthanc.store(map(as_bytes, images))
    wanted = {"study": images[0].StudyInstanceUID, "series": images[0].SeriesInstanceUID}
    pulled = http.post("/v1/volumes", json={"dicomweb": wanted})
    assert pulled.status_code in {200, 201}, pulled.text
    volume = pulled.json()["id"]
    entries = []
    for label, place in (("A", HERE), ("B", BESIDE)):
        body = {"space": "voxel", "points": [{"position": place, "label": 1}], "expert": "general"}
        made = http.post(f"/v1/volumes/{volume}/segmentations", json=body)
        assert made.status_code == 201, made.text
        entries.append({"segmentation": made.json()["id"], "label": label})
    body = {"entries": entries, "merge": "overwrite"}
    result: dict[str, Any] = http.post(f"/v1/volumes/{volume}/results", json=body).json()
    return result


def masks_of(http: httpx.Client, result: dict[str, Any]) -> tuple[NDArray[np.uint8], Geometry]:
    """The result's label map as the service serves it."""
    answer = http.get(f"/v1/results/{result['id']}/mask", headers={"Accept": "application/x-nrrd"})
    grid = read_nrrd(BytesIO(answer.content), ReadLimits())
    return grid.voxels, grid.geometry


def stored(orthanc: OrthancServer, modality: str) -> list[bytes]:
    """Files of a modality that the PACS has."""
    with orthanc.client() as pacs:
        query = {"Level": "Instance", "Query": {"Modality": modality}}
        found = pacs.post("/tools/find", json=query).raise_for_status().json()
        return [pacs.get(f"/instances/{name}/file").raise_for_status().content for name in found]


@pytest.mark.parametrize("place", PLACES)
def test_what_comes_back_from_the_pacs_is_the_mask(
    http: httpx.Client, orthanc: OrthancServer, tmp_path: Path, place: str
) -> None:
    images = images_of(list(PLACES).index(place), PLACES[place])
    result = result_of(http, orthanc, images)
    forms = {"forms": ["seg", "labelmap", "rtstruct"]}
    answer = http.post(f"/v1/results/{result['id']}/store", json=forms)
    assert answer.status_code == 200, answer.text
    assert [item["form"] for item in answer.json()["items"]] == forms["forms"]
    labels, geometry = masks_of(http, result)
    segs = stored(orthanc, "SEG")
    assert len(segs) == 2
    for number, content in enumerate(segs):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(content)
        found = by_references(path, images, geometry)
        if place != "tilted":  # which dcmqi refuses
            found, off = by_dcmqi(path, tmp_path / f"found{number}", geometry)
            assert off < 1e-6
        for segment in (1, 2):
            assert (labels == segment).any()
            assert np.array_equal(found[segment], labels == segment)
        if dcmread(path).SegmentationType == "BINARY":
            assert dciodvfy(path) == []
    (rtstruct,) = stored(orthanc, "RTSTRUCT")
    (tmp_path / "rtstruct.dcm").write_bytes(rtstruct)
    assert dciodvfy(tmp_path / "rtstruct.dcm") == []


def test_an_enhanced_series_goes_round(
    http: httpx.Client, orthanc: OrthancServer, tmp_path: Path
) -> None:
    images = enhanced(mr(SHAPE, 5), PLACES["oblique"], modality="MR", intercept=0)
    result = result_of(http, orthanc, images)
    assert http.post(f"/v1/results/{result['id']}/store").status_code == 200
    labels, geometry = masks_of(http, result)
    (content,) = stored(orthanc, "SEG")
    path = tmp_path / "seg.dcm"
    path.write_bytes(content)
    found, off = by_dcmqi(path, tmp_path / "found", geometry)
    assert off < 1e-6
    for segment in (1, 2):
        assert np.array_equal(found[segment], labels == segment)


def test_two_patients_with_the_same_pixels_are_not_mixed_up(
    http: httpx.Client, orthanc: OrthancServer
) -> None:
    people = {}
    for number, patient in enumerate(("Doe^Jane", "Roe^Richard"), start=70):
        images = images_of(number, PLACES["plain"], patient)
        result = result_of(http, orthanc, images)
        assert http.post(f"/v1/results/{result['id']}/store").status_code == 200
        people[patient] = images[0]
    segs = [dcmread(BytesIO(content)) for content in stored(orthanc, "SEG")]
    assert len(segs) == 2
    assert {str(seg.PatientName) for seg in segs} == set(people)
    for seg in segs:
        image = people[str(seg.PatientName)]
        assert (seg.PatientID, seg.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == image.SeriesInstanceUID
        assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID


@pytest.mark.fault("S24")
def test_sending_again_is_harmless_and_nothing_is_deleted(
    http: httpx.Client, orthanc: OrthancServer
) -> None:
    result = result_of(http, orthanc, images_of(80, PLACES["plain"]))
    path = f"/v1/results/{result['id']}"
    first = http.post(f"{path}/store").json()
    (before,) = stored(orthanc, "SEG")
    again = http.post(f"{path}/store").json()
    assert again == first
    (after,) = stored(orthanc, "SEG")
    assert dcmread(BytesIO(after)) == dcmread(BytesIO(before))
    entries = [
        {"segmentation": entry["segmentation"], "label": entry["label"]}
        for entry in result["entries"]
    ]
    assert http.put(path, json={"entries": entries, "merge": "keep_existing"}).status_code == 200
    corrected = http.post(f"{path}/store").json()["items"][0]
    assert corrected["instance"] != first["items"][0]["instance"]
    assert corrected["series"] == first["items"][0]["series"]
    instances = {str(dcmread(BytesIO(seg)).SOPInstanceUID) for seg in stored(orthanc, "SEG")}
    assert instances == {corrected["instance"], first["items"][0]["instance"]}


def test_a_server_that_keeps_the_first_file_is_no_failure(bundle: Path, tmp_path: Path) -> None:
    pacs = OrthancServer(tmp_path, configuration={"OverwriteInstances": False})
    environment = {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    try:
        with serving(bundle, tmp_path / "state", **environment) as server, server.client() as http:
            result = result_of(http, pacs, images_of(81, PLACES["plain"]))
            path = f"/v1/results/{result['id']}/store"
            first, again = http.post(path), http.post(path)
            assert (first.status_code, again.status_code) == (200, 200), again.text
            assert first.json() == again.json()
            assert len(stored(pacs, "SEG")) == 1
    finally:
        pacs.stop()


@pytest.mark.fault("S24")
def test_what_a_server_refuses_is_said_and_the_rest_is_there(bundle: Path, tmp_path: Path) -> None:
    script = tmp_path / "filter.lua"
    script.write_text(
        "function ReceivedInstanceFilter(dicom, origin)"
        " return dicom['Modality'] ~= 'RTSTRUCT' end\n"
    )
    pacs = OrthancServer(tmp_path, configuration={"LuaScripts": [str(script)]})
    environment = {
        "SAMMOE_DICOMWEB_URL": pacs.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    try:
        with serving(bundle, tmp_path / "state", **environment) as server, server.client() as http:
            result = result_of(http, pacs, images_of(82, PLACES["plain"]))
            path = f"/v1/results/{result['id']}/store"
            answer = http.post(path, json={"forms": ["rtstruct", "seg"]})
            assert (answer.status_code, answer.json()["code"]) == (502, "not_stored"), answer.text
            assert "Not stored: rtstruct." in answer.json()["detail"]
            assert "Stored: seg." in answer.json()["detail"]
            assert answer.json()["errors"][0]["pointer"] == "/forms/0"
            assert (len(stored(pacs, "SEG")), stored(pacs, "RTSTRUCT")) == (1, [])
            pacs.stop()
            away = http.post(path)
            assert (away.status_code, away.json()["code"]) == (504, "pacs_unavailable")
    finally:
        pacs.stop()


def test_only_servers_that_are_set_are_sent_to(http: httpx.Client, orthanc: OrthancServer) -> None:
    result = result_of(http, orthanc, images_of(83, PLACES["plain"]))
    path = f"/v1/results/{result['id']}/store"
    answer = http.post(path, json={"server": "other"})
    assert (answer.status_code, answer.json()["code"]) == (422, "pacs_unknown")
    refused: list[dict[str, Any]] = [
        {"forms": []},
        {"forms": ["seg", "seg"]},
        {"url": "http://elsewhere"},
    ]
    for body in refused:
        answer = http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert stored(orthanc, "SEG") == []
