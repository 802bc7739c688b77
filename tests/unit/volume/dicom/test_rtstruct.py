from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from sammoe.errors import NoDicomSource, StructureEmpty
from sammoe.volume.dicom.rtstruct import write_rtstruct
from sammoe.volume.geometry import Geometry
from tests.places import PLACES
from tests.series import changed, ct, enhanced, series
from tests.unit.volume.dicom.test_contours import filled
from tests.unit.volume.dicom.writing import IDENTITY, SHAPE, blobs, read, two


def drawn(region: Dataset, geometry: Geometry) -> NDArray[np.bool_]:
    """Fill a region's contours on the volume's grid; each must lie in one slice."""
    mask = np.zeros(geometry.shape, np.bool_)
    for contour in region.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        index = geometry.ras_to_index(points * [-1, -1, 1])
        slice_ = round(float(index[0, 2]))
        assert np.abs(index[:, 2] - slice_).max() < 1e-4
        mask[:, :, slice_] ^= filled(index[:, :2], geometry.shape[:2])
    return mask


@pytest.mark.parametrize("place", PLACES)
def test_contours_fill_to_the_mask(tmp_path: Path, place: str) -> None:
    geometry, source = read(series(ct(SHAPE), PLACES[place]), tmp_path / "series")
    masks = blobs()
    path = tmp_path / "rtstruct.dcm"
    path.write_bytes(write_rtstruct(two(*masks), geometry, source, IDENTITY))
    rt = dcmread(path)
    for region, mask in zip(rt.ROIContourSequence, masks, strict=True):
        assert np.array_equal(drawn(region, geometry), mask)


def test_contours_refer_to_the_images_that_they_lie_on(tmp_path: Path) -> None:
    images = series(ct(SHAPE))
    geometry, source = read(images, tmp_path / "series")
    path = tmp_path / "rtstruct.dcm"
    path.write_bytes(write_rtstruct(two(*blobs()), geometry, source, IDENTITY))
    rt = dcmread(path)
    heights = {one.SOPInstanceUID: float(one.ImagePositionPatient[2]) for one in images}
    for region in rt.ROIContourSequence:
        for contour in region.ContourSequence:
            (image,) = contour.ContourImageSequence
            height = heights[image.ReferencedSOPInstanceUID]
            assert {float(z) for z in contour.ContourData[2::3]} == {height}
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
    (frame,) = rt.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (referenced,) = study.RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert referenced.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in referenced.ContourImageSequence} == set(heights)


def test_frames_of_an_enhanced_image_are_referred_to(tmp_path: Path) -> None:
    geometry, source = read(enhanced(ct(SHAPE), order=range(11, -1, -1)), tmp_path / "series")
    masks = blobs()
    path = tmp_path / "rtstruct.dcm"
    path.write_bytes(write_rtstruct(two(*masks), geometry, source, IDENTITY))
    region, _ = dcmread(path).ROIContourSequence
    assert np.array_equal(drawn(region, geometry), masks[0])
    frames = {c.ContourImageSequence[0].ReferencedFrameNumber for c in region.ContourSequence}
    assert frames == {12 - slice_ for slice_ in np.flatnonzero(masks[0].any((0, 1)))}


def test_regions_say_what_they_are_and_whose(tmp_path: Path) -> None:
    def odd(k: int, one: Dataset) -> None:
        one.SpecificCharacterSet = "ISO_IR 100"
        one.PatientName = "Müller^Jörg"

    images = changed(series(ct(SHAPE)), odd)
    geometry, source = read(images, tmp_path / "series")
    path = tmp_path / "rtstruct.dcm"
    structures = two(*blobs())
    content = write_rtstruct(structures, geometry, source, IDENTITY)
    assert write_rtstruct(structures, geometry, source, IDENTITY) == content
    path.write_bytes(content)
    rt = dcmread(path)
    assert (rt.SOPClassUID.name, rt.Modality) == ("RT Structure Set Storage", "RTSTRUCT")
    assert (rt.PatientName, rt.PatientID) == ("Müller^Jörg", images[0].PatientID)
    assert rt.StudyInstanceUID == images[0].StudyInstanceUID
    assert [one.ROIName for one in rt.StructureSetROISequence] == ["Milz größer", "Liver"]
    assert [one.ROINumber for one in rt.StructureSetROISequence] == [1, 2]
    assert [list(one.ROIDisplayColor) for one in rt.ROIContourSequence] == [
        [255, 51, 0],
        [255, 102, 0],
    ]
    observed = rt.RTROIObservationsSequence[1]
    assert observed.RTROIIdentificationCodeSequence[0].CodeMeaning == "Liver"
    assert all(
        len(value) <= 16
        for value in map(str, rt.ROIContourSequence[0].ContourSequence[0].ContourData)
    )


def test_an_empty_structure_is_named(tmp_path: Path) -> None:
    geometry, source = read(series(ct(SHAPE)), tmp_path / "series")
    first, _ = blobs()
    with pytest.raises(StructureEmpty, match="Structure 2"):
        write_rtstruct(two(first, np.zeros_like(first)), geometry, source, IDENTITY)


def test_a_series_without_a_frame_of_reference_is_refused(tmp_path: Path) -> None:
    def without(k: int, one: Dataset) -> None:
        del one.FrameOfReferenceUID

    geometry, source = read(changed(series(ct(SHAPE)), without), tmp_path / "series")
    with pytest.raises(NoDicomSource, match="frame of reference"):
        write_rtstruct(two(*blobs()), geometry, source, IDENTITY)
