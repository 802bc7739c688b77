import gzip
from pathlib import Path

import nibabel as nib
import nrrd as pynrrd  # type: ignore[import-untyped]
import numpy as np
import pytest

from sammoe.errors import StructuresOverlap
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import cut
from sammoe.volume.segments import structures_nifti, structures_nrrd
from tests.unit.volume.shapes import axis_affine
from tests.unit.volume.structures import LIVER, SPLEEN, structure

SHAPE = (6, 5, 4)
GEOMETRY = Geometry(SHAPE, axis_affine((2, 0, 1), (-1, 1, -1), (0.1, 0.7, 2.5)))
LPS = np.diag([-1, -1, 1]) @ GEOMETRY.affine[:3]

LOW = np.zeros(SHAPE, np.bool_)
LOW[1:3, 2:4, :] = True
HIGH = np.zeros(SHAPE, np.bool_)
HIGH[2:6, 0:3, 1:2] = True

APART = [
    structure("Große Milz", SPLEEN, cut(LOW), 1),
    structure("Liver", LIVER, cut(HIGH & ~LOW), 2),
]
CROSSING = [APART[0], structure("Liver", LIVER, cut(HIGH), 2)]


def test_a_nifti_label_map_is_read_by_nibabel() -> None:
    content = structures_nifti(APART, GEOMETRY)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert np.allclose(image.affine, GEOMETRY.affine)
    assert np.array_equal(np.asarray(image.dataobj), LOW + 2 * (HIGH & ~LOW))
    with pytest.raises(StructuresOverlap):
        structures_nifti(CROSSING, GEOMETRY)


def test_nrrd_says_what_slicer_reads(tmp_path: Path) -> None:
    path = tmp_path / "result.seg.nrrd"
    content = structures_nrrd(APART, GEOMETRY)
    path.write_bytes(content)
    voxels, header = pynrrd.read(str(path))
    assert np.array_equal(voxels, LOW + 2 * (HIGH & ~LOW))
    assert header["space directions"] == pytest.approx(LPS[:, :3].T)
    assert header["space origin"] == pytest.approx(LPS[:, 3])
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert header["Segment0_ID"] == "Segment_1"
    # pynrrd drops what is not ASCII.
    assert "\nSegment0_Name:=Große Milz\n".encode() in content
    assert header["Segment1_Name"] == "Liver"
    assert header["Segment0_Color"] == "1 0.2 0"
    assert header["Segment0_Extent"] == "1 2 2 3 0 3"
    assert [header[f"Segment{n}_LabelValue"] for n in (0, 1)] == ["1", "2"]
    assert [header[f"Segment{n}_Layer"] for n in (0, 1)] == ["0", "0"]
    assert header["Segment1_Tags"] == (
        "TerminologyEntry:Segmentation category and type - DICOM master list"
        "~SCT^123037004^Anatomical structure~SCT^10200004^Liver~^^"
        "~Anatomic codes - DICOM master list~^^~^^|"
    )


def test_nrrd_has_a_layer_for_what_overlaps(tmp_path: Path) -> None:
    path = tmp_path / "result.seg.nrrd"
    path.write_bytes(structures_nrrd(CROSSING, GEOMETRY))
    voxels, header = pynrrd.read(str(path))
    assert voxels.shape == (2, *SHAPE)
    assert np.array_equal(voxels[0], LOW)
    assert np.array_equal(voxels[1], 2 * HIGH)
    assert header["kinds"] == ["list", "domain", "domain", "domain"]
    assert np.isnan(header["space directions"][0]).all()
    assert header["space directions"][1:] == pytest.approx(LPS[:, :3].T)
    assert [header[f"Segment{n}_Layer"] for n in (0, 1)] == ["0", "1"]


def test_an_empty_structure_has_an_empty_extent(tmp_path: Path) -> None:
    path = tmp_path / "result.seg.nrrd"
    nothing = structure("Gone", LIVER, cut(np.zeros(SHAPE, np.bool_)))
    path.write_bytes(structures_nrrd([nothing], GEOMETRY))
    voxels, header = pynrrd.read(str(path))
    assert not voxels.any()
    assert header["Segment0_Extent"] == "0 -1 0 -1 0 -1"
