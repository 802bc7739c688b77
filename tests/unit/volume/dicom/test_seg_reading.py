import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from sammoe.errors import SegInvalid
from sammoe.volume.dicom.seg import SegForm, write_seg
from sammoe.volume.dicom.seg_reading import is_seg, read_seg
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from sammoe.volume.segments import structures_nrrd
from tests.places import PLACES
from tests.series import changed, ct, enhanced, series, write
from tests.unit.volume.dicom.writing import IDENTITY, SHAPE, blobs, read, two


def made_by_us(
    folder: Path, place: str = "plain", form: SegForm = "BINARY"
) -> tuple[Path, Geometry, DicomSource]:
    geometry, source = read(series(ct(SHAPE), PLACES[place]), folder / "series")
    path = folder / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY, form))
    return path, geometry, source


@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("place", PLACES)
def test_our_own_are_read(tmp_path: Path, place: str, form: SegForm) -> None:
    path, geometry, source = made_by_us(tmp_path, place, form)
    first, second = blobs()
    assert is_seg(path)
    assert np.array_equal(read_seg(path, geometry, source, 1), first)
    assert np.array_equal(read_seg(path, geometry, source, 2), second)
    assert np.array_equal(read_seg(path, geometry, source), first | second)


def test_slices_may_be_a_little_uneven(tmp_path: Path) -> None:
    def moved(k: int, one: Dataset) -> None:
        x, y, z = map(float, one.ImagePositionPatient)
        one.ImagePositionPatient = [x, y, z + (0.03 if k == 4 else 0)]

    images = changed(series(ct(SHAPE)), moved)
    geometry, source = read(images, tmp_path / "series")
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY))
    places = {
        tuple(groups.PlanePositionSequence[0].ImagePositionPatient)
        for groups in dcmread(path).PerFrameFunctionalGroupsSequence
    }
    assert tuple(images[4].ImagePositionPatient) in places
    assert np.array_equal(read_seg(path, geometry, source, 1), blobs()[0])


def test_one_on_an_enhanced_image_is_read(tmp_path: Path) -> None:
    geometry, source = read(enhanced(ct(SHAPE), order=range(11, -1, -1)), tmp_path / "series")
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY))
    assert np.array_equal(read_seg(path, geometry, source, 2), blobs()[1])


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", ExplicitVRLittleEndian),
        ("FRACTIONAL", ExplicitVRLittleEndian),
        ("FRACTIONAL", RLELossless),
        ("LABELMAP", ExplicitVRLittleEndian),
        ("LABELMAP", RLELossless),
    ],
)
def test_those_of_highdicom_are_read(tmp_path: Path, kind: str, syntax: str) -> None:
    images = series(ct(SHAPE))
    geometry, source = read(images, tmp_path / "series")
    mask = blobs()[0]
    fractions = np.where(mask, 0.6, 0.3) * (np.arange(SHAPE[2]) > 1)
    array = fractions if kind == "FRACTIONAL" else mask.astype(np.uint8)
    seg = hd.seg.Segmentation(
        source_images=images[::-1],
        pixel_array=np.ascontiguousarray(array.T[::-1]),
        segmentation_type=kind,
        segment_descriptions=[
            hd.seg.SegmentDescription(
                1, "x", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
            )
        ],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="x",
        device_serial_number="x",
        transfer_syntax_uid=syntax,
    )
    path = tmp_path / "seg.dcm"
    seg.save_as(path)
    assert np.array_equal(read_seg(path, geometry, source, 1), mask)


