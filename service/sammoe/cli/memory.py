"""How the C library keeps memory, and shares it among threads."""

import ctypes
import sys
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""``malloc.h`` of glibc."""

_ARENAS: Final = 1
_MASK_BYTES: Final = 32 << 20
"""Arrays up to this size, which most masks are, come from memory that is kept: glibc's limit."""
_KEPT_BYTES: Final = 64 << 20
"""How much freed memory is kept at its end."""


def tune_malloc() -> None:
    """Let all threads of this process share one arena of glibc, and keep what clicks free.

    By itself every thread has an arena that keeps what the thread freed: with some forty that take
    turns with arrays of megabytes, the process grows for half an hour. And what each click takes
    and frees again is given back to the system meanwhile, which clears it for the next: a twentieth
    of a click. Other C libraries are left as they are.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            tune = ctypes.CDLL(None).mallopt
            tune(_M_ARENA_MAX, _ARENAS)
            tune(_M_MMAP_THRESHOLD, _MASK_BYTES)
            tune(_M_TRIM_THRESHOLD, _KEPT_BYTES)
