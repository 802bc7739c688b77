import io
import tracemalloc
from pathlib import Path
from typing import Any

import nrrd as pynrrd  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.errors import (
    AffineInvalid,
    FileTruncated,
    HeaderInvalid,
    TooLarge,
    UnsupportedFormat,
    VolumeInvalid,
)
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.nrrd import read_nrrd, write_nrrd
from tests.unit.volume.files import AFFINE, VOXELS, nrrd
from tests.unit.volume.shapes import axis_affine


def read(data: bytes, limits: ReadLimits = ReadLimits()) -> tuple[NDArray[Any], Geometry]:
    grid = read_nrrd(io.BytesIO(data), limits)
    return grid.voxels, grid.geometry


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz"])
@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_voxels_and_affine_are_read(encoding: str, endian: str, newline: str) -> None:
    changes = {"encoding": encoding, "endian": endian}
    voxels, geometry = read(nrrd(changes=changes, newline=newline))
    assert np.array_equal(voxels, VOXELS)
    assert voxels.dtype == np.int16
    assert voxels.flags.f_contiguous
    # LPS in the file, RAS+ here.
    assert geometry.affine == pytest.approx(
        np.array([[-0.5, 0, 0, 10], [0, 0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
    )
    assert geometry.affine == pytest.approx(AFFINE)


def test_data_with_an_empty_line_in_it_begins_after_the_first() -> None:
    voxels = np.frombuffer(b"\n\n\r\n\r\n\n\n", np.uint8).reshape(2, 2, 2)
    got, _ = read(nrrd(np.asfortranarray(voxels)))
    assert np.array_equal(got, voxels)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("las", (-1, 1, 1)),
    ],
)
def test_spaces_are_brought_to_ras(space: str, signs: tuple[int, int, int]) -> None:
    _, geometry = read(nrrd(changes={"space": space}))
    lps = np.array([[0.5, 0, 0, -10], [0, -0.75, 0, 20], [0, 0, 2, 30]])
    assert geometry.affine[:3] == pytest.approx(lps * np.array(signs)[:, None])


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integer_types_are_read(name: str) -> None:
    voxels, _ = read(nrrd((VOXELS % 100).astype(name)))
    assert np.array_equal(voxels, VOXELS % 100)
    assert voxels.dtype == (np.float32 if "64" in name else np.dtype(name))


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_floats_are_read(name: str) -> None:
    voxels, _ = read(nrrd((VOXELS / 8).astype(name)))
    assert np.array_equal(voxels, (VOXELS / 8).astype(np.float32))
    assert voxels.dtype == np.float32


def test_names_of_types_may_be_c_s() -> None:
    for name in ("short", "signed short int", "INT16_T"):
        assert read(nrrd(changes={"type": name}))[0].dtype == np.int16
    assert read(nrrd(VOXELS.astype(np.uint8), changes={"type": "uchar", "endian": None}))


def test_comments_and_free_text_are_skipped() -> None:
    lines = ["# a comment: with a colon", "patient:=Doe: John", 'space units: "mm" "mm" "mm"']
    assert np.array_equal(read(nrrd(lines=lines))[0], VOXELS)


def test_without_directions_the_axes_are_taken_for_ras_at_the_origin() -> None:
    changes = {"space": None, "space directions": None, "space origin": None, "kinds": None}
    assert read(nrrd(changes=changes))[1].affine == pytest.approx(np.eye(4))
    _, geometry = read(nrrd(changes={**changes, "spacings": "0.5 0.75 2"}))
    assert geometry.affine == pytest.approx(np.diag([0.5, 0.75, 2, 1]))


def test_the_origin_may_be_left_out() -> None:
    _, geometry = read(nrrd(changes={"space origin": None}))
    assert geometry.affine[:3, 3] == pytest.approx((0, 0, 0))


@pytest.mark.parametrize("place", [0, 3])
def test_an_axis_of_one_sample_is_dropped(place: int) -> None:
    directions = ["(0.5,0,0)", "(0,-0.75,0)", "(0,0,2)"]
    kinds = ["domain", "domain", "domain"]
    directions.insert(place, "none")
    kinds.insert(place, "list")
    changes = {"space directions": " ".join(directions), "kinds": " ".join(kinds)}
    voxels, geometry = read(nrrd(np.expand_dims(VOXELS, place), changes=changes))
    assert np.array_equal(voxels, VOXELS)
    assert geometry.affine == pytest.approx(AFFINE)


FOUR_KINDS = {
    "space directions": "none (0.5,0,0) (0,-0.75,0) (0,0,2)",
    "kinds": "RGB-color domain domain domain",
}


@pytest.mark.fault("S08")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"type": None}, HeaderInvalid),
        ({"type": "block"}, VolumeInvalid),
        ({"type": "complex"}, VolumeInvalid),
        ({"dimension": None}, HeaderInvalid),
        ({"dimension": "4"}, HeaderInvalid),
        ({"dimension": "three"}, HeaderInvalid),
        ({"sizes": None}, HeaderInvalid),
        ({"sizes": "6 5"}, HeaderInvalid),
        ({"sizes": "6 5 -4"}, HeaderInvalid),
        ({"sizes": "6 5 4.0"}, HeaderInvalid),
        ({"sizes": "6 5 " + "9" * 5000}, HeaderInvalid),
        ({"sizes": "6 5 0"}, HeaderInvalid),
        ({"sizes": "40000 1 1"}, HeaderInvalid),
        ({"sizes": "32767 32767 32767"}, TooLarge),
        ({"sizes": "60 50 400"}, FileTruncated),
        ({"sizes": "60 50 400", "encoding": "gzip"}, FileTruncated),
        ({"encoding": None}, HeaderInvalid),
        ({"encoding": "bzip2"}, UnsupportedFormat),
        ({"encoding": "ascii"}, UnsupportedFormat),
        ({"endian": None}, HeaderInvalid),
        ({"endian": "middle"}, HeaderInvalid),
        ({"data file": "/etc/passwd"}, UnsupportedFormat),
        ({"datafile": "LIST"}, UnsupportedFormat),
        ({"line skip": "1"}, HeaderInvalid),
        ({"byteskip": "-1"}, HeaderInvalid),
        ({"space": None}, HeaderInvalid),
        ({"space": "scanner-xyz"}, HeaderInvalid),
        ({"space units": '"m" "m" "m"'}, HeaderInvalid),
        ({"space origin": "none"}, HeaderInvalid),
        ({"space origin": "(1,2,3) (4,5,6)"}, HeaderInvalid),
        ({"space origin": "(1,2)"}, HeaderInvalid),
        ({"space origin": "(1,2,x)"}, HeaderInvalid),
        ({"space origin": "(nan,2,3)"}, AffineInvalid),
        ({"space directions": "(1,0,0) (0,1,0)"}, HeaderInvalid),
        ({"space directions": "(1,0,0) (0,1,0) somewhere"}, HeaderInvalid),
        ({"space directions": "(1,0,0) (0,1,0) (0,inf,1)"}, AffineInvalid),
        ({"space directions": "(1,0,0) (0,1,0) (0,0,0)"}, AffineInvalid),
        ({"space directions": "(1,0,0) (0,1,0) (0,1,0)"}, AffineInvalid),
        ({"space directions": "none (0,1,0) (0,0,1)"}, VolumeInvalid),
        ({"space directions": "none none none"}, VolumeInvalid),
        ({"kinds": "domain domain"}, HeaderInvalid),
        ({"kinds": "domain domain time"}, VolumeInvalid),
        ({"space directions": None, "spacings": "1 1"}, HeaderInvalid),
        ({"space directions": None, "spacings": "1 1 nan"}, AffineInvalid),
    ],
)
def test_headers_that_lie_are_refused(changes: dict[str, str], error: type[Exception]) -> None:
    data = nrrd(changes=changes)
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error


