"""Files that are there whole or not at all, and what reading a damaged one may raise."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, Final
from zipfile import BadZipFile

NPZ_DAMAGE: Final = (
    BadZipFile,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TokenError,
    ValueError,
    zlib.error,
)
"""What numpy and `zipfile` answer a damaged .npz with."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream into a file beside ``path``, which takes its place in the end.

    Raises
    ------
    OSError
        It can not be written: no room is left, for one. It names ``path``, which stays as it was.
    """
    # Others may write the same one just now.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # the error above says more
            temporary.unlink(missing_ok=True)
