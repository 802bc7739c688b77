"""Everything that the store has of one study, of whatever principal."""

from dataclasses import dataclass

from sammoe.errors import StoreUnavailable
from sammoe.store.deletions import Deletions
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import OWNERS, ids_in
from sammoe.store.records import VolumeRecord
from sammoe.store.waiting import Waiting


@dataclass(frozen=True)
class Purged:
    """How many volumes were deleted, and the folders in the store of those whose record can not be
    read, which may be of the study too."""

    volumes: int
    unread: tuple[str, ...]


class Studies:
    """Blocking; raises `StoreUnavailable`."""

    def __init__(self, files: Files, deletions: Deletions, waiting: Waiting) -> None:
        self._files = files
        self._deletions = deletions
        self._waiting = waiting

    def purge(self, study: str) -> "Purged":
        """Delete every volume of a study, with all that belongs to it.

        Parameters
        ----------
        study
            StudyInstanceUID.
        """
        self._waiting.purge(study)  # first: nobody shall fetch it again
        count, unread = 0, []
        with storage_errors():
            for owner in self._files.names(OWNERS):
                folder = f"{OWNERS}/{owner}/volumes"
                for name in ids_in(self._files, folder):
                    try:
                        text = self._files.read(f"{folder}/{name}/volume.json")
                        record = VolumeRecord.parse(text)
                    except FileNotFoundError:
                        continue
                    except StoreUnavailable as error:
                        if not error.record:
                            raise
                        unread.append(f"{folder}/{name}")
                        continue
                    if record.source and record.source.study == study:
                        count += self._deletions.delete(record)
        return Purged(count, tuple(unread))
