"""NRRD, attached header only (.nrrd): scans in, masks out.

Field names are those of the NRRD format definition (teem, ``nrrd/format.html``). Read: raw and
gzip encoding; real scalar types; three spatial axes in a left/right, anterior/posterior,
inferior/superior space; further axes only with one sample. Written: what 3D Slicer writes.
Detached data files are refused: a header must not make the service open other files.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final, Literal

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from sammoe.errors import HeaderInvalid, UnsupportedFormat, VolumeInvalid
from sammoe.volume.geometry import Geometry
from sammoe.volume.grid import Grid
from sammoe.volume.limits import ReadLimits
from sammoe.volume.notes import orientation_assumed
from sammoe.volume.stream import GzipStream, RawStream, Stream, read_exactly
from sammoe.volume.voxels import to_native

MAGIC: Final = b"NRRD000"
_MAX_HEADER: Final = 1 << 18
"""Bytes of header that are read; Slicer's longest key/value pairs stay below."""

_TYPES: Final = {
    name: code
    for code, names in {
        "i1": "signed char,int8,int8_t",
        "u1": "uchar,unsigned char,uint8,uint8_t",
        "i2": "short,short int,signed short,signed short int,int16,int16_t",
        "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
        "i4": "int,signed int,int32,int32_t",
        "u4": "uint,unsigned int,uint32,uint32_t",
        "i8": "longlong,long long,long long int,signed long long,"
        "signed long long int,int64,int64_t",
        "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(",")
}
_ORDERS: Final[dict[str, Literal["<", ">"]]] = {"little": "<", "big": ">"}
_STREAMS: Final[dict[str, Callable[[BinaryIO], Stream]]] = {
    "raw": RawStream,
    "gzip": GzipStream,
    "gz": GzipStream,
}
_SPACES: Final = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
"""Signs that take a space's axes to RAS+."""
_SPATIAL_KINDS: Final = {"domain", "space", "none", "???"}
_ALIASES: Final = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}


def read_nrrd(file: BinaryIO, limits: ReadLimits) -> Grid:
    """Read an NRRD file.

    Returns
    -------
    Voxels first axis fastest in memory, native byte order: the stored integer type (64-bit integers
    and doubles as float32).

    Raises
    ------
    UnsupportedFormat, HeaderInvalid, AffineInvalid, VolumeInvalid, TooLarge, FileTruncated
        The header contradicts itself or the file, or says what can not be used. All of it is
        found before the voxels are allocated, but for compression that breaks off among them.
    """
    fields = _header(file)
    encoding = _required(fields, "encoding").lower()
    if encoding not in _STREAMS:
        raise UnsupportedFormat(f"NRRD encoding {encoding!r:.40} can not be read; use gzip or raw.")
    dtype = _dtype(fields)
    sizes = _sizes(fields)
    spatial, directions = _axes(fields, sizes)
    i, j, k = (sizes[axis] for axis in spatial)
    nbytes = limits.admit((i, j, k), dtype.itemsize)
    geometry = Geometry((i, j, k), _affine(fields, directions))
    data = read_exactly(_STREAMS[encoding](file), nbytes)
    voxels = to_native(np.frombuffer(data, dtype).reshape((i, j, k), order="F"))
    return Grid(voxels, geometry, () if directions is not None else (orientation_assumed(),))


def _header(file: BinaryIO) -> dict[str, str]:
    """Fields by lower-case name; leaves the file at the first byte of data."""
    start = file.read(_MAX_HEADER)
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None:
        raise HeaderInvalid(
            "The NRRD header does not end (no empty line): it is cut off, longer than "
            f"{_MAX_HEADER} bytes, or detached from its data."
        )
    file.seek(end.end() - len(start), 1)
    fields: dict[str, str] = {}
    for line in start[: end.start()].decode("utf-8", errors="replace").splitlines()[1:]:
        # "key:=value" is free text, "#" a comment.
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, value = line.partition(": ")
        name = _ALIASES.get(name.strip().lower(), name.strip().lower())
        if not colon or name in fields:
            raise HeaderInvalid("The NRRD header has a line that is no field, or a field twice.")
        fields[name] = value.strip()
    if "data file" in fields:
        raise UnsupportedFormat("An NRRD with a detached data file can not be read; attach it.")
    if any(fields.get(skip, "0") != "0" for skip in ("line skip", "byte skip")):
        raise HeaderInvalid("An NRRD that skips lines or bytes can not be read; write it anew.")
    return fields


def _required(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise HeaderInvalid(f"The NRRD header lacks the field {name!r}.")
    return fields[name]


def _dtype(fields: dict[str, str]) -> np.dtype[Any]:
    name = _required(fields, "type").lower()
    if name not in _TYPES:
        raise VolumeInvalid(f"NRRD type {name!r:.40} can not be segmented; send scalar voxels.")
    dtype = np.dtype(_TYPES[name])
    if dtype.itemsize == 1:
        return dtype
    order = _required(fields, "endian").lower()
    if order not in _ORDERS:
        raise HeaderInvalid(f"The NRRD header's endian is {order!r:.40}, not little or big.")
    return dtype.newbyteorder(_ORDERS[order])


def _sizes(fields: dict[str, str]) -> list[int]:
    words = _required(fields, "sizes").split()
    if not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words) or str(
        len(words)
    ) != _required(fields, "dimension"):
        raise HeaderInvalid("The NRRD header's sizes are no numbers, or not one a dimension.")
    return [int(word) for word in words]


