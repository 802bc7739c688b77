"""The C library's memory."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading
from sammoe.cli.memory import tune_malloc

tune_malloc()
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
def test_threads_share_an_arena() -> None:
    def arenas(program: str) -> int:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.count("Arena ")

    assert arenas(PROGRAM) == 1
    assert arenas(PROGRAM.replace("tune_malloc()\n", "\n")) > 2


CLICKS = """
import resource, threading
import numpy as np
from sammoe.cli.memory import tune_malloc

tune_malloc()


def click():
    mask = np.empty(7 << 20, np.uint8)
    mask[:] = 1
    other = np.empty(7 << 20, np.uint8)
    other[:] = 1
    return other[::4].copy()


def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        threads = [threading.Thread(target=click) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


faults()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_clicks_free_is_kept_for_the_next() -> None:
    def faults(program: str) -> int:
        command = [sys.executable, "-c", program]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # Pages that the system cleared: the masks of twenty clicks have 70 000.
    assert faults(CLICKS) < 500
    assert faults(CLICKS.replace("tune_malloc()\n", "\n")) > 500
