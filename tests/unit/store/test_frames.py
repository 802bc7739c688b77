"""Header and payload in one file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store.folder_files import FolderFiles
from sammoe.store.frames import frame, read_frame, read_header

HEADER = b'{"a": 1}'


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FolderFiles]:
    """An empty folder."""
    files = FolderFiles(tmp_path)
    yield files
    files.close()


@pytest.fixture
def file(files: FolderFiles, tmp_path: Path) -> Path:
    """A file with a header and a payload of two pieces."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(frame(HEADER, [np.arange(3, dtype="<f4").data, b"tail"])))
    return path


def test_round_trip(files: FolderFiles, file: Path) -> None:
    assert read_header(files, "file") == HEADER
    header, payload = read_frame(files, "file")
    assert header == HEADER
    assert bytes(payload) == np.arange(3, dtype="<f4").tobytes() + b"tail"


def test_documented_layout(file: Path) -> None:
    content = file.read_bytes()
    assert content[:8] == b"SAMMOE\x00\x01"
    assert int.from_bytes(content[8:12], "little") == len(HEADER)
    assert int.from_bytes(content[16:24], "little") == 16
    assert content[28:36] == HEADER
    assert len(content) == 28 + len(HEADER) + 16


def test_payload_may_be_empty(files: FolderFiles, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"".join(frame(HEADER, [b""])))
    header, payload = read_frame(files, "file")
    assert (header, bytes(payload)) == (HEADER, b"")


def test_every_flipped_bit_is_noticed(files: FolderFiles, file: Path) -> None:
    whole = file.read_bytes()
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 0x10
        file.write_bytes(broken)
        with pytest.raises(StoreUnavailable, match="damaged"):
            read_frame(files, "file")


def test_every_cut_and_addition_is_noticed(files: FolderFiles, file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(StoreUnavailable, match="damaged"):
            read_frame(files, "file")
    file.write_bytes(whole + b"x")
    with pytest.raises(StoreUnavailable, match="damaged"):
        read_frame(files, "file")


def test_damaged_header_is_noticed_without_the_payload(files: FolderFiles, file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[30] ^= 1
    file.write_bytes(whole)
    with pytest.raises(StoreUnavailable, match="damaged"):
        read_header(files, "file")
    file.write_bytes(whole[:30])
    with pytest.raises(StoreUnavailable, match="damaged"):
        read_header(files, "file")


def test_header_may_be_long(files: FolderFiles, tmp_path: Path) -> None:
    long = b'{"a": "' + b"b" * 50_000 + b'"}'
    (tmp_path / "file").write_bytes(b"".join(frame(long, [b"tail"])))
    assert read_header(files, "file") == long
