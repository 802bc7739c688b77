"""Reading a bundle from a folder, with every file checked against the manifest."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sammoe.bundle.digests import file_digest, folder_name
from sammoe.bundle.manifest import SCHEMA_VERSION, Manifest
from sammoe.errors import BundleInvalid

MANIFEST_NAME = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: its folder, its manifest, and ``digest`` = SHA-256 of ``bundle.json``.

    The manifest holds the digest of every file, so ``digest`` names the release as a whole.
    """

    path: Path
    manifest: Manifest
    digest: str

    def model_path(self, plain: str) -> Path:
        """Path of a model's ONNX file; ``KeyError`` when the bundle has no such model."""
        return self.path / self.manifest.models[plain] / "1" / "model.onnx"

    def model_digest(self, plain: str) -> str:
        """SHA-256 (hex) of a model's ONNX file: the encoder's is part of every embedding's key."""
        return self.manifest.files[f"{self.manifest.models[plain]}/1/model.onnx"]

    def in_short(self) -> str:
        """One line for people: folder, name, size, digest."""
        size = sum((self.path / name).stat().st_size for name in self.manifest.files)
        return f"{self.path}: {self.manifest.name}, {size / 1e6:.1f} MB, digest {self.digest[:12]}"


def load_bundle(path: Path, *, verify: bool = True, name: str = MANIFEST_NAME) -> Bundle:
    """Read ``path/bundle.json`` and check the folder against it.

    Parameters
    ----------
    path
        The bundle's folder.
    verify
        Also compare the SHA-256 of every file (about a second for 400 MB). Without it only names
        and presence are checked.
    name
        Of the manifest's file.

    Raises
    ------
    BundleInvalid
        The manifest is missing, malformed or of an unknown schema version; a file is missing,
        changed, or lies in a model folder without being listed. The detail names the file.
    """
    manifest_path = path / name
    try:
        text = manifest_path.read_bytes()
    except OSError as error:
        raise BundleInvalid(f"{manifest_path} can not be read: {error.strerror}") from error
    manifest = _parse(text, manifest_path)
    _check_files(path, manifest, verify=verify)
    return Bundle(path, manifest, hashlib.sha256(text).hexdigest())


def manifest_digest(path: Path, name: str = MANIFEST_NAME) -> str | None:
    """Digest of the bundle that a folder says it holds, of which nothing is checked; None where
    that can not be read.

    Parameters
    ----------
    name
        Of the manifest's file.
    """
    try:
        return hashlib.sha256((path / name).read_bytes()).hexdigest()
    except OSError:
        return None


def _parse(text: bytes, path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        if place == "schema_version":
            raise BundleInvalid(
                f"{path} has schema_version {first['input']!r}; this program reads"
                f" {SCHEMA_VERSION}: use the version of sammoe that wrote the bundle, or newer"
            ) from error
        raise BundleInvalid(
            f"{path} is no valid manifest: {place or '(whole)'}: {first['msg']}"
        ) from error


def _check_files(root: Path, manifest: Manifest, *, verify: bool) -> None:
    by_folder: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, expected in manifest.files.items():
        file = root / name
        if not file.is_file():
            raise BundleInvalid(f"{file} is missing: copy the bundle again as a whole")
        if verify and file_digest(file) != expected:
            raise BundleInvalid(
                f"{file} differs from its SHA-256 in {MANIFEST_NAME}: copy the bundle again as a"
                " whole"
            )
        folder, _, inner = name.partition("/")
        by_folder[folder][inner] = expected
    for plain, folder in manifest.folders.items():
        if folder_name(plain, by_folder[folder]) != folder:
            raise BundleInvalid(f"{root / folder} is not named after the digest of its files")
        # A stray version folder would be served by Triton instead of the listed one.
        for file in sorted((root / folder).rglob("*")):
            if file.is_file() and file.relative_to(root).as_posix() not in manifest.files:
                raise BundleInvalid(f"{file} is not listed in {MANIFEST_NAME}: remove it")
