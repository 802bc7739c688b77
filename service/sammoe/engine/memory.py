"""Memory that the C library keeps after it was freed."""

import ctypes
import sys
from contextlib import suppress


def give_back_freed() -> None:
    """Give the system what this process has freed; other C libraries than glibc do as they like.

    Reading a graph takes about as much as its weights for a moment, in pieces between which other
    things stay: with many graphs, a fifth of their weights would stay with glibc for good.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
