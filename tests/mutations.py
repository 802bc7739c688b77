"""Damaged scans: files with bytes changed, taken away, repeated or cut; equal for equal seeds."""

import gzip
import io
import random
import zipfile
from collections.abc import Iterator
from functools import cache

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests import scans
from tests.series import Series, as_bytes, changed, compressed, ct, enhanced, pixels_of, series

_SHAPE = (40, 36, 6)
_POISON = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\x01\0\0\0",
    b"\0\0\xc0\x7f",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\xdd\xe0",
    b"\xe0\x7f\x10\x00",
    b"SQ\0\0\xff\xff\xff\xff",
    b"nan ",
    b"-1e9",
    b"1e999",
    b"\\\\\\\\",
)
_MAX_EDITS = 6


def damaged_files(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many damaged uploads, each with the name of the kind it was made from."""
    rng = random.Random(seed)
    kinds = sorted(_kinds())
    for number in range(count):
        kind = kinds[number % len(kinds)]
        files = list(_kinds()[kind])
        victim = rng.randrange(len(files))
        files[victim] = _damaged(files[victim], rng)
        whole = files[0] if len(files) == 1 else _zipped(files)
        # The archive itself, too, now and then.
        yield kind, _damaged(whole, rng) if len(files) > 1 and rng.random() < 0.1 else whole


def _damaged(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, _MAX_EDITS)):
        # Headers are where it hurts most.
        reach = len(out) if rng.random() < 0.4 else min(len(out), 2500)
        at, length = rng.randrange(max(1, reach)), rng.randint(1, 64)
        match rng.randrange(7):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                poison = rng.choice(_POISON)
                out[at : at + len(poison)] = poison
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = rng.randbytes(length)
            case 4:
                out[at:at] = out[at : at + length]
            case 5:
                out[at : at + length] = rng.randbytes(length)
            case _ if rng.random() < 0.3:
                del out[at:]
    return bytes(out)


def _zipped(files: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, data in enumerate(files):
            archive.writestr(str(number), data)
    return file.getvalue()


@cache
def _kinds() -> dict[str, tuple[bytes, ...]]:
    """Sound uploads: the files of each."""
    voxels = ct(_SHAPE)
    plain = series(voxels)

    def in_syntax(syntax: str) -> Series:
        def change(k: int, one: object) -> None:
            one.file_meta.TransferSyntaxUID = syntax  # type: ignore[attr-defined]
            if syntax == ExplicitVRBigEndian:
                big = pixels_of(one).astype(">u2")  # type: ignore[arg-type]
                one.PixelData = big.tobytes()  # type: ignore[attr-defined]

        return changed(plain, change)

    made = {
        "explicit": plain,
        "implicit": in_syntax(ImplicitVRLittleEndian),
        "big-endian": in_syntax(ExplicitVRBigEndian),
        "deflated": in_syntax(DeflatedExplicitVRLittleEndian),
        "JPEG 2000": compressed(plain, JPEG2000Lossless),
        "JPEG-LS": compressed(plain, JPEGLSLossless),
        "RLE": compressed(plain, RLELossless),
        "enhanced": enhanced(voxels),
        "enhanced JPEG-LS": compressed(enhanced(voxels), JPEGLSLossless),
    }
    kinds = {kind: tuple(map(as_bytes, files)) for kind, files in made.items()}
    kinds["NIfTI"] = (scans.as_nifti(voxels, np.diag([-1.0, 1, 2, 1])),)
    kinds["NIfTI gzip"] = (gzip.compress(kinds["NIfTI"][0], 1, mtime=0),)
    return kinds
