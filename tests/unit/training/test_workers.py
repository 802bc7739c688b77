"""Processes that share a command's work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sammoe.training.workers import work_force

_COMMAND = """
import sys, time
from sammoe.training.workers import work_force
from tests.unit.training.test_workers import hear, note

if __name__ == "__main__":
    hear()
    with work_force(2, note, sys.argv[1]) as pool:
        waiting = [pool.submit(time.sleep, 600) for _ in range(2)]
        note(sys.argv[1])
        waiting[0].result()
"""

_TAKING = """
import sys, time
from sammoe.training.workers import work_force
from tests.unit.training.test_workers import hear, note


def results():
    with work_force(2, note, sys.argv[1]) as pool:
        waiting = [pool.submit(time.sleep, 600) for _ in range(4)]
        yield waiting


if __name__ == "__main__":
    hear()
    for _ in results():
        note(sys.argv[1])
        time.sleep(600)
"""
_LOADING = """
import os, pathlib, sys, time

if __name__ == "__mp_main__":
    (pathlib.Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)
"""


def note(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()


def hear() -> None:
    """Of interruptions, also where the tests run in a shell's background, which hears none."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def square(number: int) -> int:
    return number**2


def test_work_is_shared(tmp_path: Path) -> None:
    with work_force(2, note, str(tmp_path)) as pool:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
    assert list(tmp_path.iterdir())
    with work_force(1) as pool:
        assert pool.submit(square, 3).result() == 9


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_is_left_when_the_command_is_killed(tmp_path: Path, blow: signal.Signals) -> None:
    script, folder = tmp_path / "command.py", tmp_path / "workers"
    script.write_text(_COMMAND)
    folder.mkdir()
    words = [sys.executable, str(script), str(folder)]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}) as command:
        until(lambda: len(list(folder.iterdir())) == 3)
        command.send_signal(blow)
    workers = [int(found.name) for found in folder.iterdir()]
    until(lambda: not any(map(is_alive, workers)))


@pytest.mark.parametrize(
    "script", [_COMMAND, _LOADING + _COMMAND, _TAKING], ids=["working", "loading", "taking"]
)
def test_workers_say_nothing_of_an_interruption(tmp_path: Path, script: str) -> None:
    path, folder = tmp_path / "command.py", tmp_path / "workers"
    path.write_text(script)
    folder.mkdir()
    words = [sys.executable, str(path), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as command:
        # Also by the command: an interruption that meets it half way through a start may be lost.
        until(lambda: len(list(folder.iterdir())) == 3)
        os.killpg(command.pid, signal.SIGINT)
        _, said = command.communicate(timeout=60)
    assert said.count("Traceback") == 1  # the command's own, which `sammoe` does not print
    assert said.rstrip().endswith("KeyboardInterrupt")
    workers = [int(found.name) for found in folder.iterdir()]
    until(lambda: not any(map(is_alive, workers)))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """A zombie, whom nobody has waited for yet, is not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
