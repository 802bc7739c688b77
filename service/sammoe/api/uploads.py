"""Receiving a scan: streamed to temporary files, counted and digested on the way.

Two forms: a file's bytes as the body (``application/octet-stream``), or the file parts of
``multipart/form-data``, as browsers and ``curl -F`` send them: one, or all of a DICOM series. A
file's name is never kept.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from sammoe.api.bodies import read_pieces, require_type
from sammoe.errors import MalformedBody, TooLarge
from sammoe.store.arriving import Arrived, arriving

OCTETS: Final = "application/octet-stream"
FORM: Final = "multipart/form-data"

_FRAMING_BYTES: Final = 8 << 20
"""What multipart boundaries and part headers may add to the files."""

_FIELD_BYTES: Final = 256
"""What a field counts beside its name and value, so that there can not be too many."""

_MAX_PARTS: Final = 1 << 15
"""Files in one form: as many as a volume may have slices."""


@asynccontextmanager
async def received(
    request: Request, folder: Path, limit: int, seconds: float
) -> AsyncIterator[Arrived]:
    """The request's file or files, on the disk as long as the context lasts.

    Parameters
    ----------
    request
        Its body has one of the two forms.
    folder, limit
        See `arriving`.
    seconds
        How long the whole body may take.

    Raises
    ------
    UnsupportedMediaType, TooLarge, MalformedBody, RequestTimeout
        The request is refused; nothing is left behind.
    StoreUnavailable
        The disk is full or failed.
    """
    media_type = require_type(request, OCTETS, FORM)
    if media_type == FORM:
        form = _Parts(request.headers["content-type"], field_bytes=0)
        pieces = form.pieces(read_pieces(request, limit + _FRAMING_BYTES, seconds))
    else:
        pieces = _only_file(read_pieces(request, limit, seconds))
    async with arriving(pieces, folder, limit) as arrived:
        if not arrived.size:
            raise MalformedBody("The body is empty: send the scan's bytes.")
        yield arrived


@asynccontextmanager
async def received_form(
    request: Request, folder: Path, limit: int, seconds: float, field_bytes: int
) -> AsyncIterator[tuple[Arrived, Mapping[str, str]]]:
    """A form's files, of which there may be none, and its fields by name.

    Parameters
    ----------
    field_bytes
        Largest size of all fields together, bytes.

    See `received` for the rest.
    """
    require_type(request, FORM)
    form = _Parts(request.headers["content-type"], field_bytes)
    pieces = form.pieces(read_pieces(request, limit + _FRAMING_BYTES, seconds))
    async with arriving(pieces, folder, limit) as arrived:
        yield arrived, form.fields()


async def _only_file(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    async for piece in pieces:
        yield 0, piece


class _Parts:
    """The parts of a form: files, and fields up to so many bytes; everything else is refused."""

    def __init__(self, content_type: str, field_bytes: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedBody("The Content-Type of a form needs a boundary.")
        self._parts = 0
        self._files = 0
        self._field_bytes = field_bytes
        self._fields: dict[str, bytes] = {}
        self._field: str | None = None
        self._field_size = 0
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

    def fields(self) -> dict[str, str]:
        """Fields by name."""
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise MalformedBody("A form's fields must be UTF-8.") from None

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise TooLarge(f"A form may have at most {_MAX_PARTS} parts.")

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
        self._field = None
        if options.keys() & {b"filename", b"filename*"}:
            # Even an empty file is one.
            self._files += 1
            self._data.append((self._files - 1, b""))
        elif self._field_bytes:
            self._field = options.get(b"name", b"").decode("latin-1")
            self._fields[self._field] = b""
            self._count(_FIELD_BYTES + len(self._field))
        else:
            raise MalformedBody(
                "A form's parts must be files, not fields; options go in the query."
            )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._data.append((self._files - 1, data[start:end]))
            return
        self._fields[self._field] += data[start:end]
        self._count(end - start)

    def _count(self, size: int) -> None:
        self._field_size += size
        if self._field_size > self._field_bytes:
            raise TooLarge(f"A form's fields may have at most {self._field_bytes} bytes.")

    def _on_end(self) -> None:
        self._ended = True
