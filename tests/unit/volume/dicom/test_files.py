"""Real files: pydicom's own test files, and a real series."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import dcmread

from sammoe.errors import SammoeError
from sammoe.volume.dicom.series import read_series
from sammoe.volume.limits import ReadLimits
from sammoe.volume.reading import read_volume

FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_every_kind_are_read_as_pydicom_reads_them_or_refused(path: Path) -> None:
    try:
        found = read_series(path, ReadLimits())
    except SammoeError:
        return
    with warnings.catch_warnings(action="ignore"):
        dataset = dcmread(path, force=True)
        stored = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns).astype(np.float64)
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
        stored = stored * float(slope) + float(intercept)
        np.testing.assert_allclose(found.voxels.T, stored, rtol=1e-6)
    else:
        assert found.voxels.T.shape == stored.shape
        # Frames may lie in another order.
        assert sorted(map(np.mean, found.voxels.T)) == pytest.approx(
            sorted(map(np.mean, stored)), rel=1e-5
        )


def test_grey_images_with_a_place_are_read() -> None:
    """The others are in colour, have no place or no pixels, or are damaged on purpose."""
    read = []
    for path in FILES:
        try:
            read.append(read_series(path, ReadLimits()))
        except SammoeError:
            continue

    assert len(read) >= 12


@pytest.mark.data
def test_a_real_series_is_read_as_it_was_converted(real_data: Path) -> None:
    folder = real_data / "totalseg_dicom"

    found = read_volume(folder)

    slices = [dcmread(path) for path in folder.glob("CT*")]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    values = np.stack([one.pixel_array.astype(np.int16) - 1024 for one in slices])
    np.testing.assert_array_equal(found.voxels.T, values)
    assert found.geometry.orientation == "LPS"
    assert found.geometry.spacing == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert {note.code for note in found.notes} == {"files_left_out", "uids_missing"}
    assert found.source is None
