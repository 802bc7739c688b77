"""The C library's arenas."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading
from sammoe.cli.memory import share_memory_among_threads

share_memory_among_threads()
barrier = threading.Barrier(12)


def work():
    kept = [bytearray(1000) for _ in range(1000)]
    barrier.wait()
    return kept


threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_share_two_arenas() -> None:
    def arenas(program: str) -> int:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.count("Arena ")

    assert arenas(PROGRAM) == 2
    assert arenas(PROGRAM.replace("share_memory_among_threads()\n", "\n")) > 2