def test_colours_and_frames_are_refused() -> None:
    with pytest.raises(VolumeInvalid, match="single 3-D"):
        read(nrrd(np.stack([VOXELS] * 3), changes=FOUR_KINDS))
    plain = {"space": None, "space directions": None, "space origin": None, "kinds": None}
    with pytest.raises(VolumeInvalid, match="single 3-D"):
        read(nrrd(np.stack([VOXELS] * 3), changes=plain))


@pytest.mark.parametrize("line", ["no field", "dimension: 3", "Sizes: 6 5 4", "byteskip: 0"])
def test_lines_that_are_no_field_or_come_twice_are_refused(line: str) -> None:
    with pytest.raises(HeaderInvalid, match="line"):
        read(nrrd(changes={"byte skip": "0"}, lines=[line]))


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(HeaderInvalid, match="does not end"):
        read(b"NRRD0004\n" + b"# more\n" * 100_000)
    with pytest.raises(HeaderInvalid, match="does not end"):
        read(b"NRRD0004\ntype: short\n")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_file_that_ends_in_its_voxels_is_refused(encoding: str) -> None:
    with pytest.raises(FileTruncated):
        read(nrrd(changes={"encoding": encoding})[:-1])


@pytest.mark.fault("S05")
def test_a_bomb_behind_an_honest_header_is_refused() -> None:
    with pytest.raises(TooLarge, match="goes on"):
        read(nrrd(data=bytes(3 << 20)))


