"""Local copies of large files, among threads that fetch, drop and forget them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sammoe.store.copies import Copies

SECONDS = 20.0


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    """Room for two files of a hundred bytes."""
    return Copies(tmp_path / "copies", 250)


def content(size: int = 100) -> Callable[[Path], None]:
    """Fetches so many bytes."""
    return lambda file: _write(file, size)


def _write(file: Path, size: int) -> None:
    with file.open("xb") as stream:
        stream.write(b"x" * size)


def refuse(file: Path) -> None:
    """It should have been there."""
    raise AssertionError


def test_a_copy_is_fetched_once_and_the_least_used_goes(copies: Copies) -> None:
    for path in ("a", "b"):
        copies.get(path, content())
    copies.get("a", refuse)
    copies.get("c", content())
    assert copies.get("a", refuse).read_bytes() == b"x" * 100
    with pytest.raises(AssertionError):
        copies.get("b", refuse)


def test_of_many_at_once_one_fetches(copies: Copies) -> None:
    fetched = []

    def fetch(file: Path) -> None:
        fetched.append(file)
        _write(file, 100)

    with ThreadPoolExecutor(16) as pool:
        places = list(pool.map(lambda _: copies.get("a", fetch), range(64)))
    assert len(fetched) == 1
    assert len(set(places)) == 1


def test_a_copy_that_is_dropped_while_others_wait_for_it_is_fetched_by_one_of_them(
    copies: Copies,
) -> None:
    """One holds the turn and has just made the copy when another drops it; a third wants it too."""
    made, dropped = threading.Event(), threading.Event()
    adopt = copies.adopt

    def slowly(path: str, file: Path) -> Path:
        kept = adopt(path, file)
        if path == "a" and not dropped.is_set():
            made.set()
            assert dropped.wait(SECONDS)
        return kept

    copies.adopt = slowly  # type: ignore[method-assign]
    running, most, lock = 0, 0, threading.Lock()

    def fetch(file: Path) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        _write(file, 100)
        with lock:
            running -= 1

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(copies.get, "a", fetch)
        assert made.wait(SECONDS)
        second = pool.submit(copies.get, "a", fetch)
        for path in ("b", "c"):
            copies.get(path, content())  # for want of room, "a" goes
        third = pool.submit(copies.get, "a", fetch)
        dropped.set()
        for call in (first, second, third):
            call.result(SECONDS)
    assert most == 1
    assert copies._turns == {}


def test_what_is_forgotten_while_it_is_fetched_is_not_kept(copies: Copies) -> None:
    def fetch(file: Path) -> None:
        copies.forget("a")
        _write(file, 100)

    assert not copies.get("a", fetch).exists()
    assert copies.get("a", content()).exists()


def test_a_fetch_that_fails_leaves_nothing(copies: Copies, tmp_path: Path) -> None:
    def fail(file: Path) -> None:
        _write(file, 50)
        raise OSError(5, "input or output error")

    with pytest.raises(OSError, match="input or output"):
        copies.get("a", fail)
    assert list((tmp_path / "copies").iterdir()) == []
    assert copies.get("a", content()).exists()
