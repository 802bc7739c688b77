"""Receiving a scan: streamed to a temporary file, counted and digested on the way.

Two forms: the file's bytes as the body (``application/octet-stream``), or one file part of
``multipart/form-data``, as browsers and ``curl -F`` send it. A file's name is never kept.
"""

import asyncio
import hashlib
import secrets
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

OCTETS: Final = "application/octet-stream"
FORM: Final = "multipart/form-data"

_FRAMING_BYTES: Final = 64 << 10
"""What multipart boundaries and part headers may add to a file."""

_WRITE_BYTES: Final = 1 << 20
"""Pieces are gathered up to this before a thread writes them."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file: where it is for now, the SHA-256 (hex) of its bytes, and how many."""

    path: Path
    digest: str
    size: int


@asynccontextmanager
async def received(request: Request, folder: Path, limit: int) -> AsyncIterator[Upload]:
    """The request's file, on the disk as long as the context lasts.

    Parameters
    ----------
    request
        Its body has one of the two forms.
    folder
        Where the file lies meanwhile: the store's, so that nothing is left after a crash.
    limit
        Largest file, bytes.

    Raises
    ------
    UnsupportedMediaType, TooLarge, MalformedBody, RequestTimeout
        The request is refused; nothing is left behind.
    StoreUnavailable
        The disk is full or failed.
    """
    media_type = require_type(request, OCTETS, FORM)
    too_large = TooLarge(f"A file may have at most {limit} bytes.")
    if media_type == FORM:
        part = _FilePart(request.headers["content-type"])
        pieces = part.pieces(read_pieces(request, limit + _FRAMING_BYTES))
    else:
        pieces = read_pieces(request, limit)
    path = folder / f"upload-{secrets.token_hex(8)}"
    with storage_errors():
        # Unbuffered: what a full disk did not take must not come up again when closing.
        file = await asyncio.to_thread(path.open, "xb", buffering=0)
    try:
        with file:
            sink = _Sink(file)
            async for piece in pieces:
                if sink.add(piece) > limit:
                    raise too_large
                if len(sink.pending) >= _WRITE_BYTES:
                    await sink.flush()
            await sink.flush()
        if not sink.size:
            raise MalformedBody("The body is empty: send the scan's bytes.")
        yield Upload(path, sink.digest.hexdigest(), sink.size)
    finally:
        path.unlink(missing_ok=True)


class _Sink:
    """Gathers bytes, and writes and digests them in another thread."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.pending = bytearray()
        self.size = 0
        self.digest = hashlib.sha256()

    def add(self, piece: bytes) -> int:
        self.pending += piece
        self.size += len(piece)
        return self.size

    async def flush(self) -> None:
        with storage_errors():
            await asyncio.to_thread(self._write)

    def _write(self) -> None:
        data, self.pending = bytes(self.pending), bytearray()
        self.digest.update(data)
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])


class _FilePart:
    """The only part of a form, which must be a file; everything else is refused."""

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedBody("The Content-Type of a form needs a boundary.")
        self._parts = 0
        self._ended = False
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""
        self._data: list[bytes] = []
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

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The file's bytes out of the form's bytes."""
        async for piece in body:
            try:
                self._parser.write(piece)
            except FormParserError:
                raise MalformedBody("The form can not be read.") from None
            for data in self._data:
                yield data
            self._data.clear()
        if not (self._ended and self._parts):
            raise MalformedBody("The form ends too early.")

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise MalformedBody("Send exactly one part: the file; options go into the query.")

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
            raise MalformedBody("The form's part must be a file, not a field.")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True
