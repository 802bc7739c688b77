"""Leases in the store: one small file each, written again with each thing that its viewer does."""

from pathlib import Path

from sammoe.store.files import Scratch, flush_folder, make_folder, storage_errors
from sammoe.store.folders import ids_in
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import LeaseRecord

_WHAT = "lease"
_SUFFIX = ".json"


class Leases:
    """Leases of all principals. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, root: Path, scratch: Scratch) -> None:
        self._folder = root / "leases"
        self._scratch = scratch

    def put(self, record: LeaseRecord) -> None:
        """Keep a lease, new or changed."""
        with storage_errors():
            make_folder(self._folder)
            self._scratch.write(self._path(record.id), [record.model_dump_json().encode()])

    def get(self, name: str) -> LeaseRecord:
        """Return a lease, whoever owns it."""
        with storage_errors():
            try:
                return LeaseRecord.parse(self._path(name).read_bytes())
            except FileNotFoundError:
                raise not_found(_WHAT) from None

    def ids(self) -> list[str]:
        """Return the ids of all leases."""
        with storage_errors():
            return ids_in(self._folder, _SUFFIX)

    def delete(self, name: str) -> None:
        """Delete a lease.

        Raises
        ------
        NotFound
            It is not there: perhaps another process was faster.
        """
        with storage_errors():
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            flush_folder(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / f"{check_id(name, _WHAT)}{_SUFFIX}"
