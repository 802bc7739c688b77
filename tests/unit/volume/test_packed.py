import struct
import zlib

import numpy as np
import pytest

from sammoe.errors import FileTruncated, HeaderInvalid, TooLarge, UnsupportedFormat
from sammoe.volume.geometry import Geometry
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import Pasted, cut

GEOMETRY = Geometry((30, 20, 10), np.eye(4))


def blob() -> Pasted:
    mask = np.random.default_rng(1).random((30, 20, 10)) > 0.7
    mask[:4] = mask[:, 15:] = False
    return cut(mask)


def header(
    *,
    version: int = 1,
    flags: int = 0,
    shape: tuple[int, ...] = (8, 8, 8),
    offset: tuple[int, ...] = (1, 2, 3),
    box: tuple[int, ...] = (2, 2, 2),
    count: int = 1,
) -> bytes:
    return struct.pack("<4sHH9IQ", b"SMSK", version, flags, *shape, *offset, *box, count)


ONE_BYTE = zlib.compress(b"\x20")


def test_a_mask_comes_back() -> None:
    pasted = blob()
    got, shape = unpack(pack(pasted, GEOMETRY))
    assert shape == GEOMETRY.shape
    assert got.offset == pasted.offset
    assert np.array_equal(got.mask, pasted.mask)
    assert got.mask.dtype == np.bool_


def test_an_empty_mask_comes_back() -> None:
    empty = cut(np.zeros((3, 3, 3), dtype=np.bool_))
    got, shape = unpack(pack(empty, GEOMETRY))
    assert got.mask.shape == (0, 0, 0)
    assert shape == GEOMETRY.shape


def test_the_layout_is_the_one_documented() -> None:
    # Bit 5 of a 2x2x2 box with i fastest: i = 1, j = 0, k = 1.
    got, shape = unpack(header() + ONE_BYTE)
    assert shape == (8, 8, 8)
    assert got.offset == (1, 2, 3)
    assert np.argwhere(got.mask).tolist() == [[1, 0, 1]]
    mask = np.zeros((8, 8, 8), dtype=np.bool_)
    mask[1, 2, 3] = mask[3, 4, 5] = True
    data = pack(cut(mask), Geometry((8, 8, 8), np.eye(4)))
    assert data[:52] == header(box=(3, 3, 3), count=2)
    # 27 bits, the first and the last of them set.
    assert zlib.decompress(data[52:]) == (1 | 1 << 26).to_bytes(4, "little")


def test_packing_does_not_depend_on_memory_layout() -> None:
    pasted = blob()
    other = Pasted(np.ascontiguousarray(pasted.mask), pasted.offset)
    assert pack(other, GEOMETRY) == pack(pasted, GEOMETRY)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedFormat),
        (b"NRRD0004", UnsupportedFormat),
        (header(version=2) + ONE_BYTE, UnsupportedFormat),
        (header(flags=1) + ONE_BYTE, UnsupportedFormat),
        (header()[:51], FileTruncated),
        (header(), FileTruncated),
        (header() + ONE_BYTE[:-1], FileTruncated),
        (header() + b"not deflated", FileTruncated),
        (header(box=(3, 3, 3)) + ONE_BYTE, FileTruncated),
        (header(offset=(7, 2, 3)) + ONE_BYTE, HeaderInvalid),
        (header(count=2) + ONE_BYTE, HeaderInvalid),
        (header() + zlib.compress(b"\x20\x00"), HeaderInvalid),
        (header() + ONE_BYTE + b"more", HeaderInvalid),
        (header(shape=(2**31,) * 3, offset=(0,) * 3, box=(2**31, 2, 1)) + ONE_BYTE, TooLarge),
    ],
)
def test_what_is_no_packed_mask_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        unpack(data)


def test_a_bomb_is_not_inflated() -> None:
    bomb = header() + zlib.compress(bytes(1 << 24))
    with pytest.raises(HeaderInvalid, match="longer"):
        unpack(bomb)
