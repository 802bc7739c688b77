"""Everything that the store has of one study, of whatever principal."""

from sammoe.store.deletions import Deletions
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import OWNERS, ids_in
from sammoe.store.records import VolumeRecord


class Studies:
    """Blocking; raises `StoreUnavailable`."""

    def __init__(self, files: Files, deletions: Deletions) -> None:
        self._files = files
        self._deletions = deletions

    def purge(self, study: str) -> int:
        """Delete every volume of a study, with all that belongs to it; return how many there were.

        Parameters
        ----------
        study
            StudyInstanceUID.
        """
        count = 0
        with storage_errors():
            for owner in self._files.names(OWNERS):
                folder = f"{OWNERS}/{owner}/volumes"
                for name in ids_in(self._files, folder):
                    record = self._read(f"{folder}/{name}/volume.json")
                    if record is not None and record.source and record.source.study == study:
                        count += self._deletions.delete(record)
        return count

    def _read(self, path: str) -> VolumeRecord | None:
        try:
            return VolumeRecord.parse(self._files.read(path))
        except FileNotFoundError:
            return None
