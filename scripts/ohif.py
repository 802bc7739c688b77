"""OHIF as it comes from npm, with the extension of ``clients/ohif`` in it: ``.ohif/``.

``python scripts/ohif.py`` makes the folder, or brings the extension in it up to date. It is what
``sammoe serve --ohif`` takes.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / ".ohif"
EXTENSION: Final = ROOT / "clients" / "ohif"
PACKAGE: Final = "@ohif/app@3.13.2"
SHA512: Final = (
    "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
"""Of the package's file, as npm tells it."""

_STAMP: Final = "made-from.txt"
_BUILD: Final = "package/dist/"
_SECONDS: Final = 600


class OhifError(Exception):
    """What is wrong and what to do, in one line."""


def main() -> int:
    """Make the folder; return the exit code."""
    try:
        provide()
    except OhifError as error:
        print(f"ohif: {error}", file=sys.stderr)
        return 2
    print(FOLDER)
    return 0


def provide(folder: Path = FOLDER) -> None:
    """Fetch OHIF unless it is there, and put the extension as it is now beside it.

    Raises
    ------
    OhifError
        There is no npm, it failed, or what it brought is not what is pinned.
    """
    stamp = folder / _STAMP
    if not stamp.is_file() or stamp.read_text() != SHA512:
        print(f"  npm pack {PACKAGE} (50 MB)", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _fetch(folder)
        stamp.write_text(SHA512)
    install(folder)


def install(folder: Path) -> None:
    """Copy the extension to ``sammoe/`` in OHIF's folder, and its configuration over OHIF's."""
    target = folder / "sammoe"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(EXTENSION, target, ignore=shutil.ignore_patterns("test", "*.json", "*.d.ts"))
    (target / "app-config.js").replace(folder / "app-config.js")


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sammoe-ohif-") as name:
        command = [_npm(), "pack", PACKAGE, "--silent", "--pack-destination", name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise OhifError(f"npm did not bring {PACKAGE} within {_SECONDS} s") from None
        found = list(Path(name).glob("*.tgz"))
        if done.returncode or len(found) != 1:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise OhifError(f"npm pack {PACKAGE} failed: {lines[-1]}")
        if not _is_pinned(found[0]):
            raise OhifError(f"npm brought another file than the pinned {PACKAGE}; nothing is used")
        _unpack(found[0], folder)


def _is_pinned(path: Path) -> bool:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return base64.b64encode(digest).decode() == SHA512


def _unpack(package: Path, folder: Path) -> None:
    """The build alone, in place when all of it is there."""
    making = folder.with_name(f"{folder.name}-making")
    shutil.rmtree(making, ignore_errors=True)
    with tarfile.open(package) as archive:
        for member in archive:
            if member.name.startswith(_BUILD):
                member.name = member.name.removeprefix(_BUILD)
                archive.extract(member, making, filter="data")
    making.rename(folder)


def _npm() -> str:
    """Npm of this machine, or the one that an environment of the project brings."""
    for places in (None, *(str(ROOT / name / "bin") for name in (".venv", ".venv-demo"))):
        if found := shutil.which("npm", path=places):
            return found
    raise OhifError("npm is missing: install Node.js, or run make environment first")


if __name__ == "__main__":
    sys.exit(main())