def test_limits_are_the_caller_s() -> None:
    with pytest.raises(TooLarge, match="voxels"):
        read(nrrd(), ReadLimits(max_voxels=119))


# Masks out.


def test_a_mask_is_read_back_by_pynrrd_and_by_us(tmp_path: Path) -> None:
    geometry = Geometry((6, 5, 4), axis_affine((2, 0, 1), (-1, 1, -1), (0.1, 0.7, 2.5)))
    mask = VOXELS > 200
    data = write_nrrd(mask, geometry)
    path = tmp_path / "mask.nrrd"
    path.write_bytes(data)
    voxels, header = pynrrd.read(str(path))
    assert np.array_equal(voxels, mask)
    assert header["space"] == "left-posterior-superior"
    lps = np.diag([-1, -1, 1]) @ geometry.affine[:3]
    assert header["space directions"] == pytest.approx(lps[:, :3].T)
    assert header["space origin"] == pytest.approx(lps[:, 3])
    again, back = read(data)
    assert np.array_equal(again, mask)
    assert np.array_equal(back.affine, geometry.affine)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_files_of_pynrrd_are_read(tmp_path: Path, encoding: str) -> None:
    header = {
        "encoding": encoding,
        "space": "left-posterior-superior",
        "space directions": np.diag([0.5, -0.75, 2]),
        "space origin": np.array([-10, 20, 30]),
        "kinds": ["domain"] * 3,
    }
    path = tmp_path / "scan.nrrd"
    pynrrd.write(str(path), VOXELS, header)
    voxels, geometry = read(path.read_bytes())
    assert np.array_equal(voxels, VOXELS)
    assert geometry.affine == pytest.approx(AFFINE)


def test_equal_masks_give_equal_bytes() -> None:
    geometry = Geometry((6, 5, 4), np.eye(4))
    mask = VOXELS > 0
    data = write_nrrd(mask, geometry)
    assert write_nrrd(np.asfortranarray(mask).astype(np.uint8), geometry) == data
    assert b"-0.0" not in data.split(b"\n\n")[0]


def test_texts_are_on_one_line_each() -> None:
    geometry = Geometry((6, 5, 4), np.eye(4))
    data = write_nrrd(VOXELS > 0, geometry, {"Name": "two\nlines \\ one"})
    assert b"\nName:=two\\nlines \\\\ one\n" in data
    assert np.array_equal(read(data)[0], VOXELS > 0)
