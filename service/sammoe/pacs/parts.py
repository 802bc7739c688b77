"""``multipart/related`` as DICOMweb servers send it: files, one after the other."""

from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sammoe.errors import PacsError

_TYPE: Final = b"multipart/related"
_MAX_PARTS: Final = 1 << 15


class RelatedParts:
    """The parts of an answer, as numbered pieces.

    Parameters
    ----------
    content_type
        The answer's.

    Raises
    ------
    PacsError
        It is no ``multipart/related``; later, that it breaks off or has too many parts.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind.lower() != _TYPE or not boundary:
            raise PacsError("The DICOMweb server answered with something else than DICOM files.")
        self.count = 0
        self._ended = False
        self._pieces: list[tuple[int, bytes]] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise _broken() from None

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
        """Number of a part, from 0, and bytes of it, as they come."""
        async for piece in body:
            try:
                self._parser.write(piece)
            except FormParserError:
                raise _broken() from None
            pieces, self._pieces = self._pieces, []
            for numbered in pieces:
                yield numbered
        # Some servers say by closing the connection that the answer is over, so this must tell it.
        if not self._ended:
            raise PacsError("The DICOMweb server's answer breaks off; try again.")

    def _on_part(self) -> None:
        self.count += 1
        if self.count > _MAX_PARTS:
            raise PacsError(f"The DICOMweb server sends more than {_MAX_PARTS} images.")
        self._pieces.append((self.count - 1, b""))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append((self.count - 1, data[start:end]))

    def _on_end(self) -> None:
        self._ended = True


def _broken() -> PacsError:
    return PacsError("The DICOMweb server's answer can not be read.")
