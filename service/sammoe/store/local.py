"""State in a local folder: the default store, safe against a kill at any moment."""

import json
from pathlib import Path

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Scratch, storage_errors
from sammoe.store.frames import damaged
from sammoe.store.ids import Ids
from sammoe.store.records import SCHEMA_VERSION
from sammoe.store.responses import Responses
from sammoe.store.results import Results
from sammoe.store.segmentations import Segmentations
from sammoe.store.volumes import Volumes


class LocalStore:
    """Volumes, segmentations, results and kept answers in a folder of a POSIX file system.

    Several processes may share the folder. What a process left unfinished when it died is removed
    when the next one starts.

    Parameters
    ----------
    root
        Made when missing, readable by this user alone.

    Raises
    ------
    StoreUnavailable
        The folder can not be used, or a newer version of the program wrote it.
    """

    def __init__(self, root: Path) -> None:
        with storage_errors():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            version = root / "store.json"
            known = _check_version(version)
            self._scratch = Scratch(root)
            if not known:
                text = json.dumps({"schema_version": SCHEMA_VERSION}) + "\n"
                self._scratch.write(version, [text.encode()])
        self._ids = Ids()
        self.volumes = Volumes(root, self._scratch)
        self.segmentations = Segmentations(self.volumes, self._scratch)
        self.results = Results(self.volumes, self._scratch)
        self.responses = Responses(root, self._scratch)
        self.responses.sweep()

    def new_id(self) -> str:
        """Return an id for a new record."""
        return self._ids.new()

    @property
    def temporary_folder(self) -> Path:
        """Folder for this process's unfinished files, such as uploads; empty after a crash."""
        return self._scratch.folder

    def close(self) -> None:
        """Remove this process's unfinished files."""
        self._scratch.close()


def _check_version(path: Path) -> bool:
    """Whether there is a store already; refuses one of another version."""
    try:
        version = json.loads(path.read_bytes())["schema_version"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise damaged() from error
    if version != SCHEMA_VERSION:
        raise StoreUnavailable(
            f"The store has schema version {version!r}; this program reads {SCHEMA_VERSION}:"
            " use the version of sammoe that wrote it, or newer."
        )
    return True
