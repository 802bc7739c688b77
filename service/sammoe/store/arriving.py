"""Files that arrive in pieces: written, counted and digested on the way, by other threads."""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from sammoe.errors import TooLarge
from sammoe.store.files import storage_errors
from sammoe.store.records import files_digest

_WRITE_BYTES: Final = 1 << 20
"""Pieces are gathered up to this before a thread writes them."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived.

    Attributes
    ----------
    path
        Where it is for now: a file, or a folder of them where there are several (or none).
    digest
        SHA-256 (hex) of the file's bytes; `files_digest` of several.
    size
        Bytes of all files.
    files
        How many there are.
    """

    path: Path
    digest: str
    size: int
    files: int


@asynccontextmanager
async def arriving(
    pieces: AsyncIterator[tuple[int, bytes]], folder: Path, limit: int
) -> AsyncIterator[Arrived]:
    """Receive files; they are on the disk as long as the context lasts.

    Parameters
    ----------
    pieces
        Number of a file, from 0 and ascending, and bytes of it. Even an empty piece makes a file.
    folder
        Where files lie meanwhile: the store's, so that nothing is left after a crash.
    limit
        Largest size of all files together, bytes.

    Raises
    ------
    TooLarge
        More came; nothing is left behind.
    StoreUnavailable
        The disk is full or failed.
    """
    with storage_errors():
        place = await asyncio.to_thread(_new_folder, folder)
    sinks: list[_Sink] = []
    try:
        size = 0
        async for number, piece in pieces:
            if number == len(sinks):
                await _close(sinks)
                sinks.append(await _Sink.open(place / str(number)))
            size += len(piece)
            if size > limit:
                raise TooLarge(f"A scan may have at most {limit} bytes.")
            await sinks[number].add(piece)
        await _close(sinks)
        digests = [sink.digest.hexdigest() for sink in sinks]
        if len(digests) == 1:
            yield Arrived(place / "0", digests[0], size, 1)
        else:
            yield Arrived(place, files_digest(digests), size, len(digests))
    finally:
        if sinks:
            sinks[-1].abandon()
        await asyncio.to_thread(shutil.rmtree, place, True)


def _new_folder(parent: Path) -> Path:
    path = parent / f"arriving-{secrets.token_hex(8)}"
    path.mkdir()
    return path


async def _close(sinks: "list[_Sink]") -> None:
    if sinks:
        await sinks[-1].close()


class _Sink:
    """A file that gathers bytes, and writes and digests them in another thread."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._pending = bytearray()
        self.digest = hashlib.sha256()

    @classmethod
    async def open(cls, path: Path) -> "_Sink":
        with storage_errors():
            # Unbuffered: what a full disk did not take must not come up again when closing.
            return cls(await asyncio.to_thread(path.open, "xb", buffering=0))

    async def add(self, piece: bytes) -> None:
        self._pending += piece
        if len(self._pending) >= _WRITE_BYTES:
            with storage_errors():
                await asyncio.to_thread(self._write)

    async def close(self) -> None:
        with storage_errors():
            await asyncio.to_thread(self._finish)

    def abandon(self) -> None:
        self._file.close()

    def _finish(self) -> None:
        self._write()
        self._file.close()

    def _write(self) -> None:
        data, self._pending = bytes(self._pending), bytearray()
        self.digest.update(data)
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])
