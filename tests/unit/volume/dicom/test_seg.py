from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import Dataset, dcmread

from sammoe import __version__
from sammoe.errors import NoDicomSource, StructureEmpty, StructuresOverlap, TooLarge
from sammoe.volume.dicom import seg as seg_module
from sammoe.volume.dicom.seg import SegForm, write_seg
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.geometry import Geometry
from tests.places import PLACES
from tests.readers import by_dcmqi, by_references
from tests.series import GEOMETRY, STUDY, changed, ct, enhanced, series
from tests.unit.volume.dicom.writing import IDENTITY, SHAPE, blobs, read, two

FORMS: tuple[SegForm, ...] = ("BINARY", "LABELMAP")


@dataclass(frozen=True)
class Read:
    """A series and what was read of it."""

    images: list[Dataset]
    geometry: Geometry
    source: DicomSource


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_masks_come_back_voxel_by_voxel(tmp_path: Path, place: str, form: SegForm) -> None:
    images = series(ct(SHAPE), PLACES[place])
    geometry, source = read(images, tmp_path / "series")
    masks = blobs()
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*masks), geometry, source, IDENTITY, form))
    found = by_references(path, images, geometry)
    assert sorted(found) == ([0, 1, 2] if form == "LABELMAP" else [1, 2])
    for number, mask in enumerate(masks, start=1):
        assert np.array_equal(found[number], mask)


def test_structures_may_overlap(tmp_path: Path) -> None:
    images = series(ct(SHAPE))
    geometry, source = read(images, tmp_path / "series")
    first, second = blobs()
    masks = (first, second | first)
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*masks), geometry, source, IDENTITY))
    found = by_references(path, images, geometry)
    assert np.array_equal(found[1], masks[0])
    assert np.array_equal(found[2], masks[1])
    assert dcmread(path).SegmentsOverlap == "YES"
    with pytest.raises(StructuresOverlap):
        write_seg(two(*masks), geometry, source, IDENTITY, "LABELMAP")


@pytest.mark.parametrize("order", [range(12), [3, 0, 11, 5, 1, 2, 10, 9, 4, 8, 7, 6]])
@pytest.mark.parametrize("per_frame", [(), GEOMETRY[:1], GEOMETRY[1:], GEOMETRY])
def test_frames_of_an_enhanced_image_are_referred_to(
    tmp_path: Path, order: list[int], per_frame: Sequence[str]
) -> None:
    images = enhanced(ct(SHAPE), order=order, per_frame=per_frame)
    geometry, source = read(images, tmp_path / "series")
    masks = blobs()
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*masks), geometry, source, IDENTITY))
    seg = segread(path)
    for number, mask in enumerate(masks, start=1):
        for groups, frame in zip(
            seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True
        ):
            identified = groups.SegmentIdentificationSequence[0]
            if identified.ReferencedSegmentNumber != number:
                continue
            reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
            slice_ = order[reference.ReferencedFrameNumber - 1]
            assert np.array_equal(frame.T > 0, mask[:, :, slice_])
            mask[:, :, slice_] = False
        assert not mask.any()


@pytest.mark.parametrize("form", FORMS)
def test_an_enhanced_image_may_give_its_geometry_for_each_frame(
    tmp_path: Path, form: SegForm
) -> None:
    made = []
    for name, per_frame in (("shared", ()), ("each", GEOMETRY)):
        geometry, source = read(enhanced(ct(SHAPE), per_frame=per_frame), tmp_path / name)
        made.append(write_seg(two(*blobs()), geometry, source, IDENTITY, form))
    assert made[0] == made[1]


def test_a_seg_says_what_it_shows_and_who_drew_it(tmp_path: Path) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY))
    seg = dcmread(path)
    assert seg.SOPClassUID.name == "Segmentation Storage"
    assert (seg.SegmentationType, seg.Modality, seg.InstanceNumber) == ("BINARY", "SEG", 3)
    assert (seg.Manufacturer, seg.SoftwareVersions) == ("SAM-Med3D-MoE", __version__)
    first, second = seg.SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == ("Milz größer", "Liver")
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "78961009"
    assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert (first.TrackingUID, second.TrackingUID) == ("2.25.1", "2.25.2")
    assert first.SegmentAlgorithmType == "SEMIAUTOMATIC"
    algorithm = first.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmVersion == f"{__version__}+bbbbbbbbbbbb"
    assert f"bundle={'b' * 64}" in algorithm.AlgorithmParameters.replace("'", "")
    assert seg.SegmentSequence[0].RecommendedDisplayCIELabValue


