"""Files that are there as a whole or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Scratch, locked, make_folder, storage_errors


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    scratch = Scratch(tmp_path)
    yield scratch
    scratch.close()


def left(tmp_path: Path) -> list[Path]:
    """What lies in scratch folders, locks apart."""
    return [path for path in tmp_path.glob("tmp/*/*") if path.name != "lock"]


def test_write_makes_and_replaces(scratch: Scratch, tmp_path: Path) -> None:
    target = tmp_path / "record"
    scratch.write(target, [b"old"])
    scratch.write(target, [b"ne", memoryview(b"w")])
    assert target.read_bytes() == b"new"
    assert left(tmp_path) == []


def test_write_new_never_replaces(scratch: Scratch, tmp_path: Path) -> None:
    target = tmp_path / "record"
    scratch.write_new(target, [b"old"])
    with pytest.raises(FileExistsError):
        scratch.write_new(target, [b"new"])
    assert target.read_bytes() == b"old"
    assert left(tmp_path) == []


def test_failed_write_leaves_the_old_and_nothing_else(scratch: Scratch, tmp_path: Path) -> None:
    target = tmp_path / "record"
    scratch.write(target, [b"old"])

    def pieces() -> Iterator[bytes]:
        yield b"half of the new"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        scratch.write(target, pieces())
    assert target.read_bytes() == b"old"
    assert left(tmp_path) == []


def test_discard_takes_a_folder_with_all_in_it(scratch: Scratch, tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").write_text("x")
    scratch.discard(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert left(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        scratch.discard(tmp_path / "a")


def test_start_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    dead, alive = Scratch(tmp_path), Scratch(tmp_path)
    for scratch in (dead, alive):
        scratch.path().write_text("half of a record")
    os.close(dead._lock)  # What the end of a process does.
    new = Scratch(tmp_path)
    assert not dead.folder.exists()
    assert alive.folder.exists()
    assert [path.parent for path in left(tmp_path)] == [alive.folder]
    alive.close()
    new.close()
    assert list(tmp_path.glob("tmp/*/*")) == []


def test_lock_is_free_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock"):
            pass


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "full"), (errno.EIO, "output")],
)
def test_failures_of_the_disk_are_named(number: int, words: str) -> None:
    with pytest.raises(StoreUnavailable, match=words), storage_errors():
        raise OSError(number, os.strerror(number))


def test_failure_without_words_is_named_too() -> None:
    with pytest.raises(StoreUnavailable, match="input or output"), storage_errors():
        raise OSError("60 requested and 0 written")
