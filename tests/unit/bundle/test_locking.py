"""One at a time writes into a bundle's folder, or a run's."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sammoe.bundle import locking
from sammoe.bundle.locking import LOCK_NAME, claimed, contents, locked
from sammoe.errors import BundleInvalid, Conflict


def test_a_second_writer_waits_and_is_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.2)
    with locked(tmp_path):
        with pytest.raises(Conflict, match="has been writing into"), locked(tmp_path):
            pytest.fail("two at once")
        assert contents(tmp_path) == []
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each adds one to a number in a file, by reading and writing it."""
    monkeypatch.setattr(locking, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(locking, "_POLL_SECONDS", 0.001)
    number = tmp_path / "number"
    number.write_text("0")

    def count() -> None:
        for _ in range(5):
            with locked(tmp_path):
                number.write_text(str(int(number.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert number.read_text() == "20"


def test_a_second_command_is_refused_at_once(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "expert"
    with claimed(run):
        before = time.monotonic()
        with pytest.raises(Conflict, match=f"another command is writing into {run}"), claimed(run):
            pytest.fail("two at once")
        assert time.monotonic() - before < 1
    with claimed(run):
        pass
    assert list(run.iterdir()) == []


_FORK = """r, w = os.pipe()
 if not os.fork(): os.write(w, b"."); sys.stdin.read(); os._exit(0)
 os.read(r, 1)"""


@pytest.mark.parametrize("child", ["", _FORK])
def test_a_process_that_was_killed_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str
) -> None:
    """Not by a child of it either, that has not noticed yet."""
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.0)
    program = (
        "import os, sys; from pathlib import Path; from sammoe.bundle.locking import locked\n"
        f"with locked(Path(sys.argv[1])):\n {child}\n print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        with pytest.raises(Conflict), locked(tmp_path):
            pytest.fail("two at once")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK_NAME).exists()
        with locked(tmp_path):
            pass


def test_where_nothing_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleInvalid, match="nowhere is no folder"), locked(tmp_path / "nowhere"):
        pytest.fail("no folder")

    def without_locks(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(OSError, match="No locks available") as raised, locked(tmp_path):
        pytest.fail("no lock")
    assert raised.value.filename == str(tmp_path / LOCK_NAME)
    # A run's folder may lie there all the same.
    with claimed(tmp_path / "run"):
        assert not list((tmp_path / "run").iterdir())
