"""What was freed goes back to the system, and not at the program's end alone."""

import sys
from pathlib import Path

import pytest

from sammoe.engine.memory import give_back_freed


def resident() -> int:
    """Pages of 4 KiB, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) >> 8


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_was_freed_goes_back() -> None:
    # Of pieces of 64 KiB some stay, so that the heap can not shrink from its end.
    pieces = [bytes(1 << 16) for _ in range(2000)]
    kept = [*pieces[::1000], pieces[-1]]
    pieces.clear()
    before = resident()
    give_back_freed()
    assert before - resident() > 60
    assert len(kept) == 3
