"""Which bundle a command uses when none is named."""

from pathlib import Path
from typing import Final

import sammoe
from sammoe.bundle.bundle import MANIFEST_NAME
from sammoe.errors import SettingsInvalid

FOLDER: Final = "model_repo"


def find_bundle(given: Path | None) -> Path:
    """The folder given, else ``model_repo/`` here, else that of the project or the installation.

    Raises
    ------
    SettingsInvalid
        None is given and none is found.
    """
    if given is not None:
        return given
    package = Path(sammoe.__file__).parent
    places = [Path.cwd() / FOLDER, package.parents[1] / FOLDER, package / FOLDER]
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return place
    raise SettingsInvalid(
        "There is no bundle: name one with --bundle (SAMMOE_BUNDLE), or make one with sammoe import"
    )
