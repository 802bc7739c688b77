"""Unfinished files, and failures of the disk."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store.files import storage_errors
from sammoe.store.scratch import Scratch, locked, make_folder


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    scratch = Scratch(tmp_path)
    yield scratch
    scratch.close()


def left(tmp_path: Path) -> list[Path]:
    """What lies in scratch folders, locks apart."""
    return [path for path in tmp_path.glob("tmp/*/*") if path.name != "lock"]


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
