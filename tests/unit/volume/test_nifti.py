import gzip
import io
import math
import struct
import tracemalloc
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

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
from sammoe.volume.nifti import is_nifti, read_nifti, write_nifti
from tests.unit.volume.files import AFFINE, VOXELS, nifti


def read(data: bytes, limits: ReadLimits = ReadLimits()) -> tuple[NDArray[Any], Geometry]:
    grid = read_nifti(io.BytesIO(data), limits)
    return grid.voxels, grid.geometry


nifti_image: Any = nibabel.Nifti1Image


def by_nibabel(data: bytes) -> Any:
    return nibabel.Nifti1Image.from_bytes(data)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_voxels_and_affine_are_read(version: int, order: str, compress: type[bytes]) -> None:
    data = compress(nifti(version=version, order=order))
    voxels, geometry = read(data)
    assert np.array_equal(voxels, VOXELS)
    assert voxels.dtype == np.int16
    assert voxels.dtype.isnative
    assert voxels.flags.f_contiguous
    assert geometry.shape == VOXELS.shape
    assert geometry.affine == pytest.approx(AFFINE)


@pytest.mark.parametrize(
    "name",
    [
        "uint8",
        "int8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float32",
        "float64",
    ],
)
def test_every_real_type_is_read(name: str) -> None:
    stored = (VOXELS % 100).astype(name)
    for order in "<>":
        voxels, _ = read(nifti(stored, order=order))
        assert np.array_equal(voxels, VOXELS % 100)
        small_integer = "int" in name and "64" not in name
        assert voxels.dtype == (np.dtype(name) if small_integer else np.float32)


def test_files_of_nibabel_are_read_as_nibabel_reads_them() -> None:
    image = nifti_image(VOXELS.astype(np.float64) / 3, AFFINE)
    image.header.set_data_dtype(np.int16)
    voxels, geometry = read(image.to_bytes())
    assert voxels == pytest.approx(image.from_bytes(image.to_bytes()).get_fdata(), abs=1e-4)
    assert geometry.affine == pytest.approx(image.affine)


def test_scaled_voxels_are_float32() -> None:
    voxels, _ = read(nifti(scl_slope=2.5, scl_inter=-1024))
    assert voxels.dtype == np.float32
    assert np.array_equal(voxels, VOXELS * 2.5 - 1024)


def test_a_slope_of_zero_means_not_scaled() -> None:
    voxels, _ = read(nifti(scl_slope=0, scl_inter=77))
    assert np.array_equal(voxels, VOXELS)
    assert voxels.dtype == np.int16


@pytest.mark.parametrize("shape", [(6, 20, 1), (6, 5, 4, 1), (6, 5, 4, 1, 1, 1, 1)])
def test_axes_of_one_sample_are_dropped(shape: tuple[int, ...]) -> None:
    voxels, geometry = read(nifti(VOXELS.reshape(shape, order="F")))
    assert voxels.shape == geometry.shape == shape[:3]
    assert np.array_equal(voxels.ravel(order="F"), VOXELS.ravel(order="F"))


def test_a_two_dimensional_file_is_one_slice() -> None:
    flat = VOXELS.reshape((6, 20), order="F")
    voxels, geometry = read(nifti(flat))
    assert voxels.shape == (6, 20, 1)
    pixdim = (1, 0.5, 0.75, 0, 0, 0, 0, 0)
    _, geometry = read(nifti(flat, sform_code=0, pixdim=pixdim))
    assert geometry.spacing == pytest.approx((0.5, 0.75, 1))


def test_extensions_are_skipped() -> None:
    extension = struct.pack("<2i", 32, 4) + b"comment of 24 characters"
    for extended in (True, False):
        voxels, _ = read(nifti(extensions=extension * 2, extended=extended))
        assert np.array_equal(voxels, VOXELS)
    two = nifti(version=2, order=">", extensions=struct.pack(">2i", 16, 4) + b"comment ")
    assert np.array_equal(read(two)[0], VOXELS)


def test_an_offset_of_zero_means_right_after_the_header() -> None:
    assert np.array_equal(read(nifti(vox_offset=0))[0], VOXELS)


# Orientation: the three methods of the standard.


def quaternion(turn: Rotation) -> tuple[float, float, float]:
    b, c, d, a = turn.as_quat()
    sign = math.copysign(1, a)
    return sign * b, sign * c, sign * d


