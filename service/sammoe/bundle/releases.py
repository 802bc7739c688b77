"""Publishing a bundle into a folder that is served, and going back.

The folder holds the models of two releases side by side, for their folders are named after their
digests; ``bundle.json`` says which one counts where no store says otherwise (see
`sammoe.store.published`), and is replaced in one step. Whatever stops a publish, the folder holds a
complete bundle: the old one or the new one. All of it happens within `changing`, and `tidy` is for
its end, when nothing is put back any more.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sammoe.bundle.bundle import MANIFEST_NAME, Bundle, load_bundle, manifest_digest
from sammoe.bundle.digests import file_digest
from sammoe.bundle.locking import contents, locked
from sammoe.bundle.writer import add_model, put
from sammoe.errors import BundleInvalid, Conflict

PREVIOUS_NAME: Final = "bundle.previous.json"
"""Manifest of the release before, whose model folders are kept."""

_MODEL_FOLDER = re.compile(
    r"(image_encoder|decoder_[a-z0-9_]+|gate|selector)-[0-9a-f]{12}|\.new-.*"
)


def manifest_of(target: Path, digest: str) -> str | None:
    """Name of the manifest by which a folder holds a release; None where it does not."""
    for name in (MANIFEST_NAME, PREVIOUS_NAME):
        if manifest_digest(target, name) == digest:
            return name
    return None


@contextmanager
def changing(target: Path) -> Iterator[None]:
    """Be the only one that changes which bundles ``target`` holds. After a `Conflict` within, as
    where somebody else was faster to change the record, it names the same bundles as before.

    Raises
    ------
    BundleInvalid
        There is no such folder.
    Conflict
        Somebody else goes on writing into it.
    OSError
        The folder can not be written, or its file system has no locks.
    """
    with locked(target):
        before = {name: _content(target / name) for name in (MANIFEST_NAME, PREVIOUS_NAME)}
        try:
            yield
        except Conflict:
            for name, content in before.items():
                if content is None:
                    (target / name).unlink(missing_ok=True)
                else:
                    put(target / name, content)
            raise


def publish(bundle: Bundle, target: Path, active: str | None = None) -> Bundle:
    """Put a bundle in the place of the one in ``target``, which is kept for :func:`rollback`.

    Parameters
    ----------
    bundle
        Loaded with every file checked.
    target
        A folder that holds a bundle, is empty or is to be made, or where a publish was stopped.
    active
        Digest of the release that is served and thus kept, if that is not the one of
        ``bundle.json``.

    Returns
    -------
    Bundle
        The published one. Publishing what is there already changes nothing.

    Raises
    ------
    BundleInvalid
        ``target`` holds other things or is the bundle's own folder, or the bundle was changed
        while it was copied; what is served is as before.
    """
    current = target / MANIFEST_NAME
    if target.exists() and target.samefile(bundle.path):
        raise BundleInvalid(f"{target} is the bundle itself: publish it to another folder")
    found = contents(target)
    if not current.is_file() and not all(_MODEL_FOLDER.fullmatch(path.name) for path in found):
        raise BundleInvalid(f"{target} holds other things: choose an empty folder")
    new = (bundle.path / MANIFEST_NAME).read_bytes()
    for plain, folder in bundle.manifest.folders.items():
        if not _is_there(bundle, folder, target):
            copied, _ = add_model(target, plain, _files(bundle, folder))
            if copied != folder:
                shutil.rmtree(target / copied)
                raise BundleInvalid(f"{bundle.path / folder} was changed: publish it again")
    if not current.is_file() or current.read_bytes() != new:
        before = (manifest_of(target, active) if active else None) or MANIFEST_NAME
        if folders_of(target, before):  # one that is damaged is no bundle to go back to
            put(target / PREVIOUS_NAME, (target / before).read_bytes())
        put(current, new)
    return load_bundle(target)


def rollback(target: Path, digest: str | None = None) -> Bundle:
    """Exchange the bundle in ``target`` with the one before; a second rollback goes forth again.

    Parameters
    ----------
    digest
        Of the release to go back to, where it is known; it may be the one of ``bundle.json``.

    Raises
    ------
    BundleInvalid
        There is none before, or it is damaged; what is served is as it was.
    """
    current, previous = target / MANIFEST_NAME, target / PREVIOUS_NAME
    if digest is not None and manifest_digest(target) == digest:
        return load_bundle(target)
    if not previous.is_file():
        raise BundleInvalid(f"{target} keeps no bundle from before: nothing was published over it")
    before = load_bundle(target, name=PREVIOUS_NAME)
    if digest not in {None, before.digest}:
        raise BundleInvalid(f"{target} does not hold bundle {digest:.12}: publish it again")
    old, new = current.read_bytes(), previous.read_bytes()
    put(current, new)
    put(previous, old)
    return load_bundle(target)


def tidy(target: Path) -> None:
    """Remove model folders that neither manifest names."""
    kept = folders_of(target, MANIFEST_NAME) | folders_of(target, PREVIOUS_NAME)
    for path in target.iterdir():
        if path.is_dir() and path.name not in kept and _MODEL_FOLDER.fullmatch(path.name):
            shutil.rmtree(path)


def folders_of(target: Path, name: str) -> set[str]:
    """Model folders of the bundle with this manifest; none where there is no such bundle."""
    try:
        return set(load_bundle(target, verify=False, name=name).manifest.folders.values())
    except BundleInvalid:
        return set()


def _content(path: Path) -> bytes | None:
    """A file's bytes; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _files(bundle: Bundle, folder: str) -> dict[str, bytes | Path]:
    prefix = f"{folder}/"
    names = [name for name in bundle.manifest.files if name.startswith(prefix)]
    return {name.removeprefix(prefix): bundle.path / name for name in names}


def _is_there(bundle: Bundle, folder: str, target: Path) -> bool:
    """Whether ``target`` has the folder's files, unchanged and no others."""
    wanted = {n: d for n, d in bundle.manifest.files.items() if n.startswith(f"{folder}/")}
    found = {f.relative_to(target).as_posix(): f for f in (target / folder).rglob("*")}
    files = {name: file for name, file in found.items() if file.is_file()}
    return files.keys() == wanted.keys() and all(
        file_digest(file) == wanted[name] for name, file in files.items()
    )
