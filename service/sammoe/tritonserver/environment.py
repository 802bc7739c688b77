"""The environment that the server runs in, apart from ours: it needs an older numpy."""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sammoe
from sammoe.errors import SettingsInvalid

FOLDER: Final = ".venv-triton"
LOCK: Final = "requirements/triton.lock"

_SERVER: Final = "pytriton/tritonserver"
_LIBRARIES: Final = "nvidia_pytriton.libs"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nvidia-pytriton: ``root``, and its Python as ``3.11``."""

    root: Path
    python: str

    @property
    def packages(self) -> Path:
        """What is installed."""
        return self.root / "lib" / f"python{self.python}" / "site-packages"

    @property
    def server(self) -> Path:
        """Folder of the server: ``bin``, ``backends``, ``python_backend_stubs``."""
        return self.packages / _SERVER

    @property
    def libraries(self) -> Path:
        """Shared libraries that come with the server."""
        return self.packages / _LIBRARIES


def find_environment(given: Path | None) -> Environment:
    """The environment given, else ``.venv-triton`` here, else that of the project.

    Raises
    ------
    SettingsInvalid
        There is none, or this machine can not have one; the detail says what to do.
    """
    if reason := unsupported():
        raise SettingsInvalid(reason)
    project = Path(sammoe.__file__).parents[2]
    places = [given] if given else [Path.cwd() / FOLDER, project / FOLDER]
    for place in places:
        for server in sorted(place.glob(f"lib/python3.*/site-packages/{_SERVER}")):
            return Environment(place.absolute(), server.parents[2].name.removeprefix("python"))
    raise SettingsInvalid(
        f"there is no Triton in {places[0]}: `make triton` makes {FOLDER}; elsewhere, install"
        f" {LOCK} of the project into a virtual environment and name it with --environment"
    )


def unsupported() -> str | None:
    """Why Triton can not be installed from PyPI here; None where it can."""
    machine = f"{platform.system()} on {platform.machine()}"
    if machine != "Linux on x86_64":
        return f"PyPI has Triton for Linux on x86_64 alone, not {machine}: use NVIDIA's container"
    if sys.version_info >= (3, 13):
        return (
            f"Triton's environment needs numpy < 2, which Python {platform.python_version()} can"
            " not have: use Python 3.11 or 3.12, or NVIDIA's container"
        )
    return None
