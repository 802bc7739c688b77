"""Writing the folders and the manifest of a bundle."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sammoe.bundle.bundle import MANIFEST_NAME
from sammoe.bundle.digests import file_digest, folder_name
from sammoe.bundle.manifest import Manifest
from sammoe.files import replacing

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def add_model(
    root: Path, plain: str, files: Mapping[str, bytes | Path]
) -> tuple[str, dict[str, str]]:
    """Put one model into the bundle folder ``root`` under its digest's name.

    Parameters
    ----------
    root
        The bundle's folder; made when missing.
    plain
        ``image_encoder``, ``decoder_general``, ...
    files
        Path within the model's folder -> its bytes, or a file to copy.

    Returns
    -------
    tuple
        The folder's name, and path relative to ``root`` -> SHA-256, for the manifest. A folder of
        that name holds the same bytes by its name; it is replaced, in case that it was damaged.

    Raises
    ------
    OSError
        A file can not be read or written; that no room is left names ``root``.
    """
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        staging.chmod(0o755)
        with _naming(root):
            for inner, content in files.items():
                target = staging / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    shutil.copyfile(content, target)
                else:
                    target.write_bytes(content)
        digests = {inner: file_digest(staging / inner) for inner in files}
        folder = folder_name(plain, digests)
        if (root / folder).exists():
            shutil.rmtree(root / folder)
        staging.rename(root / folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder, {f"{folder}/{inner}": digest for inner, digest in digests.items()}


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write ``bundle.json`` last and atomically: a bundle has all its files or no manifest."""
    put(root / MANIFEST_NAME, (manifest.model_dump_json(indent=2) + "\n").encode())


def put(path: Path, content: bytes) -> None:
    """Write a file beside its place and then replace what is there, in one step."""
    with replacing(path) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say where no room is left: a copy's error names what is read, and a write's nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
