"""Make a virtual environment from a lock file: ``python scripts/environment.py NAME``.

Needs Python 3.11 or newer and nothing else. What is locked is installed with its hashes checked;
torch (for tests alone) is installed beside the lock, because which build fits, and what it needs,
depends on the machine. A stamp in the environment says what it was made from: made again from the
same, this does nothing.
"""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
OLDEST_PYTHON: Final = (3, 11)
TORCH: Final = "torch==2.13.0"

_STAMP: Final = "made-from.sha256"
_BAR_WIDTH: Final = 24
_SERVICE_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_TAIL_LINES: Final = 15


class SetupError(Exception):
    """What is wrong and what to do, in one line."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment of the project."""

    folder: str
    lock: str
    torch: bool = False
    project: bool = True
    """Whether the project itself is installed in it."""
    beside: tuple[str, ...] = ()
    """Those that go with it where this machine can have them."""
    bare: bool = False
    """Whether it lacks, on purpose, what its packages need: tests import a part of them."""
    old_numpy: bool = False
    """Whether it needs wheels that are there for Linux on x86_64 and Python before 3.13 alone."""
    debian_packages: tuple[tuple[str, str], ...] = ()
    """Names with a file or folder that is there once the package is installed."""
    ohif: bool = False
    """Whether OHIF goes with it, in a folder of its own (``scripts/ohif.py``)."""


