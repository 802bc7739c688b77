"""NIfTI and NRRD files made byte by byte, so that they can lie."""

import gzip
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOXELS = (np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 7 - 100).astype(np.int16)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])

_CODES = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "complex64": 32,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
    "uint64": 1280,
}
# Field: struct code, offset in NIfTI-1, struct code, offset in NIfTI-2 (nifti1.h, nifti2.h).
_FIELDS = {
    "dim": ("8h", 40, "8q", 16),
    "datatype": ("h", 70, "h", 12),
    "bitpix": ("h", 72, "h", 14),
    "pixdim": ("8f", 76, "8d", 104),
    "vox_offset": ("f", 108, "q", 168),
    "scl_slope": ("f", 112, "d", 176),
    "scl_inter": ("f", 116, "d", 184),
    "xyzt_units": ("B", 123, "i", 500),
    "qform_code": ("h", 252, "i", 344),
    "sform_code": ("h", 254, "i", 348),
    "quatern": ("3f", 256, "3d", 352),
    "qoffset": ("3f", 268, "3d", 376),
    "srow": ("12f", 280, "12d", 400),
}


def nifti(
    voxels: NDArray[Any] = VOXELS,
    *,
    version: int = 1,
    order: str = "<",
    extensions: bytes = b"",
    extended: bool | None = None,
    magic: bytes | None = None,
    data: bytes | None = None,
    **fields: Any,
) -> bytes:
    """A NIfTI file; any field may be given another value than the honest one."""
    size, at = (348, 1) if version == 1 else (540, 3)
    dims = [voxels.ndim, *voxels.shape, *[1] * (7 - voxels.ndim)]
    values: dict[str, Any] = {
        "dim": dims,
        "datatype": _CODES.get(voxels.dtype.name, 0),
        "bitpix": 8 * voxels.dtype.itemsize,
        "pixdim": (1, 0.5, 0.75, 2, 1, 1, 1, 1),
        "vox_offset": size + 4 + len(extensions),
        "scl_slope": 1,
        "scl_inter": 0,
        "xyzt_units": 2,
        "qform_code": 0,
        "sform_code": 1,
        "quatern": (0, 0, 0),
        "qoffset": (0, 0, 0),
        "srow": AFFINE[:3].ravel(),
        **fields,
    }
    header = bytearray(size)
    struct.pack_into(f"{order}i", header, 0, size)
    for name, value in values.items():
        listed = list(value) if np.ndim(value) else [value]
        spec = _FIELDS[name]
        struct.pack_into(f"{order}{spec[at - 1]}", header, int(spec[at]), *listed)
    honest = b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n"
    place = 344 if version == 1 else 4
    chosen = honest if magic is None else magic
    header[place : place + len(chosen)] = chosen
    flag = bool(extensions) if extended is None else extended
    stored = voxels.astype(voxels.dtype.newbyteorder("<" if order == "<" else ">"))
    body = stored.tobytes(order="F") if data is None else data
    return bytes(header) + bytes([flag, 0, 0, 0]) + extensions + body


def nrrd(
    voxels: NDArray[Any] = VOXELS,
    *,
    changes: Mapping[str, str | None] | None = None,
    lines: Sequence[str] = (),
    data: bytes | None = None,
    newline: str = "\n",
) -> bytes:
    """An NRRD file; a field may be changed, or left out by None, and lines added."""
    fields: dict[str, str | None] = {
        "type": voxels.dtype.name
        if voxels.dtype.kind in "iu"
        else {4: "float", 8: "double"}[voxels.dtype.itemsize],
        "dimension": str(voxels.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(str(n) for n in voxels.shape),
        "space directions": "(0.5,0,0) (0,-0.75,0) (0,0,2)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-10,20,30)",
        **(changes or {}),
    }
    header = ["NRRD0004", *[f"{k}: {v}" for k, v in fields.items() if v is not None], *lines]
    stored = voxels.dtype.newbyteorder(">" if fields["endian"] == "big" else "<")
    body = voxels.astype(stored).tobytes(order="F")
    if fields["encoding"] in ("gzip", "gz"):
        body = gzip.compress(body, mtime=0)
    return (newline.join(header) + newline * 2).encode() + (body if data is None else data)
