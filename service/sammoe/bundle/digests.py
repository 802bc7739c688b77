"""SHA-256 of files and of folders, and the folder names made from them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

_CHUNK = 1 << 20
_SUFFIX_DIGITS = 12


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hex digits; the file is read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def folder_digest(files: Mapping[str, str]) -> str:
    """SHA-256 over a folder's files.

    Parameters
    ----------
    files
        Path relative to the folder, with ``/``, -> SHA-256 of that file in hex.

    Returns
    -------
    str
        SHA-256 of the lines ``"<sha256>  <path>\\n"`` in ascending order of the paths: what
        ``sha256sum`` prints for them.
    """
    lines = (f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_name(plain: str, files: Mapping[str, str]) -> str:
    """``<plain name>-<first 12 hex digits of the folder's digest>``.

    Equal weights get equal names, changed weights another one: several releases can lie side by
    side in one model repository, and a server never sees a model change under its name.
    """
    return f"{plain}-{folder_digest(files)[:_SUFFIX_DIGITS]}"


def is_folder_name(plain: str, folder: str) -> bool:
    """Whether ``folder`` is ``plain``, a dash and 12 hex digits."""
    return re.fullmatch(rf"{re.escape(plain)}-[0-9a-f]{{{_SUFFIX_DIGITS}}}", folder) is not None
