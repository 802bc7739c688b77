"""Whatever the bytes are, a reader answers with a scan or with a refusal."""

import gzip

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sammoe.errors import SammoeError
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import cut
from sammoe.volume.reading import read_volume
from tests.unit.volume.files import VOXELS, nifti, nrrd

LIMITS = ReadLimits(max_voxels=10_000, max_bytes=100_000)
FLOATS = VOXELS.astype(np.float32)
SEEDS = [
    nifti(),
    nifti(order=">"),
    nifti(version=2),
    nifti(sform_code=0, qform_code=1),
    nifti(FLOATS, scl_slope=2),
    nrrd(),
    nrrd(FLOATS),
]
PACKED = pack(cut(np.ones((3, 4, 5), dtype=np.bool_)), Geometry((9, 9, 9), np.eye(4)))
# Values that break arithmetic: limits of integers, and floats that are no number or overflow.
POISON = [
    bytes(4),
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x00\x00\xc0\x7f",
    b"\x00\x00\x80\x7f",
    b"\xff\xff\x7f\x7f",
    b"\xff\xff\xbf\x7f",
    b"\x7f\xbf\xff\xff",
    b"\x01\x00\x00\x00",
    b"\x7f\xef\xff\xff",
]
Edit = tuple[int, bytes]
edits = st.lists(
    st.tuples(
        st.integers(0, 560), st.one_of(st.sampled_from(POISON), st.binary(min_size=1, max_size=8))
    ),
    max_size=6,
)


def damaged(seed: bytes, changes: list[Edit], kept: int | None) -> bytes:
    data = bytearray(seed)
    for at, new in changes:
        data[at : at + len(new)] = new
    return bytes(data[:kept])


def refused_or_read(data: bytes) -> None:
    try:
        volume = read_volume(data, limits=LIMITS)
    except SammoeError:
        return
    assert np.isfinite(volume.voxels).all()
    assert np.isfinite(volume.geometry.affine).all()


@settings(max_examples=400)
@given(st.sampled_from(SEEDS), edits, st.none() | st.integers(0, 700), st.booleans())
@example(SEEDS[0], [(280, b"\xff\xff\x7f\x7f" * 2)], None, False)
@example(SEEDS[1], [(305, b"\xff\xff\xff\xff")], None, False)
@example(SEEDS[4], [(360, b"\xff\xff\xbf\x7f")], None, False)
@example(SEEDS[2], [(400, b"\xff\xff\xff\xff\xff\xff\xef\x7f")], None, False)
def test_damaged_files_are_read_or_refused(
    seed: bytes, changes: list[Edit], kept: int | None, zipped: bool
) -> None:
    data = damaged(seed, changes, kept)
    refused_or_read(gzip.compress(data) if zipped else data)


@given(edits, st.none() | st.integers(0, 200))
def test_damaged_gzip_is_read_or_refused(changes: list[Edit], kept: int | None) -> None:
    refused_or_read(damaged(gzip.compress(SEEDS[0], mtime=0), changes, kept))


@given(st.binary(max_size=600))
def test_noise_is_refused(data: bytes) -> None:
    for start in (b"", b"NRRD0004\n", b"\x1f\x8b", SEEDS[0][:348]):
        refused_or_read(start + data)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=12))
def test_nrrd_headers_of_any_text_are_read_or_refused(lines: list[str]) -> None:
    header = "\n".join(["NRRD0004", *lines])
    refused_or_read(header.encode() + b"\n\n" + bytes(240))
    refused_or_read(nrrd(lines=[line.replace("\n", " ") for line in lines]))


@settings(max_examples=300)
@given(edits, st.none() | st.integers(0, 100))
def test_damaged_packed_masks_are_read_or_refused(changes: list[Edit], kept: int | None) -> None:
    changes = [(at % 70, new) for at, new in changes]
    try:
        pasted, shape = unpack(damaged(PACKED, changes, kept))
    except SammoeError:
        return
    box = zip(pasted.offset, pasted.mask.shape, shape, strict=True)
    assert all(offset + length <= side for offset, length, side in box)
