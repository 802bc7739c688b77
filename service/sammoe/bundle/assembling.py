"""Writing a bundle that differs from another in a few models: the rest is copied as it is."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from sammoe.bundle.bundle import MANIFEST_NAME, Bundle, load_bundle, manifest_digest
from sammoe.bundle.locking import contents, locked
from sammoe.bundle.manifest import Manifest
from sammoe.bundle.releases import PREVIOUS_NAME, folders_of
from sammoe.bundle.selector import add_selector
from sammoe.bundle.triton import TENSORRT_CONFIG, tensorrt_pbtxt
from sammoe.bundle.writer import add_model, write_manifest
from sammoe.errors import BundleInvalid, Conflict

Files = Mapping[str, bytes | Path]
"""Path within a model folder -> its content, or a file to copy."""


def assemble(
    bundle: Bundle, manifest: Manifest, files: Mapping[str, Files], *, out: Path, replace: bool
) -> Bundle:
    """Write a bundle folder and load it again, verified. What Triton needs is added to it: see
    `upgrade`.

    Parameters
    ----------
    bundle
        Where everything that does not change is copied from, byte for byte.
    manifest
        Of the new bundle; of ``models`` and ``files`` only the plain names count.
    files
        Plain name -> content of its folder, for models that are not the bundle's.
    out
        An empty or new folder, with ``replace`` one that holds another bundle, or the bundle's
        own. The manifest comes last, then folders that it no longer names are removed, but for
        those of the bundle that :func:`sammoe.bundle.releases.rollback` goes back to.

    Raises
    ------
    BundleInvalid
        ``out`` holds other things, or the bundle was changed since its manifest was written.
    Conflict
        ``out`` is the bundle's own folder and holds another one by now, or somebody else goes on
        writing into it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        return _assemble(bundle, manifest, files, out, replace=replace)


def _assemble(
    bundle: Bundle, manifest: Manifest, files: Mapping[str, Files], out: Path, *, replace: bool
) -> Bundle:
    here, before = _is_own(bundle, out), bundle.manifest
    if here and manifest_digest(out) != bundle.digest:
        raise Conflict(
            f"{out} holds another bundle by now than the one that was read: nothing was written."
        )
    stale = stale_folders(bundle, out, replace=replace)
    models: dict[str, str] = {}
    digests: dict[str, str] = {}
    for plain in manifest.models:
        content = files.get(plain)
        more = {} if content is not None else _lacking(bundle, plain)
        if content is None and here and not more:
            models[plain] = before.models[plain]
            digests |= files_of(before, models[plain])
            continue
        copied = paths_of(bundle, plain) if content is None else content
        models[plain], written = add_model(out, plain, {**copied, **more})
        if content is None and not _kept(before, plain, written):
            raise BundleInvalid(
                f"{bundle.path / before.models[plain]} differs from its manifest: copy the bundle"
                " again as a whole"
            )
        digests |= written
    fields = dict(manifest) | {"models": models, "files": digests, "selector": None}
    return complete(out, add_selector(out, Manifest(**fields)), stale)


def complete(out: Path, manifest: Manifest, stale: set[str]) -> Bundle:
    """Write the manifest of a bundle whose folders are all in ``out``, and load it, verified.

    Parameters
    ----------
    stale
        Folders of the bundle that it replaces. They are removed where neither the new one has them
        nor the one that :func:`sammoe.bundle.releases.rollback` goes back to.
    """
    write_manifest(out, manifest)
    kept = {*manifest.folders.values()} | folders_of(out, PREVIOUS_NAME)
    for folder in stale - kept:
        shutil.rmtree(out / folder)
    return load_bundle(out)


def upgrade(bundle: Bundle, *, out: Path, replace: bool = False) -> Bundle:
    """Write the bundle with all that Triton needs and an older bundle lacks: the selector, and each
    model's description as a TensorRT plan. Models keep their bytes, embeddings their keys.

    Parameters
    ----------
    out, replace
        As for `assemble`.

    Raises
    ------
    BundleInvalid, Conflict
        As for `assemble`.
    """
    return assemble(bundle, bundle.manifest, {}, out=out, replace=replace)


def stale_folders(bundle: Bundle, out: Path, *, replace: bool) -> set[str]:
    """Folders in ``out`` that go, unless the new bundle names them, too. To be asked before work
    that takes long; parameters and errors as those of `assemble`.
    """
    if _is_own(bundle, out):
        return set(bundle.manifest.folders.values())
    return folders_before(out, replace=replace)


def folders_before(out: Path, *, replace: bool) -> set[str]:
    """Folders of the bundle that is to be replaced.

    Raises
    ------
    BundleInvalid
        ``out`` holds a bundle and ``replace`` is not given, or it holds other things.
    """
    if not contents(out):
        return set()
    if not (out / MANIFEST_NAME).is_file():
        raise BundleInvalid(f"{out} holds other things: choose an empty folder")
    if not replace:
        raise BundleInvalid(f"{out} holds a bundle: choose another folder, or --replace it")
    return set(load_bundle(out, verify=False).manifest.folders.values())


def paths_of(bundle: Bundle, plain: str) -> dict[str, bytes | Path]:
    """Files of one model: path within its folder -> where it lies."""
    folder = bundle.manifest.models[plain]
    files = files_of(bundle.manifest, folder)
    return {name.removeprefix(f"{folder}/"): bundle.path / name for name in files}


def files_of(manifest: Manifest, folder: str) -> dict[str, str]:
    """Files of one folder: path within the bundle -> SHA-256."""
    return {n: digest for n, digest in manifest.files.items() if n.startswith(f"{folder}/")}


def _is_own(bundle: Bundle, out: Path) -> bool:
    return out.exists() and out.samefile(bundle.path)


def _lacking(bundle: Bundle, plain: str) -> Files:
    """What a model written by an older version lacks for Triton."""
    folder = bundle.manifest.models[plain]
    if f"{folder}/{TENSORRT_CONFIG}" in bundle.manifest.files:
        return {}
    config = (bundle.path / folder / "config.pbtxt").read_text()
    return {TENSORRT_CONFIG: tensorrt_pbtxt(config).encode()}


def _kept(before: Manifest, plain: str, written: Mapping[str, str]) -> bool:
    """Whether the files copied are as their manifest says, whatever was added to them."""
    wanted, found = (
        {name.partition("/")[2]: digest for name, digest in files.items()}
        for files in (files_of(before, before.models[plain]), written)
    )
    return wanted.items() <= found.items()
