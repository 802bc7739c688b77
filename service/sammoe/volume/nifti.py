"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz): scans in, masks and scans out.

Field names, codes and the three orientation methods are those of the NIfTI-1 standard
(``nifti1.h``). Headers are decoded by nibabel; what they say is checked here, before any voxel is
allocated. Of several frames or vector components only the first and single one is accepted.
"""

import math
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, Literal

import numpy as np
from isal import igzip
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from sammoe.errors import (
    AffineInvalid,
    FileTruncated,
    HeaderInvalid,
    UnsupportedFormat,
    VolumeInvalid,
)
from sammoe.volume.geometry import Geometry
from sammoe.volume.grid import Grid
from sammoe.volume.limits import ReadLimits
from sammoe.volume.notes import ReadingNote, orientation_assumed, orientation_contradictory
from sammoe.volume.stream import Stream, open_stream, read_exactly
from sammoe.volume.voxels import to_native

_Order = Literal["<", ">"]
_ORDERS: Final[tuple[_Order, _Order]] = ("<", ">")
_HEADERS: Final[dict[int, Any]] = {348: Nifti1Header, 540: Nifti2Header}
_SINGLE_FILE: Final = {348: b"n+1\0", 540: b"n+2\0\r\n\x1a\n"}
_MAGIC_AT: Final = {348: 344, 540: 4}
_TYPES: Final = {
    2: np.uint8,
    4: np.int16,
    8: np.int32,
    16: np.float32,
    64: np.float64,
    256: np.int8,
    512: np.uint16,
    768: np.uint32,
    1024: np.int64,
    1280: np.uint64,
}
"""Real scalar datatypes by NIfTI code; colour, complex, bits and 128-bit floats are left out."""
_MM_PER_UNIT: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_SAME_AXIS: Final = math.cos(math.radians(30))
"""sform and qform that are turned by less mean one thing, as those of registered scans do."""
_PIECE_BYTES: Final = 1 << 20
_MAX_EXTENSIONS: Final = 1 << 24
"""Bytes of header extensions that are skipped; DICOM dumps of scanners stay far below."""


def is_nifti(start: bytes) -> bool:
    """Tell by the first 348 or more (inflated) bytes whether a file is NIfTI, of either kind."""
    size, _ = _header_size(start)
    at = _MAGIC_AT.get(size, 0)
    return start[at : at + 2] in (b"n+", b"ni")


def read_nifti(file: BinaryIO, limits: ReadLimits) -> Grid:
    """Read a NIfTI file.

    Returns
    -------
    Voxels first axis fastest in memory, native byte order: the stored integer type if the header
    does not scale it, else float32.

    Raises
    ------
    UnsupportedFormat, HeaderInvalid, AffineInvalid, VolumeInvalid, TooLarge, FileTruncated
        The header contradicts itself or the file, or says what can not be used. All of it is
        found before the voxels are allocated, but for compression that breaks off among them.
    """
    stream = open_stream(file)
    start = stream.read(4)
    size, order = _header_size(start)
    if not size:
        raise UnsupportedFormat("The file is no NIfTI file: it does not begin with 348 or 540.")
    start += stream.read(size)
    if len(start) < size + 4:
        raise FileTruncated("The file ends within its NIfTI header.")
    if not start[_MAGIC_AT[size] :].startswith(_SINGLE_FILE[size]):
        raise UnsupportedFormat("A .hdr/.img pair can not be read; convert it to one .nii file.")
    header = _HEADERS[size](start[:size], endianness=order, check=False)
    shape, dtype = _layout(header)
    nbytes = limits.admit(shape, dtype.itemsize)
    slope, inter = _scaling(header)
    geometry = Geometry(shape, _affine(header))
    notes = _notes(header, geometry)
    _skip_extensions(stream, start[size:], _voxel_offset(header, size) - size - 4, order)
    stored = np.frombuffer(read_exactly(stream, nbytes), dtype.newbyteorder(order))
    return Grid(to_native(stored.reshape(shape, order="F"), slope, inter), geometry, notes)


def _header_size(start: bytes) -> tuple[int, _Order]:
    """Size that the header claims to have (0 if it is no NIfTI header's), and its byte order."""
    for order in _ORDERS:
        if len(start) >= 4:
            (size,) = struct.unpack_from(f"{order}i", start)
            if size in _HEADERS:
                return size, order
    return 0, "<"


def _layout(header: Any) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    """Shape and stored type."""
    dims = [int(n) for n in header["dim"]]
    if not 2 <= dims[0] <= 7:
        raise HeaderInvalid(f"The header declares {dims[0]} dimensions; a scan has 3.")
    sizes = dims[1 : dims[0] + 1]
    if any(n > 1 for n in sizes[3:]):
        raise VolumeInvalid(
            f"The file holds more than one frame or component (sizes {tuple(sizes)}); "
            "send a single 3-D volume."
        )
    if any(n < 1 for n in sizes):
        raise HeaderInvalid(f"The header declares sizes {tuple(sizes)}; each must be at least 1.")
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _TYPES:
        raise VolumeInvalid(
            f"NIfTI datatype {code} (colour, complex or no number type) can not be segmented; "
            "send real scalar voxels."
        )
    dtype = np.dtype(_TYPES[code])
    if bits != 8 * dtype.itemsize:
        raise HeaderInvalid(f"The header's bitpix {bits} contradicts its datatype {code}.")
    i, j, k = (*sizes, 1)[:3]
    return (i, j, k), dtype


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means "not scaled" by the standard."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(inter)):
        raise HeaderInvalid(f"The header scales voxels by {slope} and {inter}; write it anew.")
    return slope, inter


def _voxel_offset(header: Any, size: int) -> int:
    """Position of the first voxel; 0, which old writers leave, means right after the header."""
    offset = float(header["vox_offset"])
    if offset == 0:
        return size + 4
    # A NaN fails the comparison, too.
    if not size + 4 <= offset <= size + _MAX_EXTENSIONS or offset != int(offset):
        raise HeaderInvalid(f"The header says that voxels begin at byte {offset}.")
    return int(offset)


def _skip_extensions(stream: Stream, flag: bytes, gap: int, order: _Order) -> None:
    """Move on to the voxels, and see that the header extensions before them are sound."""
    if stream.at_most() < gap:
        raise FileTruncated("The file ends before its first voxel.")
    extensions = stream.read(gap)
    if len(extensions) < gap:
        raise FileTruncated("The file ends before its first voxel.")
    position = 0
    while flag[0] and position + 8 <= gap:
        (length,) = struct.unpack_from(f"{order}i", extensions, position)
        if length < 8 or position + length > gap:
            raise HeaderInvalid(f"A header extension declares {length} bytes; {gap} are there.")
        position += length


# Whatever numbers the header holds (signalling NaN, 1e308 metres): Geometry refuses the outcome.
@np.errstate(over="ignore", invalid="ignore")
def _affine(header: Any) -> NDArray[np.float64]:
    """Voxel index -> RAS+ mm: method 3 (sform) if it is set, else 2 (qform), else 1 (pixdim).

    An sform of zeros counts as not set. Method 1 is the standard's: axes run to the right, front
    and head, the first voxel lies at the origin.
    """
    affine = np.eye(4)
    if _has_sform(header):
        affine[:3] = _sform(header)
    else:
        size = np.array(header["pixdim"][1:4], dtype=np.float64)
        if header["dim"][0] == 2 and size[2] == 0:
            size[2] = 1.0
        if not (size > 0).all():
            raise AffineInvalid(f"The header has no sform and says voxels of {size} mm.")
        affine[:3, :3] = np.diag(size)
        if header["qform_code"] > 0:
            affine[:3, :3] = _rotation(header) * size
            affine[:3, 3] = [header[f"qoffset_{axis}"] for axis in "xyz"]
    affine[:3] *= _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    return affine


def _has_sform(header: Any) -> bool:
    return bool(header["sform_code"] > 0 and _sform(header)[:, :3].any())


def _sform(header: Any) -> NDArray[np.float64]:
    return np.array([header["srow_x"], header["srow_y"], header["srow_z"]], dtype=np.float64)


def _notes(header: Any, geometry: Geometry) -> tuple[ReadingNote, ...]:
    """What is odd about the orientation: not said at all, or said twice and not the same."""
    if header["qform_code"] <= 0:
        return () if _has_sform(header) else (orientation_assumed(),)
    if not _has_sform(header):
        return ()
    try:
        rotation = _rotation(header)
    except AffineInvalid:
        return ()  # it is not used, and nobody else can use it
    axes = geometry.affine[:3, :3] / geometry.spacing
    if (axes * rotation).sum(axis=0).min() > _SAME_AXIS:
        return ()
    turned = np.eye(4)
    turned[:3, :3] = rotation
    by_qform = Geometry(geometry.shape, turned).orientation
    if by_qform == geometry.orientation:
        return ()
    return (orientation_contradictory(geometry.orientation, by_qform),)


def _rotation(header: Any) -> NDArray[np.float64]:
    """Rotation matrix [3, 3] of the qform, its third column times qfac."""
    b, c, d = (float(header[f"quatern_{letter}"]) for letter in "bcd")
    square = 1.0 - (b * b + c * c + d * d)
    # Stored as float32, a half turn may come out as a little more than a unit quaternion.
    if not square > -1e-5:
        raise AffineInvalid("The header's qform is no rotation; write its orientation anew.")
    a = math.sqrt(max(square, 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if header["pixdim"][0] < 0:
        rotation[:, 2] *= -1
    return rotation


def write_nifti(mask: NDArray[Any], geometry: Geometry, *, compress: bool = True) -> bytes:
    """Write a mask as .nii.gz: uint8, with `nifti_header`; equal masks give equal bytes.

    Parameters
    ----------
    mask
        bool or uint8 [i, j, k], of the geometry's shape.
    compress
        False: as .nii.
    """
    voxels = np.asarray(mask, dtype=np.uint8).tobytes(order="F")
    content = nifti_header(geometry, np.dtype(np.uint8)) + voxels
    return igzip.compress(content, compresslevel=1, mtime=0) if compress else content


def nifti_header(geometry: Geometry, dtype: np.dtype[Any]) -> bytes:
    """What comes before the voxels of a .nii file: 352 bytes, NIfTI-1, little-endian, not scaled.

    The affine goes into the sform, and into the qform, too, where it can hold it (axes at right
    angles).

    Parameters
    ----------
    dtype
        Of the voxels: one that NIfTI has.
    """
    header = _HEADERS[348](endianness="<")
    header.set_data_shape(geometry.shape)
    header.set_data_dtype(dtype)
    header.set_xyzt_units("mm")
    header["vox_offset"] = 352
    header["scl_slope"] = 1
    header["scl_inter"] = 0
    header["pixdim"][1:4] = geometry.spacing
    header["magic"] = _SINGLE_FILE[348]
    unit = geometry.affine[:3, :3] / geometry.spacing
    if np.allclose(unit.T @ unit, np.eye(3), rtol=0, atol=1e-4):
        header.set_qform(geometry.affine, code="scanner")
    header.set_sform(geometry.affine, code="scanner")
    return bytes(header.binaryblock + bytes(4))


def nifti_pieces(
    voxels: NDArray[Any], geometry: Geometry, piece_bytes: int = _PIECE_BYTES
) -> Iterator[bytes]:
    """A scan as .nii, piece by piece: voxels that are mapped from a file are read as they go.

    Parameters
    ----------
    voxels
        [i, j, k], of the geometry's shape.
    piece_bytes
        Size of a piece, about: a whole number of slices.
    """
    yield nifti_header(geometry, voxels.dtype)
    slices = max(1, piece_bytes // (voxels[:, :, 0].size * voxels.itemsize))
    stored = voxels.dtype.newbyteorder("<")
    for first in range(0, voxels.shape[2], slices):
        yield voxels[:, :, first : first + slices].astype(stored, copy=False).tobytes(order="F")
