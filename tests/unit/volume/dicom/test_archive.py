"""Zip archives: a scan is read, and whatever else is refused before it does harm."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import ArchiveInvalid, DicomInvalid, DicomNoImages, SammoeError, TooLarge
from sammoe.volume.dicom.archive import unpack_archive
from sammoe.volume.dicom.series import read_series
from sammoe.volume.limits import ReadLimits
from sammoe.volume.volume import Volume
from tests.series import as_bytes, ct, series

CT = ct()
FILES = [as_bytes(one) for one in series(CT)]


def packed(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


SCAN = packed(*((f"study/{k}.dcm", data) for k, data in enumerate(FILES)))


def link() -> bytes:
    entry = zipfile.ZipInfo("scan")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    return file.getvalue()


def encrypted() -> bytes:
    data = bytearray(packed(("a", b"hello")))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + at
        struct.pack_into("<H", data, place, 1)
    return bytes(data)


def lying() -> bytes:
    """Says that five bytes become a terabyte."""
    data = bytearray(packed(("a", b"hello")))
    place = data.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", data, place, 0xFFFFFFF0)
    return bytes(data)


def read(data: bytes, folder: Path, limits: ReadLimits | None = None) -> object:
    (folder / "scan.zip").write_bytes(data)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        return read_series(folder / "scan.zip", limits or ReadLimits(), scratch=scratch)
    finally:
        assert list(scratch.iterdir()) == []
        assert sorted(path.name for path in folder.iterdir()) == ["scan.zip", "scratch"]


def test_a_scan_is_read(tmp_path: Path) -> None:
    found = read(SCAN, tmp_path)

    assert np.array_equal(getattr(found, "voxels", None), CT)  # type: ignore[arg-type]


def test_what_macos_puts_beside_is_left_out_and_told(tmp_path: Path) -> None:
    beside = b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(100)
    entries = [(f"study/{k}.dcm", data) for k, data in enumerate(FILES)]
    entries += [(f"__MACOSX/study/._{k}.dcm", beside) for k in range(len(FILES))]
    entries += [("__MACOSX/other.dcm", beside), ("study/._0.DCM", beside)]
    for name, data in entries:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found = read_series(tmp_path / "folder", ReadLimits())
    archive = tmp_path / "archive"
    archive.mkdir()
    for volume in (found, read(packed(*entries), archive)):
        assert isinstance(volume, Volume)
        assert np.array_equal(volume.voxels, CT)
        (note,) = volume.notes
        assert note.code == "files_left_out"
        assert note.detail.startswith(f"{len(FILES) + 2} file(s)")


@pytest.mark.fault("S07")
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (packed(("../scan", FILES[0])), ArchiveInvalid),
        (packed(("a/../../scan", FILES[0])), ArchiveInvalid),
        (packed(("/etc/scan", FILES[0])), ArchiveInvalid),
        (packed(("C:\\scan", FILES[0])), ArchiveInvalid),
        (packed(("..\\scan", FILES[0])), ArchiveInvalid),
        (packed(("inner.zip", SCAN)), ArchiveInvalid),
        (packed(("inner", SCAN)), ArchiveInvalid),
        (packed(("a", FILES[0]), method=zipfile.ZIP_LZMA), ArchiveInvalid),
        (link(), ArchiveInvalid),
        (encrypted(), ArchiveInvalid),
        (SCAN[:-200], ArchiveInvalid),
        (SCAN[: len(SCAN) // 2], ArchiveInvalid),
        (b"PK\x03\x04" + bytes(100), ArchiveInvalid),
        (lying(), TooLarge),
        (packed(("a", bytes(1 << 29))), TooLarge),
        (packed(("readme.txt", b"hello")), DicomNoImages),
        (packed(("scan.dcm", b"hello")), DicomInvalid),
        (packed(), DicomNoImages),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.__name__,
)
def test_everything_else_is_refused(data: bytes, error: type[SammoeError], tmp_path: Path) -> None:
    with pytest.raises(error):
        read(data, tmp_path, ReadLimits(max_voxels=10_000, max_bytes=1 << 20))


def test_damage_within_an_entry_is_noticed(tmp_path: Path) -> None:
    data = bytearray(SCAN)
    data[len(data) // 2] ^= 0xFF

    with pytest.raises(ArchiveInvalid):
        read(bytes(data), tmp_path)


@pytest.mark.fault("S07")
def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sammoe.volume.dicom.archive._MAX_ENTRIES", 3)
    (tmp_path / "scan.zip").write_bytes(SCAN)

    with pytest.raises(TooLarge, match="3 files"):
        unpack_archive(tmp_path / "scan.zip", tmp_path, ReadLimits())