def test_a_seg_stays_with_its_patient_and_study(tmp_path: Path) -> None:
    def odd(k: int, one: Dataset) -> None:
        one.SpecificCharacterSet = "ISO_IR 100"
        one.PatientName = "Müller^Jörg"
        one.PatientSex = "unsure"
        one.PatientBirthDate = "1970"
        one.PatientAge = "57"

    images = changed(series(ct(SHAPE)), odd)
    geometry, source = read(images, tmp_path / "series")
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY))
    seg = dcmread(path)
    # What breaks a rule did so before: it is copied as it is.
    assert (seg.PatientName, seg.PatientSex, seg.PatientAge) == ("Müller^Jörg", "unsure", "57")
    for keyword in ("PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyID"):
        assert seg[keyword].value == images[0][keyword].value
    assert (seg.StudyInstanceUID, seg.AccessionNumber) == (STUDY, "A1234567")
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert seg.SeriesInstanceUID != images[0].SeriesInstanceUID
    (referenced,) = seg.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert len(referenced.ReferencedInstanceSequence) == SHAPE[2]


def test_dates_are_in_the_zone_of_the_series(tmp_path: Path) -> None:
    def zoned(k: int, one: Dataset) -> None:
        one.TimezoneOffsetFromUTC = "+0530"

    geometry, source = read(changed(series(ct(SHAPE)), zoned), tmp_path / "series")
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(*blobs()), geometry, source, IDENTITY))
    seg = dcmread(path)
    assert seg.TimezoneOffsetFromUTC == "+0530"
    assert (seg.SeriesDate, seg.SeriesTime) == ("20270115", "150211.000000")
    assert (seg.ContentDate, seg.ContentTime) == ("20270116", "051002.125000")


def test_the_same_result_is_the_same_file(tmp_path: Path) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    structures = two(*blobs())
    one = write_seg(structures, geometry, source, IDENTITY)
    assert write_seg(structures, geometry, source, IDENTITY) == one


