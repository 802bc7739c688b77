"""A chain of the log as its process writes it: whole lines, file after file."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sammoe import __version__
from sammoe.audit.chains import file_of, head_of, heads_beside, set_aside, take_chain
from sammoe.audit.events import Event
from sammoe.audit.seals import Sealer, write_line

FLUSH_SECONDS: Final = 1.0
"""How long a line may be unflushed."""


class WrittenChain:
    """A chain that this process holds, and the file that it writes.

    Parameters
    ----------
    folder
        Of all chains; made when missing.
    sealer
        Seals lines.
    rotate_bytes
        After which a file is followed by the next.

    Raises
    ------
    OSError
        The disk does not do what it should.
    """

    def __init__(self, folder: Path, sealer: Sealer, rotate_bytes: int) -> None:
        self._sealer, self._rotate_bytes = sealer, rotate_bytes
        self._folder, self._lock = take_chain(folder)
        self._file, self._size = -1, 0
        self._unflushed, self._flushed = False, 0.0
        try:
            head = head_of(self._folder)
            set_aside(self._folder, head)
            self._n, self._seal = head.n, head.seal
            self._begin({"torn": head.torn} if head.torn else {})
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, said: list[dict[str, Any]]) -> None:
        """Write lines, all or none of them.

        Raises
        ------
        OSError
            Nothing of them is in the file.
        """
        if os.fstat(self._file).st_nlink == 0:
            # Somebody has removed the file: what comes goes into a new one. The gap will be seen.
            self._begin({})
        if self._size > self._rotate_bytes:
            self._flush()
            self._begin({})
        if said:
            self._write(said)

    def settle(self) -> None:
        """Flush what has been unflushed for long; raises ``OSError``."""
        if self._unflushed and time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def close(self) -> None:
        """Flush, and let the chain go."""
        with suppress(OSError):
            self._flush()
        os.close(self._file)
        os.close(self._lock)

    def _begin(self, more: Mapping[str, Any]) -> None:
        """Begin the next file, with a line that says what came before."""
        opened = Event("audit.opened", "success").said() | {
            "chain": self._folder.name,
            "program": __version__,
            "seals": self._sealer.name,
            "beside": heads_beside(self._folder),
            **more,
        }
        path = file_of(self._folder, self._n + 1)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        before = self._file, self._size, self._n, self._seal
        self._file, self._size = handle, 0
        try:
            self._write([opened])
            self._flush()
            _flush_folder(self._folder)
        except BaseException:
            os.close(handle)
            path.unlink(missing_ok=True)
            self._file, self._size, self._n, self._seal = before
            raise
        if before[0] >= 0:
            os.close(before[0])

    def _write(self, said: list[dict[str, Any]]) -> None:
        n, seal, pieces = self._n, self._seal, []
        for members in said:
            n += 1
            line, seal = write_line({"n": n, "previous": seal, **members}, self._sealer)
            pieces.append(line)
        content = b"".join(pieces)
        try:
            written = 0
            while written < len(content):
                written += os.pwrite(self._file, content[written:], self._size + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._n, self._seal = n, seal
        self._size += len(content)
        self._unflushed = True

    def _flush(self) -> None:
        os.fsync(self._file)
        self._unflushed, self._flushed = False, time.monotonic()


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