def _axes(fields: dict[str, str], sizes: list[int]) -> tuple[list[int], NDArray[np.float64] | None]:
    """Numbers of the three spatial axes, and their directions [3, 3] (columns) if given."""
    spatial = list(range(len(sizes)))
    directions = None
    if "space directions" in fields:
        vectors = _vectors(fields["space directions"])
        if len(vectors) != len(sizes):
            raise HeaderInvalid("The NRRD header does not give one space direction a dimension.")
        spatial = [axis for axis, vector in enumerate(vectors) if vector is not None]
        directions = np.array([vector for vector in vectors if vector is not None]).T
    kinds = fields.get("kinds", "domain " * len(sizes)).lower().split()
    if len(kinds) != len(sizes):
        raise HeaderInvalid("The NRRD header does not give one kind a dimension.")
    others = [axis for axis in range(len(sizes)) if axis not in spatial]
    others += [axis for axis in spatial if kinds[axis] not in _SPATIAL_KINDS]
    if any(sizes[axis] != 1 for axis in others) or len(spatial) != 3:
        raise VolumeInvalid(
            f"The NRRD has sizes {tuple(sizes)} along axes of kinds {' '.join(kinds):.80}; "
            "send a single 3-D volume without frames, vectors or colours."
        )
    return spatial, directions


def _affine(fields: dict[str, str], directions: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Voxel index -> RAS+ mm; without directions, the axes run to the right, front and head."""
    affine = np.eye(4)
    units = set(fields.get("space units", "mm").replace('"', " ").split())
    if units != {"mm"}:
        raise HeaderInvalid("The NRRD header's space units are not mm; write it in mm.")
    if directions is None:
        spacings = _numbers(fields.get("spacings", "1 1 1").split())
        affine[:3, :3] = np.diag(_three(spacings))
        return affine
    space = _required(fields, "space").lower()
    if space not in _SPACES:
        raise HeaderInvalid(
            f"The NRRD header's space {space!r:.40} does not say where left and right are; "
            "write it in left-posterior-superior."
        )
    origins = _vectors(fields.get("space origin", "(0,0,0)"))
    if len(origins) != 1 or origins[0] is None:
        raise HeaderInvalid("The NRRD header's space origin is not one point.")
    affine[:3, :3] = directions
    affine[:3, 3] = origins[0]
    affine[:3] *= np.array(_SPACES[space])[:, None]
    return affine


def _vectors(text: str) -> list[list[float] | None]:
    """Parse ``(1,0,0) none (0,0,1)``."""
    vectors: list[list[float] | None] = []
    for inner, word in re.findall(r"\(([^()]*)\)|([^\s()]+)", text):
        if word and word.lower() != "none":
            raise HeaderInvalid("The NRRD header has a vector that can not be read.")
        vectors.append(None if word else _three(_numbers(inner.split(","))))
    return vectors


def _three(numbers: list[float]) -> list[float]:
    if len(numbers) != 3:
        raise HeaderInvalid("The NRRD header has a vector that is not of three numbers.")
    return numbers


def _numbers(words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise HeaderInvalid("The NRRD header has a vector that can not be read.") from error


def write_nrrd(
    mask: NDArray[Any],
    geometry: Geometry,
    texts: Mapping[str, str] | None = None,
    *,
    compress: bool = True,
) -> bytes:
    """Write a mask as NRRD: uint8, gzip, left-posterior-superior; equal masks give equal bytes.

    Parameters
    ----------
    mask
        bool or uint8 [i, j, k], of the geometry's shape; or [layer, i, j, k].
    texts
        Key/value pairs for the header; a key has no ``:=`` and no line end.
    compress
        False: raw voxels, for readers that do not inflate.
    """
    lps = np.diag([-1.0, -1.0, 1.0]) @ geometry.affine[:3] + 0.0
    columns = [f"({','.join(repr(float(value)) for value in column)})" for column in lps.T]
    layered = mask.ndim == 4
    header = "\n".join(
        [
            "NRRD0004",
            "type: uint8",
            f"dimension: {mask.ndim}",
            "space: left-posterior-superior",
            f"sizes: {' '.join(str(n) for n in mask.shape)}",
            f"space directions: {'none ' * layered}{' '.join(columns[:3])}",
            f"kinds: {'list ' * layered}domain domain domain",
            "endian: little",
            f"encoding: {'gzip' if compress else 'raw'}",
            f"space origin: {columns[3]}",
            *(f"{key}:={_escaped(value)}" for key, value in (texts or {}).items()),
            "\n",
        ]
    )
    voxels = np.asarray(mask, dtype=np.uint8).tobytes(order="F")
    data = igzip.compress(voxels, compresslevel=1, mtime=0) if compress else voxels
    return header.encode() + data


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
