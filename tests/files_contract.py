"""What every place for the store's files must do; run for each by the modules that import it.

They give the fixture ``places``: two views of one empty place, as two processes have.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from sammoe.store.files import Files

Places = Sequence[Files]


def test_what_one_writes_the_other_reads(places: Places) -> None:
    here, there = places
    here.write("a/b/record", [b"old, ", memoryview(b"and long")])
    assert there.read("a/b/record") == b"old, and long"
    there.write("a/b/record", [b"new"])
    assert here.read("a/b/record") == b"new"
    assert here.exists("a/b/record")
    here.write("a/b/empty", [])
    assert there.read("a/b/empty") == b""


def test_start_of_a_file(places: Places) -> None:
    here, there = places
    here.write("record", [b"0123456789"])
    assert there.read_start("record", 4) == b"0123"
    assert there.read_start("record", 40) == b"0123456789"


def test_what_is_missing_is_not_found(places: Places) -> None:
    here, _ = places
    here.write("a/d", [b"x"])
    for path in ("a/c", "a/b/c", "b"):
        for read in (here.read, here.read_versioned, lambda path: here.read_start(path, 1)):
            with pytest.raises(FileNotFoundError):
                read(path)
        with pytest.raises(FileNotFoundError):
            here.local(path).open()
        assert not here.exists(path)
    assert here.names("c") == []
    assert list(here.entries("c")) == []
    here.remove("a/c")
    here.remove_all("c")


def test_creating_never_replaces(places: Places) -> None:
    here, there = places
    assert here.create("a/record", [b"fir", b"st"])
    assert not there.create("a/record", [b"second"])
    assert there.read("a/record") == b"first"
    # Who lost the answer to a write asks again.
    assert here.create("a/record", [b"first"])
    here.remove("a/record")
    assert there.create("a/record", [b"second"])


def test_of_many_who_create_one_does(places: Places) -> None:
    made = together(places, lambda files, content: files.create("record", [content]))
    assert len(made) == 1
    assert places[0].read("record") == made[0]


def test_replacing_needs_the_version(places: Places) -> None:
    here, there = places
    here.write("record", [b"1"])
    read = there.read_versioned("record")
    assert read.content == b"1"
    assert there.read_versioned("record").version == read.version
    assert there.replace("record", [b"2"], read.version)
    assert not here.replace("record", [b"3"], read.version)
    assert here.read("record") == b"2"
    assert here.replace("record", [b"2"], read.version)
    latest = here.read_versioned("record").version
    assert latest != read.version
    here.remove("record")
    assert not here.replace("record", [b"4"], latest)
    assert not there.exists("record")


def test_of_many_who_replace_one_does(places: Places) -> None:
    places[0].write("record", [b"before"])
    version = places[0].read_versioned("record").version
    made = together(places, lambda files, content: files.replace("record", [content], version))
    assert len(made) == 1
    assert places[0].read("record") == made[0]


def together(places: Places, deed: object) -> list[bytes]:
    """Contents of those, of eight with different ones, that got True."""
    assert callable(deed)
    made: list[bytes] = []
    start = threading.Barrier(8)

    def one(number: int) -> None:
        content = b"content %d" % number
        start.wait()
        if deed(places[number % 2], content):
            made.append(content)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def test_a_finished_file_is_taken_over(places: Places) -> None:
    here, there = places
    content = bytes(range(256)) * (80 << 10)  # 20 MiB: in parts, where there are parts.
    unfinished = here.temporary_folder / "unfinished"
    unfinished.write_bytes(content)
    here.adopt("a/large", unfinished)
    assert not unfinished.exists()
    for files in (here, there, there):
        assert files.local("a/large").read_bytes() == content
    assert there.read_start("a/large", 1000) == content[:1000]
    there.forget("a/large")
    assert there.local("a/large").read_bytes() == content
    here.remove("a/large")
    there.forget("a/large")
    with pytest.raises(FileNotFoundError):
        there.local("a/large").open()


def test_lists(places: Places) -> None:
    here, there = places
    for path in ("a/1", "a/2", "a/b/3", "ab/4", "a/b/c/5"):
        here.write(path, [path.encode()])
    assert sorted(there.names("a")) == ["1", "2", "b"]
    assert sorted(there.names("a/b")) == ["3", "c"]
    entries = sorted(there.entries("a"), key=lambda entry: entry.path)
    assert [entry.path for entry in entries] == ["a/1", "a/2", "a/b/3", "a/b/c/5"]
    assert [entry.size for entry in entries] == [3, 3, 5, 7]
    age = datetime.now(UTC) - entries[0].modified
    assert abs(age) < timedelta(minutes=1)


def test_lists_are_of_now(places: Places) -> None:
    here, there = places
    for number in range(3):
        here.write(f"a/{number}", [b"x"])
        assert len(there.names("a")) == number + 1
        assert len(list(there.entries("a"))) == number + 1
    there.remove("a/1")
    assert sorted(here.names("a")) == ["0", "2"]


def test_removing_leaves_no_folder(places: Places) -> None:
    here, there = places
    for path in ("a/b/1", "a/b/c/2", "a/d/3", "e/4"):
        here.write(path, [b"x"])
    there.remove_all("a/b")
    assert here.names("a") == ["d"]
    here.remove("a/d/3")
    assert "a" not in there.names("")
    assert there.read("e/4") == b"x"


def test_writing_to_a_folder_that_comes_and_goes(places: Places) -> None:
    """A folder is there while files are in it, whoever else removes them at the same time."""
    here, there = places
    failures: list[BaseException] = []

    def write_and_remove(files: Files, name: str) -> None:
        try:
            for _ in range(100):
                files.write(f"a/b/{name}", [b"x"])
                assert files.read(f"a/b/{name}") == b"x"
                files.remove(f"a/b/{name}")
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=write_and_remove, args=(files, name))
        for files, name in ((here, "1"), (here, "2"), (there, "3"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_readiness(places: Places) -> None:
    for files in places:
        files.check()
        assert files.temporary_folder.is_dir()
    assert places[0].temporary_folder != places[1].temporary_folder
