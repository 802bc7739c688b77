"""Requests and answers as plain values: nothing here sends."""

import json
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
PACKED: Final = "application/vnd.sammoe.mask"
NIFTI: Final = "application/x-nifti+gzip"
PLAIN_NIFTI: Final = "application/x-nifti"
NRRD: Final = "application/x-nrrd"
DICOM: Final = "application/dicom"
EVENTS: Final = "text/event-stream"

KEY: Final = "Idempotency-Key"

Sent = Callable[[int, int], None]
"""Told how many bytes of an upload have been sent, and how many there are."""

_PIECE: Final = 1 << 18


@dataclass(frozen=True)
class Body:
    """What a request sends: bytes, and files that are read while they are sent.

    Can be sent any number of times.
    """

    media_type: str
    parts: tuple[bytes | Path, ...] = field(repr=False)
    sent: Sent | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        sizes = (len(p) if isinstance(p, bytes) else p.stat().st_size for p in self.parts)
        return sum(sizes)

    def pieces(self) -> Generator[bytes, None, None]:
        """The bytes, in pieces that fit a network."""
        for part in self.parts:
            yield from _read(part) if isinstance(part, Path) else _cut(part)

    def teller(self) -> Callable[[int], None]:
        """What is told of each piece that was sent, and tells ``sent`` the sum."""
        total, done = self.size, 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            if self.sent is not None:
                self.sent(done, total)

        return tell


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes
    ----------
    path
        From the service's address on.
    upload
        Whether the answer may take as long as the reading of a scan.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    upload: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method != "POST" or KEY in self.headers


@dataclass(frozen=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def get(path: str, *, accept: str = JSON, **query: object) -> Request:
    """A request for something; query parameters that are None are left out."""
    return Request("GET", path, _query(query), {"Accept": accept})


def delete(path: str) -> Request:
    """A request to delete something."""
    return Request("DELETE", path)


def post(path: str, body: Body | None = None, *, upload: bool = False, **query: object) -> Request:
    """A request to make something, once: sent again, it is known by its key."""
    headers = {"Accept": JSON, KEY: secrets.token_hex(16)}
    return Request("POST", path, _query(query), headers, body, upload)


def json_body(members: Mapping[str, Any]) -> Body:
    """Members as JSON; those that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return Body(JSON, (json.dumps(given, allow_nan=False).encode(),))


def file_body(source: Path | bytes, sent: Sent | None = None) -> Body:
    """A file's bytes; of a folder, all files in it, as a form. No name of a file is sent."""
    if isinstance(source, Path) and source.is_dir():
        return _form(_files_of(source), sent)
    return Body(OCTETS, (source,), sent)


def part(name: str) -> str:
    """An id as a part of a path."""
    return quote(name, safe="")


def _form(files: Sequence[Path], sent: Sent | None) -> Body:
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        f"Content-Type: {OCTETS}\r\n\r\n"
    ).encode()
    parts: list[bytes | Path] = []
    for file in files:
        parts += [head, file, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", tuple(parts), sent)


def _files_of(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not files:
        raise FileNotFoundError(f"{folder} holds no file")
    return files


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _cut(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def _query(given: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}
