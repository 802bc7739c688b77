"""The store: all kinds of records over one place for files."""

import json
from pathlib import Path

from sammoe.errors import StoreUnavailable
from sammoe.store.deletions import Deletions
from sammoe.store.files import Files, storage_errors
from sammoe.store.folder_files import FolderFiles
from sammoe.store.frames import damaged
from sammoe.store.housekeeping import Housekeeping
from sammoe.store.ids import Ids
from sammoe.store.keys import Keys
from sammoe.store.leases import Leases
from sammoe.store.limits import StoreLimits
from sammoe.store.published import Published
from sammoe.store.records import SCHEMA_VERSION
from sammoe.store.responses import Responses
from sammoe.store.results import Results
from sammoe.store.segmentations import Segmentations
from sammoe.store.studies import Studies
from sammoe.store.usage import Usage
from sammoe.store.volumes import Volumes
from sammoe.store.waiting import Waiting

_VERSION = "store.json"


class Store:
    """Volumes, segmentations, results and kept answers. Several processes may share the files.

    Attributes
    ----------
    volumes, segmentations, results, responses, leases, keys
        The records.
    deletions, housekeeping, studies
        What is going, what should go, and what belongs to a patient's study.
    waiting
        Studies that wait to be prepared.
    published
        Which bundle is active.

    Raises
    ------
    StoreUnavailable
        The files can not be used, or a newer version of the program wrote them.
    """

    def __init__(self, files: Files, limits: StoreLimits | None = None) -> None:
        limits = limits or StoreLimits()
        self._files = files
        with storage_errors():
            _check_version(files)
        self._ids = Ids()
        usage = Usage(files, limits)
        self.keys = Keys(files)
        self.leases = Leases(files)
        self.deletions = Deletions(files, self.leases)
        self.volumes = Volumes(files, limits, usage, self.deletions)
        self.segmentations = Segmentations(files, self.volumes, limits, usage)
        self.results = Results(files, self.volumes)
        self.responses = Responses(files, self.volumes, limits, usage)
        self.published = Published(files)
        self.waiting = Waiting(files)
        self.studies = Studies(files, self.deletions, self.waiting)
        self.housekeeping = Housekeeping(files, limits, self.deletions)

    def new_id(self, within: str = "") -> str:
        """Return an id for a new record, perhaps one that belongs to the record ``within``."""
        return self._ids.new(within)

    @property
    def files(self) -> Files:
        """Where everything lies, for who looks at the store as a whole."""
        return self._files

    @property
    def temporary_folder(self) -> Path:
        """Folder for this process's unfinished files, such as uploads; empty after a crash."""
        return self._files.temporary_folder

    def check(self) -> None:
        """Return if the store can be written."""
        with storage_errors():
            self._files.check()

    def close(self) -> None:
        """Remove this process's unfinished files."""
        self._files.close()


class LocalStore(Store):
    """A store in a folder of a POSIX file system: the default, safe against a kill at any moment.

    Parameters
    ----------
    root
        Made when missing, readable by this user alone.
    """

    def __init__(self, root: Path, limits: StoreLimits | None = None) -> None:
        with storage_errors():
            files = FolderFiles(root)
        try:
            super().__init__(files, limits)
        except BaseException:
            files.close()
            raise


def _check_version(files: Files) -> None:
    """Mark a new store; refuse one of another version."""
    text = json.dumps({"schema_version": SCHEMA_VERSION}) + "\n"
    try:
        version = json.loads(files.read(_VERSION))["schema_version"]
    except FileNotFoundError:
        files.write(_VERSION, [text.encode()])
        return
    except (ValueError, KeyError, TypeError) as error:
        raise damaged() from error
    if version != SCHEMA_VERSION:
        raise StoreUnavailable(
            f"The store has schema version {version!r}; this program reads {SCHEMA_VERSION}:"
            " use the version of sammoe that wrote it, or newer."
        )
