"""Build the page that the service serves at /viewer/: ``python scripts/viewer.py build|test|try``.

Needs Node.js: one that came with the wheels of an environment, or the machine's own. Packages come
from the npm registry, with their hashes checked. A stamp beside the built files says what they were
made from: made again from the same, this does nothing.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ROOT / "clients" / "viewer"
BUILT: Final = ROOT / "service" / "sammoe" / "api" / "viewer" / "dist"
OLDEST_NODE: Final = (22, 18)

_STAMP: Final = BUILT.with_name("dist.made-from")
_INSTALLED: Final = SOURCES / "node_modules" / ".made-from"
_LEFT_OUT: Final = {"node_modules"}
_TAIL_LINES: Final = 30


class BuildError(Exception):
    """What is wrong and what to do, in one line."""


def main(arguments: Sequence[str]) -> int:
    """Build the page, or check types and run its unit tests; return the exit code."""
    if list(arguments) not in ([], ["build"], ["test"], ["try"]):
        print("usage: viewer.py [build|test|try]", file=sys.stderr)
        return 2
    task = arguments[0] if arguments else "build"
    try:
        if task == "test":
            run("check", "test")
        else:
            build()
    except BuildError as error:
        print(f"viewer: {error}", file=sys.stderr)
        return 0 if task == "try" else 2
    return 0


def build() -> None:
    """Build the page unless it was made from the same.

    Raises
    ------
    BuildError
        There is no Node.js, or it failed.
    """
    source = made_from(files())
    if _STAMP.is_file() and BUILT.is_dir() and _STAMP.read_text() == source:
        return
    run("build")
    _STAMP.write_text(source)
    print(f"  the page is built, {size_of(BUILT) / 1e6:.1f} MB: sammoe serve, then /viewer/")


def run(*names: str) -> None:
    """Install what the page needs, if that has changed, and run scripts of its package.json."""
    folder = node_folder()
    lock = made_from(iter([SOURCES / "package-lock.json"]))
    if not (_INSTALLED.is_file() and _INSTALLED.read_text() == lock):
        npm(folder, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
        _INSTALLED.write_text(lock)
    for name in names:
        npm(folder, "run", name)


def npm(folder: Path, *arguments: str) -> None:
    """Run npm in the page's folder; its output is shown only if it fails."""
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [folder / "npm", *arguments],
        cwd=SOURCES,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-_TAIL_LINES:]), file=sys.stderr)
        raise BuildError(f"npm {' '.join(arguments)} failed (its last lines are above)")


def node_folder() -> Path:
    """Where node and npm are: an environment's, else the machine's, if they are new enough.

    Raises
    ------
    BuildError
        There are none.
    """
    found = shutil.which("node")
    folders = [ROOT / name / "bin" for name in (".venv", ".venv-demo")]
    for folder in [*folders, *([Path(found).parent] if found else [])]:
        if not (folder / "npm").exists():
            continue
        answer = subprocess.run([folder / "node", "--version"], capture_output=True, text=True)
        version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_NODE:
            return folder
    oldest = ".".join(map(str, OLDEST_NODE))
    raise BuildError(
        f"Node.js {oldest} or newer is needed: make environment and make demo bring it along"
    )


def files() -> Iterator[Path]:
    """Everything that decides what the built page holds."""
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(SOURCES).parts):
            yield path


def made_from(paths: Iterator[Path]) -> str:
    """SHA-256 over files and their names."""
    whole = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(SOURCES).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