@pytest.mark.parametrize("qfac", [1, -1, 0])
@pytest.mark.parametrize("angles", [(10, 20, 30), (180, 0, 0), (0, 0, 180), (90, -45, 170)])
def test_the_qform_is_used_without_an_sform(qfac: int, angles: tuple[int, int, int]) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True)
    data = nifti(
        sform_code=0,
        qform_code=1,
        quatern=quaternion(turn),
        qoffset=(1, 2, 3),
        pixdim=(qfac, 0.5, 0.75, 2, 1, 1, 1, 1),
    )
    _, geometry = read(data)
    third = -2 if qfac < 0 else 2
    expected = turn.as_matrix() * (0.5, 0.75, third)
    assert geometry.affine[:3, :3] == pytest.approx(expected, abs=1e-5)
    assert geometry.affine[:3, 3] == pytest.approx((1, 2, 3))
    if qfac:
        assert geometry.affine == pytest.approx(by_nibabel(data).affine, abs=1e-5)


def test_the_sform_goes_before_the_qform_unless_it_is_zero() -> None:
    both: dict[str, Any] = {"qform_code": 1, "quatern": (0, 0, 1)}
    assert read(nifti(**both))[1].affine == pytest.approx(AFFINE)
    _, geometry = read(nifti(srow=[0] * 12, **both))
    assert geometry.orientation == "LPS"
    # What an sform says apart from its (zero) axes is not taken for one either.
    _, geometry = read(nifti(srow=[0, 0, 0, 5] * 3, **both))
    assert geometry.affine[:3, 3] == pytest.approx((0, 0, 0))


def test_without_either_the_axes_are_taken_for_ras_at_the_origin() -> None:
    _, geometry = read(nifti(sform_code=0))
    assert geometry.affine == pytest.approx(np.diag([0.5, 0.75, 2, 1]))


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 | 8, 1)])
def test_units_are_brought_to_mm(units: int, factor: float) -> None:
    rows = AFFINE[:3] / factor
    _, geometry = read(nifti(xyzt_units=units, srow=rows.ravel()))
    assert geometry.affine == pytest.approx(AFFINE)


@pytest.mark.fault("S09")
@pytest.mark.parametrize(
    "fields",
    [
        {"srow": [np.nan, *AFFINE[:3].ravel()[1:]]},
        {"srow": [*AFFINE[:3].ravel()[:11], np.inf]},
        {"srow": [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]},
        {"sform_code": 0, "pixdim": (1, 0, 0.75, 2, 1, 1, 1, 1)},
        {"sform_code": 0, "pixdim": (1, -1, 0.75, 2, 1, 1, 1, 1)},
        {"sform_code": 0, "pixdim": (1, np.nan, 0.75, 2, 1, 1, 1, 1)},
        {"sform_code": 0, "pixdim": (1, np.inf, 0.75, 2, 1, 1, 1, 1)},
        {"sform_code": 0, "qform_code": 1, "quatern": (1, 1, 0)},
        {"sform_code": 0, "qform_code": 1, "quatern": (np.nan, 0, 0)},
        {"sform_code": 0, "qform_code": 1, "qoffset": (np.nan, 0, 0)},
    ],
)
def test_unusable_orientations_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(AffineInvalid):
        read(nifti(**fields))


# Headers that lie.


