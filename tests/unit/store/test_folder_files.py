"""Files in a folder."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.store.files import Files
from sammoe.store.folder_files import FolderFiles
from tests.files_contract import *  # noqa: F403


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Files]]:
    """As two processes see one folder."""
    both: list[Files] = [FolderFiles(tmp_path), FolderFiles(tmp_path)]
    yield both
    for files in both:
        files.close()


def test_failed_write_leaves_the_old_and_nothing_else(places: list[Files], tmp_path: Path) -> None:
    places[0].write("record", [b"old"])

    def pieces() -> Iterator[bytes]:
        yield b"half of the new"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        places[0].write("record", pieces())
    assert (tmp_path / "record").read_bytes() == b"old"
    left = [path for path in tmp_path.glob("tmp/*/*") if path.name != "lock"]
    assert left == []


def test_file_to_be_taken_over_must_be_there(places: list[Files], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        places[0].adopt("a/record", tmp_path / "nothing")
