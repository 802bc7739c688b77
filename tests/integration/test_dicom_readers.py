"""What others' programs make of the DICOM files that the service writes."""

from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import StructuresOverlap
from sammoe.volume.dicom.rtstruct import write_rtstruct
from sammoe.volume.dicom.seg import write_seg
from sammoe.volume.paste import cut
from tests.places import PLACES
from tests.readers import by_dcmqi, by_plastimatch, dciodvfy
from tests.series import ct, enhanced, mr, series
from tests.unit.volume.dicom.writing import IDENTITY, SHAPE, blobs, read, two
from tests.unit.volume.structures import SPLEEN, structure

STRAIGHT = sorted(set(PLACES) - {"tilted"})
"""dcmqi and plastimatch put what they read on a grid at right angles, and refuse tilted slices."""


@pytest.mark.parametrize("place", STRAIGHT)
def test_dcmqi_reads_the_voxels_where_they_are(tmp_path: Path, place: str) -> None:
    geometry, source = read(series(ct(SHAPE), PLACES[place]), tmp_path / "series")
    masks = blobs()
    for form in ("BINARY", "LABELMAP"):
        path = tmp_path / f"{form}.dcm"
        path.write_bytes(write_seg(two(*masks), geometry, source, IDENTITY, form))
        found, off = by_dcmqi(path, tmp_path / form, geometry)
        assert off < 1e-6
        assert sorted(found) == [1, 2]
        assert np.array_equal(found[1], masks[0])
        assert np.array_equal(found[2], masks[1])


def test_dcmqi_reads_structures_that_overlap(tmp_path: Path) -> None:
    geometry, source = read(series(mr(SHAPE), modality="MR", intercept=0), tmp_path / "series")
    first, second = blobs()
    path = tmp_path / "seg.dcm"
    path.write_bytes(write_seg(two(first, first | second), geometry, source, IDENTITY))
    found, _ = by_dcmqi(path, tmp_path / "found", geometry)
    assert np.array_equal(found[1], first)
    assert np.array_equal(found[2], first | second)
    with pytest.raises(StructuresOverlap):
        write_seg(two(first, first), geometry, source, IDENTITY, "LABELMAP")


@pytest.mark.parametrize("kind", [*PLACES, "enhanced", "one structure"])
def test_a_validator_finds_no_error(tmp_path: Path, kind: str) -> None:
    images = enhanced(ct(SHAPE)) if kind == "enhanced" else None
    geometry, source = read(
        images or series(ct(SHAPE), PLACES.get(kind, PLACES["plain"])), tmp_path / "series"
    )
    structures = two(*blobs())[: 1 if kind == "one structure" else 2]
    for write in (write_seg, write_rtstruct):
        path = tmp_path / f"{write.__name__}.dcm"
        path.write_bytes(write(structures, geometry, source, IDENTITY))
        assert dciodvfy(path) == []


@pytest.mark.parametrize("place", STRAIGHT)
def test_plastimatch_fills_contours_to_the_mask(tmp_path: Path, place: str) -> None:
    shape = (57, 61, 30)
    geometry, source = read(series(ct(shape), PLACES[place]), tmp_path / "series")
    middle = np.array([28, 30, 15])
    away = (np.moveaxis(np.indices(shape), 0, -1) - middle) * geometry.spacing
    radius = np.linalg.norm(away, axis=-1)
    ball, shell = radius < 10, (radius < 12) & (radius > 5)
    path = tmp_path / "rtstruct.dcm"
    structures = [
        structure("ball", SPLEEN, cut(ball)),
        structure("shell", SPLEEN, cut(shell)),
    ]
    path.write_bytes(write_rtstruct(structures, geometry, source, IDENTITY))
    found = by_plastimatch(path, tmp_path / "series", tmp_path / "found", geometry)
    for name, mask in (("ball", ball), ("shell", shell)):
        both = np.count_nonzero(found[name][1] & mask)
        dice = 2 * both / (np.count_nonzero(found[name][1]) + np.count_nonzero(mask))
        assert dice >= 0.999, name
