"""Receiving a scan: streamed to temporary files, counted and digested on the way.

Two forms: a file's bytes as the body (``application/octet-stream``), or the file parts of
``multipart/form-data``, as browsers and ``curl -F`` send them: one, or all of a DICOM series. A
file's name is never kept.
"""

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

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from sammoe.api.bodies import read_pieces, require_type
from sammoe.errors import MalformedBody, TooLarge
from sammoe.store.files import storage_errors
from sammoe.store.records import files_digest

OCTETS: Final = "application/octet-stream"
FORM: Final = "multipart/form-data"

_FRAMING_BYTES: Final = 8 << 20
"""What multipart boundaries and part headers may add to the files."""

_MAX_PARTS: Final = 1 << 15
"""Files in one form: as many as a volume may have slices."""

_WRITE_BYTES: Final = 1 << 20
"""Pieces are gathered up to this before a thread writes them."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What was received.

    Attributes
    ----------
    path
        Where it is for now: a file, or a folder of them where there were several.
    digest
        SHA-256 (hex) of the file's bytes; `files_digest` of several.
    size
        Bytes of all files.
    """

    path: Path
    digest: str
    size: int


@asynccontextmanager
async def received(request: Request, folder: Path, limit: int) -> AsyncIterator[Upload]:
    """The request's file or files, on the disk as long as the context lasts.

    Parameters
    ----------
    request
        Its body has one of the two forms.
    folder
        Where files lie meanwhile: the store's, so that nothing is left after a crash.
    limit
        Largest size of all files together, bytes.

    Raises
    ------
    UnsupportedMediaType, TooLarge, MalformedBody, RequestTimeout
        The request is refused; nothing is left behind.
    StoreUnavailable
        The disk is full or failed.
    """
    media_type = require_type(request, OCTETS, FORM)
    if media_type == FORM:
        form = _FileParts(request.headers["content-type"])
        pieces = form.pieces(read_pieces(request, limit + _FRAMING_BYTES))
    else:
        pieces = _only_file(read_pieces(request, limit))
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
        if not size:
            raise MalformedBody("The body is empty: send the scan's bytes.")
        digests = [sink.digest.hexdigest() for sink in sinks]
        if len(digests) == 1:
            yield Upload(place / "0", digests[0], size)
        else:
            yield Upload(place, files_digest(digests), size)
    finally:
        if sinks:
            sinks[-1].abandon()
        await asyncio.to_thread(shutil.rmtree, place, True)


def _new_folder(parent: Path) -> Path:
    path = parent / f"upload-{secrets.token_hex(8)}"
    path.mkdir()
    return path


async def _only_file(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    async for piece in pieces:
        yield 0, piece


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


class _FileParts:
    """The parts of a form, all of which must be files; everything else is refused."""

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedBody("The Content-Type of a form needs a boundary.")
        self._parts = 0
        self._ended = False
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""
        self._data: list[tuple[int, bytes]] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise MalformedBody("The form's boundary is too long.") from None

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
        """The files' bytes out of the form's bytes, with the number of the file."""
        async for piece in body:
            try:
                self._parser.write(piece)
            except FormParserError:
                raise MalformedBody("The form can not be read.") from None
            data, self._data = self._data, []
            for numbered in data:
                yield numbered
        if not (self._ended and self._parts):
            raise MalformedBody("The form ends too early.")

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise TooLarge(f"A form may have at most {_MAX_PARTS} files.")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _on_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _on_headers(self) -> None:
        options = parse_options_header(self._disposition.decode("latin-1"))[1]
        if not options.keys() & {b"filename", b"filename*"}:
            raise MalformedBody(
                "A form's parts must be files, not fields; options go in the query."
            )
        # Even an empty file is one.
        self._data.append((self._parts - 1, b""))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append((self._parts - 1, data[start:end]))

    def _on_end(self) -> None:
        self._ended = True
