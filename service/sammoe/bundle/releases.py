"""Publishing a bundle into a folder that is served, and going back.

The folder holds the models of two releases side by side, for their folders are named after their
digests; ``bundle.json`` says which one counts where no store says otherwise (see
`sammoe.store.published`), and is replaced in one step. Whatever stops a publish, the folder holds a
complete bundle: the old one or the new one.
"""

import re
import shutil
from pathlib import Path
from typing import Final

from sammoe.bundle.bundle import MANIFEST_NAME, Bundle, load_bundle, manifest_digest
from sammoe.bundle.digests import file_digest
from sammoe.bundle.writer import add_model, put
from sammoe.errors import BundleInvalid

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


def publish(bundle: Bundle, target: Path, active: str | None = None) -> Bundle:
    """Put a bundle in the place of the one in ``target``, which is kept for :func:`rollback`.

    Parameters
    ----------
    bundle
        Loaded with every file checked.
    target
        A folder that holds a bundle, is empty or is to be made.
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
    if not current.is_file() and target.exists() and any(target.iterdir()):
        raise BundleInvalid(f"{target} holds other things: choose an empty folder")
    new = (bundle.path / MANIFEST_NAME).read_bytes()
    for plain, folder in bundle.manifest.folders.items():
        if not _is_there(bundle, folder, target):
            found, _ = add_model(target, plain, _files(bundle, folder))
            if found != folder:
                shutil.rmtree(target / found)
                raise BundleInvalid(f"{bundle.path / folder} was changed: publish it again")
    if not current.is_file() or current.read_bytes() != new:
        before = (manifest_of(target, active) if active else None) or MANIFEST_NAME
        if _folders(target, before):  # one that is damaged is no bundle to go back to
            put(target / PREVIOUS_NAME, (target / before).read_bytes())
        put(current, new)
    _tidy(target)
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


def _tidy(target: Path) -> None:
    """Remove model folders that neither manifest names."""
    kept = _folders(target, MANIFEST_NAME) | _folders(target, PREVIOUS_NAME)
    for path in target.iterdir():
        if path.is_dir() and path.name not in kept and _MODEL_FOLDER.fullmatch(path.name):
            shutil.rmtree(path)


def _folders(target: Path, name: str) -> set[str]:
    """Model folders of the bundle with this manifest; none where there is no such bundle."""
    try:
        return set(load_bundle(target, verify=False, name=name).manifest.folders.values())
    except BundleInvalid:
        return set()
