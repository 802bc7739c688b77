"""How the C library shares memory among threads."""

import ctypes
import sys
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""``malloc.h`` of glibc."""

_ARENAS: Final = 2


def share_memory_among_threads() -> None:
    """Let all threads of this process share two of glibc's arenas, in place of one each.

    Every arena keeps what its threads freed: with some forty threads that take turns with arrays of
    megabytes, the process grows for half an hour. Other C libraries are left as they are.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
