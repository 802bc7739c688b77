"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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