def test_those_of_dcmqi_are_read(tmp_path: Path) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    structures = two(*blobs())
    labels = tmp_path / "labels.nrrd"
    labels.write_bytes(structures_nrrd(structures, geometry))
    code = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    segments = [
        {
            "labelID": number,
            "SegmentLabel": str(number),
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": code,
            "SegmentedPropertyTypeCodeSequence": code,
        }
        for number in (1, 2)
    ]
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"segmentAttributes": [segments], "SeriesNumber": "9"}))
    path = tmp_path / "seg.dcm"
    program = Path(sys.executable).with_name("itkimage2segimage")
    command: list[str | Path] = [program, "--inputImageList", labels, "--outputDICOM", path]
    command += ["--inputDICOMDirectory", tmp_path / "series", "--inputMetadata", meta]
    subprocess.run(command, check=True, capture_output=True)
    for number, mask in enumerate(blobs(), start=1):
        assert np.array_equal(read_seg(path, geometry, source, number), mask)


def changed_seg(path: Path, **elements: Any) -> None:
    seg = dcmread(path)
    for keyword, value in elements.items():
        setattr(seg, keyword, value)
    seg.save_as(path)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"FrameOfReferenceUID": "1.2.3"}, "another frame of reference"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "no DICOM SEG"),
        ({"Rows": 4000}, "larger than the volume"),
        ({"NumberOfFrames": 3}, "damaged"),
        ({"BitsAllocated": 32}, "1, 8 or 16 bits"),
        ({"PixelData": b"\0" * 100}, "ends before its last frame"),
        ({"PerFrameFunctionalGroupsSequence": [Dataset()]}, "damaged"),
    ],
)
def test_what_can_not_be_used_is_refused(
    tmp_path: Path, elements: dict[str, Any], reason: str
) -> None:
    path, geometry, source = made_by_us(tmp_path)
    changed_seg(path, **elements)
    with pytest.raises(SegInvalid, match=reason):
        read_seg(path, geometry, source)


def test_a_segment_must_be_there(tmp_path: Path) -> None:
    path, geometry, source = made_by_us(tmp_path)
    with pytest.raises(SegInvalid, match="no segment 3, but: 1, 2"):
        read_seg(path, geometry, source, 3)


@pytest.mark.parametrize("shift", [(0.4, 0, 0), (0, 0.4, 0), (0, 0, 1.0), (0, 0, 400)])
def test_frames_must_lie_on_the_voxels(tmp_path: Path, shift: tuple[float, ...]) -> None:
    path, geometry, source = made_by_us(tmp_path)
    seg = dcmread(path)
    for groups in seg.PerFrameFunctionalGroupsSequence:
        place = groups.PlanePositionSequence[0]
        place.ImagePositionPatient = list(np.add(place.ImagePositionPatient, shift))
    seg.save_as(path)
    with pytest.raises(SegInvalid, match="does not lie on the voxels"):
        read_seg(path, geometry, source)


@pytest.mark.fault("S06")
def test_deflated_files_are_refused_unread(tmp_path: Path) -> None:
    path, geometry, source = made_by_us(tmp_path)
    seg = dcmread(path)
    seg.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    seg.save_as(path)
    assert is_seg(path)
    with pytest.raises(SegInvalid, match="compressed"):
        read_seg(path, geometry, source)


def test_other_files_are_none(tmp_path: Path) -> None:
    folder = write(series(ct(SHAPE)), tmp_path / "series")
    assert not is_seg(next(folder.iterdir()))
    (tmp_path / "text").write_text("no DICOM")
    assert not is_seg(tmp_path / "text")
    geometry, source = read([], folder)
    with pytest.raises(SegInvalid, match="damaged"):
        read_seg(tmp_path / "text", geometry, source)


@pytest.fixture(scope="module")
def seg(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path, Geometry, DicomSource]:
    folder = tmp_path_factory.mktemp("seg")
    path, geometry, source = made_by_us(folder)
    return path.read_bytes(), folder / "damaged.dcm", geometry, source


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_a_mask(
    seg: tuple[bytes, Path, Geometry, DicomSource], data: st.DataObject
) -> None:
    content, path, geometry, source = seg
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(content) // 2, len(content))) :]
    path.write_bytes(damaged)
    is_seg(path)
    with suppress(SegInvalid):
        assert read_seg(path, geometry, source).shape == geometry.shape