@pytest.mark.fault("S08")
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, TooLarge),
        ({"dim": [3, 6, -5, 4, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [3, 6, 0, 4, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [4, 6, 5, 4, -1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [0, 6, 5, 4, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [1, 120, 1, 1, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [8, 6, 5, 4, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [-3, 6, 5, 4, 1, 1, 1, 1]}, HeaderInvalid),
        ({"dim": [3, 600, 500, 400, 1, 1, 1, 1]}, FileTruncated),
        ({"dim": [4, 6, 5, 2, 2, 1, 1, 1]}, VolumeInvalid),
        ({"dim": [5, 6, 5, 2, 1, 2, 1, 1]}, VolumeInvalid),
        ({"datatype": 32, "bitpix": 64}, VolumeInvalid),
        ({"datatype": 128, "bitpix": 24}, VolumeInvalid),
        ({"datatype": 2304, "bitpix": 32}, VolumeInvalid),
        ({"datatype": 1, "bitpix": 1}, VolumeInvalid),
        ({"datatype": 1536, "bitpix": 128}, VolumeInvalid),
        ({"datatype": 0}, VolumeInvalid),
        ({"datatype": -4}, VolumeInvalid),
        ({"bitpix": 8}, HeaderInvalid),
        ({"bitpix": 0}, HeaderInvalid),
        ({"vox_offset": math.nan}, HeaderInvalid),
        ({"vox_offset": math.inf}, HeaderInvalid),
        ({"vox_offset": -352}, HeaderInvalid),
        ({"vox_offset": 16}, HeaderInvalid),
        ({"vox_offset": 352.5}, HeaderInvalid),
        ({"vox_offset": 1e12}, HeaderInvalid),
        ({"vox_offset": 1e6}, FileTruncated),
        ({"vox_offset": 368}, FileTruncated),
        ({"scl_slope": math.nan}, HeaderInvalid),
        ({"scl_slope": math.inf}, HeaderInvalid),
        ({"scl_inter": math.nan}, HeaderInvalid),
        ({"magic": b"ni1\0"}, UnsupportedFormat),
        ({"magic": b"n+9\0"}, UnsupportedFormat),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_headers_that_lie_are_refused(
    fields: dict[str, Any], error: type[Exception], compress: type[bytes]
) -> None:
    data = compress(nifti(**fields))
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert type(caught.value) is error


@pytest.mark.fault("S08")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "extension",
    [
        struct.pack("<2i", 0, 4) + bytes(24),
        struct.pack("<2i", -32, 4) + bytes(24),
        struct.pack("<2i", 7, 4) + bytes(24),
        struct.pack("<2i", 2**31 - 1, 4) + bytes(24),
        struct.pack("<2i", 16, 4) + bytes(8) + struct.pack("<2i", 32, 4) + bytes(8),
    ],
)
def test_extensions_that_lie_are_refused(extension: bytes, version: int) -> None:
    with pytest.raises(HeaderInvalid, match="extension"):
        read(nifti(version=version, extensions=extension))


@pytest.mark.parametrize("kept", [0, 3, 4, 100, 347, 351])
def test_a_file_that_ends_in_its_header_is_refused(kept: int) -> None:
    with pytest.raises(UnsupportedFormat if kept < 4 else FileTruncated):
        read(nifti()[:kept])


@pytest.mark.parametrize("kept", [352, 353, -1])
def test_a_file_that_ends_in_its_voxels_is_refused(kept: int) -> None:
    with pytest.raises(FileTruncated):
        read(nifti()[:kept])
    noisy = nifti(np.random.default_rng(0).integers(0, 9999, (30, 30, 30)).astype(np.int16))
    with pytest.raises(FileTruncated):
        read(gzip.compress(noisy)[: max(kept, 1000)])


def test_a_gzip_that_ends_before_its_first_voxel_is_refused() -> None:
    # Deflate could hold the gap in so few bytes; only inflating shows that it does not.
    with pytest.raises(FileTruncated, match="first voxel"):
        read(gzip.compress(nifti(vox_offset=20000)))


@pytest.mark.fault("S05")
def test_a_bomb_behind_an_honest_header_is_refused() -> None:
    with pytest.raises(TooLarge, match="goes on"):
        read(gzip.compress(nifti() + bytes(8 << 20)))


def test_limits_are_the_caller_s() -> None:
    with pytest.raises(TooLarge, match="voxels"):
        read(nifti(), ReadLimits(max_voxels=119))
    with pytest.raises(TooLarge, match="bytes"):
        read(nifti(), ReadLimits(max_bytes=239))
    assert read(nifti(), ReadLimits(120, 240))[0].shape == VOXELS.shape


def test_only_nifti_is_taken_for_nifti() -> None:
    assert is_nifti(nifti())
    assert is_nifti(nifti(order=">"))
    assert is_nifti(nifti(version=2))
    assert is_nifti(nifti(magic=b"ni1\0"))
    assert not is_nifti(nifti(magic=b"\0\0\0\0"))
    assert not is_nifti(b"")
    assert not is_nifti(b"NRRD0004\n" + bytes(600))


# Masks out.


def oblique() -> Geometry:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (25, -30, 15), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag((-0.8, 0.9, 2.5))
    affine[:3, 3] = (-120.25, 80.5, -33)
    return Geometry((6, 5, 4), affine)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
def test_a_mask_is_read_back_by_nibabel_and_by_us(kind: type[np.generic]) -> None:
    geometry = oblique()
    mask = (VOXELS > 200).astype(kind)
    data = write_nifti(mask, geometry)
    image = by_nibabel(gzip.decompress(data))
    assert image.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(image.dataobj), mask)
    assert image.affine == pytest.approx(geometry.affine, abs=1e-4)
    assert image.header.get_qform() == pytest.approx(geometry.affine, abs=1e-4)
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 1
    assert image.header.get_xyzt_units()[0] == "mm"
    voxels, back = read(data)
    assert np.array_equal(voxels, mask)
    assert back.affine == pytest.approx(geometry.affine, abs=1e-4)


def test_a_tilted_mask_has_an_sform_only() -> None:
    affine = np.eye(4)
    affine[1, 2] = 0.4
    geometry = Geometry((6, 5, 4), affine)
    image = by_nibabel(gzip.decompress(write_nifti(VOXELS > 0, geometry)))
    assert int(image.header["qform_code"]) == 0
    assert image.affine == pytest.approx(affine)
    assert image.header.get_zooms() == pytest.approx(geometry.spacing)


def test_equal_masks_give_equal_bytes() -> None:
    mask = VOXELS > 0
    assert write_nifti(mask, oblique()) == write_nifti(np.asfortranarray(mask), oblique())
    # No time stamp, no file name in the gzip header (RFC 1952).
    assert write_nifti(mask, oblique())[3:8] == bytes(5)