ENVIRONMENTS: Final = {
    "test": Environment(
        ".venv",
        "requirements/dev.lock",
        torch=True,
        beside=("triton", "monailabel"),
        debian_packages=(
            ("chromium", "/usr/bin/chromium"),
            ("dicom3tools", "/usr/bin/dciodvfy"),
            ("mricron-data", "/usr/share/mricron/templates"),
            ("orthanc", "/usr/sbin/Orthanc"),
            ("orthanc-dicomweb", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
            ("orthanc-python", "/usr/share/orthanc/plugins/libOrthancPython.so"),
            ("nginx-light", "/usr/sbin/nginx"),
            ("plastimatch", "/usr/bin/plastimatch"),
            ("prometheus", "/usr/bin/promtool"),
            ("redis-server", "/usr/bin/redis-server"),
        ),
        ohif=True,
    ),
    "demo": Environment(".venv-demo", "requirements/demo.lock"),
    "ohif": Environment(
        ".venv-demo",
        "requirements/demo.lock",
        debian_packages=(
            ("orthanc", "/usr/sbin/Orthanc"),
            ("orthanc-dicomweb", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
        ),
        ohif=True,
    ),
    "triton": Environment(
        ".venv-triton", "requirements/triton.lock", project=False, old_numpy=True
    ),
    "monailabel": Environment(
        ".venv-monailabel", "requirements/monailabel.lock", project=False, bare=True
    ),
    "checkov": Environment(".venv-checkov", "requirements/checkov.lock", project=False),
    "tensorrt": Environment(".venv-tensorrt", "requirements/tensorrt.lock", project=False),
}


class Progress:
    """One line that tells how far pip is: a bar on a terminal, else a line at the end alone."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._show("")

    def step(self, name: str) -> None:
        """One package more."""
        self._done = min(self._done + 1, self._total)
        self._show(name)

    def say(self, text: str) -> None:
        """A phase without packages to count."""
        self._show(text)

    def end(self) -> None:
        """Leave the title and the time behind."""
        clear = "\r\x1b[K" if self._live else ""
        seconds = time.monotonic() - self._began
        print(f"{clear}  {self._title} ({seconds:.0f} s)", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if not self._live:
            return
        filled = _BAR_WIDTH * self._done // max(self._total, 1)
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        line = f"  {self._title} {bar} {self._done}/{self._total} {text}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Make the environment that the one argument names; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in ENVIRONMENTS:
        print(f"usage: environment.py {'|'.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    environment = ENVIRONMENTS[arguments[0]]
    try:
        make(environment)
        for name in environment.beside:
            make_beside(name)
        if environment.ohif:
            make_ohif()
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def make(environment: Environment) -> None:
    """Make or complete an environment, unless it was made from the same already.

    Raises
    ------
    SetupError
        Python is too old or lacks ``venv``, or pip failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old; name one of 3.11 or 3.12 with"
            " make PYTHON=..."
        )
    if environment.old_numpy and (reason := without_wheels()):
        raise SetupError(f"{environment.folder}: {reason}")
    for name, probe in environment.debian_packages:
        provide(name, Path(probe))
    folder = ROOT / environment.folder
    stamp = folder / _STAMP
    source = made_from(environment)
    if stamp.is_file() and stamp.read_text() == source:
        return
    print(f"Setting up {environment.folder} (Python {sys.version.split()[0]})", file=sys.stderr)
    python = create(folder)
    stamp.unlink(missing_ok=True)
    lock = ROOT / environment.lock
    locked = sum("==" in line for line in lock.read_text().splitlines() if line[:1].isalnum())
    pip(python, ["install", "--no-deps", "-r", str(lock)], f"{locked} locked packages", locked)
    if environment.torch:
        pip(python, ["install", TORCH], TORCH, 1)
    if environment.project:
        pip(python, ["install", "--no-deps", "--editable", str(ROOT)], "sam-med3d-moe", 1)
    if not environment.bare:
        pip(python, ["check"], "check", 0)
    stamp.write_text(source)


def make_beside(name: str) -> None:
    """Make another environment, or say why this machine can not have it."""
    environment = ENVIRONMENTS[name]
    if environment.old_numpy and (reason := without_wheels()):
        print(f"missing: {environment.folder} ({reason}); what needs it skips", file=sys.stderr)
    else:
        make(environment)


def make_ohif() -> None:
    """Fetch OHIF, and put the extension into it.

    Raises
    ------
    SetupError
        It could not be fetched, as was told.
    """
    command = [sys.executable, str(ROOT / "scripts" / "ohif.py")]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise SetupError("OHIF is missing (see above)")


def without_wheels() -> str | None:
    """Why PyPI has no Triton with numpy < 2 for this machine; None where it has."""
    machine = f"{platform.system()} on {platform.machine()}"
    if machine != "Linux on x86_64":
        return f"PyPI has Triton for Linux on x86_64 alone, not {machine}"
    if sys.version_info >= (3, 13):
        return f"numpy < 2 is not there for Python {sys.version.split()[0]}; use 3.11 or 3.12"
    return None


def made_from(environment: Environment) -> str:
    """SHA-256 over everything that decides what the environment holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = {
        "python": sys.version,
        "lock": (ROOT / environment.lock).read_text(),
        "torch": TORCH if environment.torch else None,
    }
    if environment.project:
        parts |= {
            "build": project["build-system"],
            "project": project["project"],
            "setuptools": project["tool"]["setuptools"],
        }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def create(folder: Path) -> Path:
    """A virtual environment of this very Python in ``folder``; returns its interpreter."""
    if importlib.util.find_spec("ensurepip") is None:
        # Debian ships Python without it.
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not apt_install(package):
            raise SetupError(f"this Python has no ensurepip; install it: apt-get install {package}")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not runs_this_version(python):
        venv.create(folder, clear=True, with_pip=True)
    return python


def runs_this_version(python: Path) -> bool:
    """Whether an environment is there, whole, and of the running Python's version."""
    try:
        answer = subprocess.run(
            [python, "-c", "import pip, sys; print(sys.version)"], capture_output=True, text=True
        )
    except OSError:
        return False
    return answer.stdout.strip() == sys.version.strip()


def pip(python: Path, arguments: Sequence[str], title: str, total: int) -> None:
    """Run pip with a progress line.

    Raises
    ------
    SetupError
        After the last lines of pip's own output.
    """
    progress = Progress(title, total)
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            match line.split(maxsplit=2):
                case ["Collecting" | "Processing", name, *_]:
                    progress.step(Path(name).name)  # of a wheel, pip tells the whole path
                case ["Requirement", "already", *_]:
                    progress.step("")
                case ["Installing", *_]:
                    progress.say("installing")
    progress.end()
    if process.returncode:
        print("\n".join(lines[-_TAIL_LINES:]), file=sys.stderr)
        raise SetupError(f"pip {arguments[0]} failed (its last lines are above): {title}")


def provide(package: str, probe: Path) -> None:
    """Install a Debian package when that is possible, else say what its absence means."""
    if probe.exists() or apt_install(package):
        return
    print(f"missing: {package} (apt-get install {package}); what needs it skips", file=sys.stderr)


def apt_install(package: str) -> bool:
    """Install with apt as root on Debian; False where that can not be done."""
    apt = shutil.which("apt-get")
    if apt is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    install = [apt, "install", "-qq", "-y", "--no-install-recommends", package]
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"  apt-get install {package}", file=sys.stderr)
    with no_services():
        for command in (install, [apt, "update", "-qq"], install):
            done = subprocess.run(command, env=variables, capture_output=True).returncode == 0
            if done and command is install:
                return True
    return False


@contextmanager
def no_services() -> Iterator[None]:
    """Let no Debian package start a system service: tests start servers of their own."""
    if _SERVICE_POLICY.exists():
        yield
        return
    _SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _SERVICE_POLICY.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
