"""Readers of what the service writes that share no code with it."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nrrd as pynrrd  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from sammoe.volume.geometry import Geometry

Masks = dict[int, NDArray[np.bool_]]
"""Segment number -> [column, row, slice]."""


def by_references(path: Path, images: Sequence[Dataset], geometry: Geometry) -> Masks:
    """Read a DICOM SEG by hand: each frame by the image it refers to, which must lie where it does.

    Parameters
    ----------
    path
        The SEG.
    images
        The series that it was made on, one image a slice.
    geometry
        Of the volume whose slices the masks shall have.
    """
    seg = dcmread(path)
    count, rows, columns = int(seg.NumberOfFrames), int(seg.Rows), int(seg.Columns)
    size = count * rows * columns
    if seg.BitsAllocated == 1:
        flat = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    else:
        flat = np.frombuffer(seg.PixelData, f"<u{seg.BitsAllocated // 8}")
    frames = flat[:size].reshape(count, rows, columns)
    by_uid = {str(image.SOPInstanceUID): image for image in images}
    shared = seg.SharedFunctionalGroupsSequence[0]
    masks: Masks = {
        int(item.SegmentNumber): np.zeros(geometry.shape, np.bool_) for item in seg.SegmentSequence
    }
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = by_uid[reference.ReferencedSOPInstanceUID]
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        assert list(place) == list(image.ImagePositionPatient)
        x, y, z = map(float, place)
        index = geometry.ras_to_index(np.array([[-x, -y, z]]))[0]
        assert np.abs(index - np.rint(index)).max() < 1e-3
        slice_ = round(float(index[2]))
        if seg.SegmentationType == "LABELMAP":
            for number, mask in masks.items():
                mask[:, :, slice_] |= number == frame.T
            continue
        own = groups if "SegmentIdentificationSequence" in groups else shared
        number = int(own.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        masks[number][:, :, slice_] |= frame.T > 0
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert np.allclose(orientation, images[0].ImageOrientationPatient, atol=1e-9)
    assert shared.PixelMeasuresSequence[0].PixelSpacing == images[0].PixelSpacing
    return masks


def by_dcmqi(path: Path, folder: Path, geometry: Geometry) -> tuple[Masks, float]:
    """Read a DICOM SEG with dcmqi.

    Returns
    -------
    Masks on the grid of ``geometry``, and how far the farthest voxel lies off that, mm.
    """
    folder.mkdir()
    program = Path(sys.executable).with_name("segimage2itkimage")
    command: list[str | Path] = [
        program,
        "--inputDICOM",
        path,
        "--outputDirectory",
        folder,
        "--outputType",
        "nrrd",
    ]
    subprocess.run(command, check=True, capture_output=True)
    masks: Masks = {}
    off = 0.0
    for file in folder.glob("*.nrrd"):
        numbers, lps = _read_nrrd(file)
        for number in np.unique(numbers[numbers > 0]):
            masks[int(number)], far = _onto(numbers == number, lps, geometry)
            off = max(off, far)
    return masks, off


def by_plastimatch(path: Path, series: Path, folder: Path, geometry: Geometry) -> dict[str, Masks]:
    """Read a DICOM RTSTRUCT with plastimatch: masks of regions by name, as ``{1: mask}``."""
    program = needed("plastimatch", "plastimatch")
    command: list[str | Path] = [program, "convert", "--input", path, "--referenced-ct", series]
    command += ["--output-prefix", folder, "--prefix-format", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for file in folder.glob("*.nrrd"):
        inside, lps = _read_nrrd(file)
        found[file.stem] = {1: _onto(inside > 0, lps, geometry)[0]}
    return found


def dciodvfy(path: Path) -> list[str]:
    """What David Clunie's validator finds wrong in a DICOM file; warnings are left out."""
    program = needed("dciodvfy", "dicom3tools")
    ran = subprocess.run([program, "-new", path], capture_output=True, text=True)
    said = (ran.stdout + ran.stderr).splitlines()
    return [line for line in said if line.startswith(("Error", "Abort"))]


def needed(program: str, package: str) -> str:
    """Path of a program; the test is skipped where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} (apt-get install {package})")
    return found


def _read_nrrd(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Voxels and their affine [3, 4] to LPS+."""
    voxels, header = pynrrd.read(str(path))
    assert header["space"] == "left-posterior-superior"
    directions = np.asarray(header["space directions"]).T
    return voxels, np.column_stack((directions, header["space origin"]))


def _onto(
    inside: NDArray[np.bool_], lps: NDArray[np.float64], geometry: Geometry
) -> tuple[NDArray[np.bool_], float]:
    points = np.argwhere(inside) @ lps[:, :3].T + lps[:, 3]
    index = geometry.ras_to_index(points * [-1, -1, 1])
    nearest = np.rint(index).astype(np.int64)
    mask = np.zeros(geometry.shape, np.bool_)
    mask[tuple(nearest.T)] = True
    assert np.count_nonzero(mask) == len(points)
    return mask, float(np.abs((index - nearest) * geometry.spacing).max(initial=0.0))
