"""Leases in the store: one small file each, written again with each thing that its viewer does."""

from contextlib import suppress

from sammoe.errors import NotFound
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import ids_in
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import LeaseRecord

_FOLDER = "leases"
_WHAT = "lease"
_SUFFIX = ".json"


class Leases:
    """Leases of all principals. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, record: LeaseRecord) -> None:
        """Keep a lease, new or changed."""
        with storage_errors():
            self._files.write(_path(record.id), [record.model_dump_json().encode()])

    def get(self, name: str) -> LeaseRecord:
        """Return a lease, whoever owns it."""
        with storage_errors():
            try:
                return LeaseRecord.parse(self._files.read(_path(name)))
            except FileNotFoundError:
                raise not_found(_WHAT) from None

    def ids(self) -> list[str]:
        """Return the ids of all leases."""
        with storage_errors():
            return ids_in(self._files, _FOLDER, _SUFFIX)

    def delete(self, name: str) -> None:
        """Delete a lease.

        Raises
        ------
        NotFound
            It is not there: perhaps another process was faster.
        """
        with storage_errors():
            if not self._files.exists(_path(name)):
                raise not_found(_WHAT)
            self._files.remove(_path(name))

    def drop(self, volume_id: str) -> None:
        """Delete the leases under which a volume is worked on."""
        for name in self.ids():
            with suppress(NotFound):
                if self.get(name).volume_id == volume_id:
                    self.delete(name)


def _path(name: str) -> str:
    return f"{_FOLDER}/{check_id(name, _WHAT)}{_SUFFIX}"
