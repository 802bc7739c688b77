"""Arrays as NIfTI-1 files, to be sent, and as the service sends them."""

import struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sammoe_client._values import Indices
from sammoe_client.errors import UnexpectedAnswer

_CODES = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
    "uint64": 1280,
}
"""NIfTI's numbers of dtypes."""

_HEADER_BYTES = 348
_MM = 2
_SCANNER = 1


def nifti(voxels: NDArray[Any], affine: ArrayLike) -> bytes:
    """A volume as .nii.

    Parameters
    ----------
    voxels
        [i, j, k], of whole or real numbers, or bool.
    affine
        4 x 4, voxel index (i, j, k, 1) to RAS+ mm.

    Raises
    ------
    ValueError
        The array has not three axes or a dtype that the service does not read, or the affine is
        none.
    """
    values = voxels.astype(np.uint8) if voxels.dtype == np.bool_ else voxels
    code = _CODES.get(values.dtype.name)
    matrix = np.asarray(affine, np.float64)
    if values.ndim != 3 or code is None or matrix.shape != (4, 4):
        raise ValueError("a volume is an array of three axes and real numbers, with a 4 x 4 affine")
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, _HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, 8 * values.dtype.itemsize)
    struct.pack_into("<8f", header, 76, 1, *spacing, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = _MM
    struct.pack_into("<h", header, 254, _SCANNER)
    struct.pack_into("<12f", header, 280, *matrix[:3].ravel())
    header[344:348] = b"n+1\0"
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return bytes(header) + little.tobytes(order="F")


def voxels_of(content: bytes, shape: Indices) -> NDArray[Any]:
    """Voxels [i, j, k] of a .nii from the service.

    Parameters
    ----------
    shape
        Of the volume.

    Raises
    ------
    UnexpectedAnswer
        The bytes are no such file.
    """
    try:
        (size,) = struct.unpack_from("<i", content)
        dims = struct.unpack_from("<4h", content, 40)
        (code,) = struct.unpack_from("<h", content, 70)
        (offset,) = struct.unpack_from("<f", content, 108)
        dtype = np.dtype({number: name for name, number in _CODES.items()}[code])
        if size != _HEADER_BYTES or dims != (3, *shape):
            raise ValueError
        flat = np.frombuffer(content, dtype.newbyteorder("<"), offset=int(offset))
        return flat.reshape(shape, order="F")
    except (struct.error, KeyError, ValueError):
        raise UnexpectedAnswer("The voxels can not be read.") from None
