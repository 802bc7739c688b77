"""The built page: its files, held in memory, so that no request names a path on the disk."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sammoe.api.viewer.missing import MISSING

_FOLDER: Final = Path(__file__).with_name("dist")
_ENTRY: Final = "index.html"
_HASHED: Final = "assets/"
"""Folder of the files whose names hold a digest of their content: the build's doing."""

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_COMPRESSED: Final = {".css", ".html", ".js", ".json", ".svg", ".txt"}
# The same on every machine, whatever its own table says.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file.

    Attributes
    ----------
    plain, small
        Its bytes, and the same compressed with gzip where that is worth it.
    status
        Of the answer.
    """

    plain: bytes
    small: bytes | None
    media_type: str
    cache_control: str
    etag: str
    status: int = 200

    @classmethod
    def of(cls, name: str, content: bytes, status: int = 200) -> Self:
        """A file by its name within the page."""
        suffix = Path(name).suffix
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        small = None
        if suffix in _COMPRESSED:
            small = gzip.compress(content, mtime=0)
        return cls(
            content,
            small,
            _TYPES.get(suffix, guessed),
            _FOR_EVER if name.startswith(_HASHED) else _ASK_AGAIN,
            f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            status,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """The page's files by their names; without any, the one that says how to get them."""

    files: Mapping[str, PageFile]

    @classmethod
    def load(cls, folder: Path = _FOLDER) -> Self:
        """Read what was built into a folder, if anything was."""
        if not (folder / _ENTRY).is_file():
            return cls({})
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
        names = ((path.relative_to(folder).as_posix(), path) for path in paths)
        return cls({name: PageFile.of(name, path.read_bytes()) for name, path in names})

    def find(self, name: str) -> PageFile | None:
        """A file by its name; the empty name is that of the entry."""
        if not self.files:
            return PageFile.of(_ENTRY, MISSING.encode(), 404)
        return self.files.get(name or _ENTRY)