@pytest.fixture(
    scope="module",
    params=[(41, 37, 12), (24, 25, 12), (40, 41, 12), (33, 33, 12), (32, 32, 12)],
    ids=str,
)
def one_of_each_parity(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Read:
    """Frames whose bits fill whole bytes, even or odd numbers of them, or do not."""
    images = series(ct(request.param))
    return Read(images, *read(images, tmp_path_factory.mktemp("parity") / "series"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slices", [range(2, 3), range(12), range(1, 12), [0, 5, 11], range(11)])
def test_pixels_fill_as_many_bytes_as_ohif_reads_right_or_not_at_all(
    tmp_path: Path, one_of_each_parity: Read, slices: list[int], form: SegForm
) -> None:
    images, geometry = one_of_each_parity.images, one_of_each_parity.geometry
    shape = geometry.shape
    mask = np.zeros(shape, np.bool_)
    for slice_ in slices:
        mask[3 : 5 + slice_, 4:9, slice_] = True
    path = tmp_path / "seg.dcm"
    structures = two(mask, np.ones(shape, np.bool_))[:1]
    path.write_bytes(write_seg(structures, geometry, one_of_each_parity.source, IDENTITY, form))
    seg = dcmread(path)
    frames, bits = int(seg.NumberOfFrames), shape[0] * shape[1] * seg.BitsAllocated
    full = frames == shape[2]
    wanted = 1 if bits % 8 else 0
    assert (full and form == "BINARY") or -(-frames * bits // 8) % 2 == wanted
    assert len(seg.PixelData) == -(-frames * bits // 8) + -(-frames * bits // 8) % 2
    assert len(slices) <= frames <= shape[2]
    assert np.array_equal(by_references(path, images, geometry)[1], mask)
    ranks = [
        np.atleast_1d(item.FrameContentSequence[0].DimensionIndexValues)[-1]
        for item in seg.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(ranks) == list(range(1, frames + 1))
    heights = [
        float(item.PlanePositionSequence[0].ImagePositionPatient[2])
        for item in seg.PerFrameFunctionalGroupsSequence
    ]
    assert np.argsort(heights).tolist() in (
        np.argsort(ranks).tolist(),
        np.argsort(ranks)[::-1].tolist(),
    )


def test_a_label_map_on_every_slice_may_have_two_bytes_a_voxel(tmp_path: Path) -> None:
    shape = (33, 31, 11)
    images = series(ct(shape))
    geometry, source = read(images, tmp_path / "series")
    mask = np.zeros(shape, np.bool_)
    mask[3:9, 4:20, :] = True
    path = tmp_path / "seg.dcm"
    structures = two(mask, np.ones(shape, np.bool_))[:1]
    path.write_bytes(write_seg(structures, geometry, source, IDENTITY, "LABELMAP"))
    seg = dcmread(path)
    assert (seg.BitsAllocated, seg.BitsStored, seg.HighBit) == (16, 16, 15)
    assert [one.SegmentNumber for one in seg.SegmentSequence] == [1, 0]
    assert len(seg.PixelData) == 2 * mask.size
    assert np.array_equal(by_references(path, images, geometry)[1], mask)
    found, off = by_dcmqi(path, tmp_path / "found", geometry)
    assert off < 1e-6
    assert np.array_equal(found[1], mask)


def test_an_added_frame_may_be_where_another_structure_is(tmp_path: Path) -> None:
    shape = (24, 25, 12)
    images = series(ct(shape))
    geometry, source = read(images, tmp_path / "series")
    low, high = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    low[4:9, 5:9, :] = True
    high[15:20, 5:9, 3:6] = True
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(low, high), geometry, source, IDENTITY))
    seg = dcmread(path)
    assert int(seg.NumberOfFrames) == 16
    found = by_references(path, images, geometry)
    assert np.array_equal(found[1], low)
    assert np.array_equal(found[2], high)
    pairs = [
        tuple(item.FrameContentSequence[0].DimensionIndexValues)
        for item in seg.PerFrameFunctionalGroupsSequence
    ]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_structure_is_named(tmp_path: Path, form: SegForm) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    first, _ = blobs()
    with pytest.raises(StructureEmpty, match="Structure 2") as refused:
        write_seg(two(first, np.zeros_like(first)), geometry, source, IDENTITY, form)
    assert refused.value.pointer == "/entries/1"


def test_overlapping_structures_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    first, _ = blobs()
    monkeypatch.setattr(seg_module, "MAX_STACK", 2 * first.size - 1)
    with pytest.raises(TooLarge, match="2 structures that overlap"):
        write_seg(two(first, first), geometry, source, IDENTITY)


def without(keyword: str, value: str | None = None) -> "list[Dataset]":
    def change(k: int, one: Dataset) -> None:
        setattr(one, keyword, value)

    return changed(series(ct(SHAPE)), change)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (without("FrameOfReferenceUID"), "frame of reference"),
        (without("SOPClassUID"), "SOP class"),
        (without("SOPClassUID", "1.2.3.4"), "SOP class"),
    ],
)
def test_a_series_that_can_not_be_referred_to_is_refused(
    tmp_path: Path, images: list[Dataset], reason: str
) -> None:
    (tmp_path / "series").mkdir()
    for number, one in enumerate(images):
        one.save_as(tmp_path / "series" / f"{number}.dcm", enforce_file_format=False)
    geometry, source = read([], tmp_path / "series")
    with pytest.raises(NoDicomSource, match=reason):
        write_seg(two(*blobs()), geometry, source, IDENTITY)


def test_a_source_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    geometry, _ = read(series(ct(SHAPE)), tmp_path / "one")
    moved = PLACES["plain"].copy()
    _, source = read(series(ct(SHAPE), moved), tmp_path / "other")
    with pytest.raises(NoDicomSource, match="do not lie where"):
        write_seg(two(*blobs()), geometry, source, IDENTITY)


def test_nobody_s_name_is_shown_to_other_libraries(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def odd(k: int, one: Dataset) -> None:
        one.PatientName = "Doe Jane" * 12
        one.StudyID = "Doe" * 30

    geometry, source = read(changed(series(ct(SHAPE)), odd), tmp_path / "series")
    with caplog.at_level("DEBUG"):
        write_seg(two(*blobs()), geometry, source, IDENTITY)
    assert "Doe" not in caplog.text
    assert not [warning for warning in recwarn if "Doe" in str(warning.message)]
