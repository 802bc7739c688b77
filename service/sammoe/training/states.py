"""The state that a run goes on from: one file in its folder, replaced whole."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from sammoe.errors import SettingsInvalid
from sammoe.files import replacing

FILE: Final = "state.pt"


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the old state; raises as `sammoe.files.replacing` does."""
    with replacing(folder / FILE) as stream:
        try:
            torch.save(dict(state), stream)
        except RuntimeError as error:
            # The archive's own complaint hides why the stream took no more.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_state(
    folder: Path, names: Collection[str], device: torch.device | str = "cpu"
) -> dict[str, Any] | None:
    """The state in a folder, if there is one.

    Parameters
    ----------
    names
        What a state of this kind of run holds, at least.

    Raises
    ------
    SettingsInvalid
        The file is damaged, or of another kind of run.
    OSError
        It can not be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged file can fail in any way within the parser
        raise SettingsInvalid(f"{path} is damaged: remove it to begin anew") from error
    if not isinstance(state, dict) or not state.keys() >= set(names):
        raise SettingsInvalid(f"{path} is of another kind of run: give another --out")
    return state
