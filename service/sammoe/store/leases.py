"""Leases in the store: one small file each, written again with each thing that its viewer does.

Signs of life are in a file beside, so that one that comes while a prompt is being answered does not
take the answer back.
"""

import logging
from contextlib import suppress
from datetime import datetime

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import ids_in
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import LeaseRecord, now

_FOLDER = "leases"
_WHAT = "lease"
_SUFFIX = ".json"

_log = logging.getLogger(__name__)


class Leases:
    """Leases of all principals. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, record: LeaseRecord) -> None:
        """Keep a new lease."""
        with storage_errors():
            self._files.write(_path(record.id), [record.model_dump_json().encode()])

    def change(self, record: LeaseRecord) -> None:
        """Keep a lease that has changed.

        Raises
        ------
        NotFound
            It has ended meanwhile: it does not come back.
        """
        path = _path(record.id)
        with storage_errors():
            try:
                version = self._files.read_versioned(path).version
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            if not self._files.replace(path, [record.model_dump_json().encode()], version):
                raise not_found(_WHAT)

    def touch(self, name: str) -> None:
        """Note a sign of life."""
        with storage_errors():
            if self._files.exists(_path(name)):
                self._files.write(_seen_path(name), [now().isoformat().encode()])

    def get(self, name: str) -> LeaseRecord:
        """Return a lease, whoever owns it, with its last sign of life."""
        with storage_errors():
            try:
                record = LeaseRecord.parse(self._files.read(_path(name)))
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            with suppress(FileNotFoundError, ValueError):
                seen = datetime.fromisoformat(self._files.read(_seen_path(name)).decode())
                record = record.model_copy(update={"seen": max(seen, record.seen)})
        return record

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
            self._files.remove(_seen_path(name))

    def drop(self, volume_id: str) -> None:
        """Delete the leases under which a volume is worked on."""
        for name in self.ids():
            try:
                if self.get(name).volume_id == volume_id:
                    self.delete(name)
            except NotFound:
                continue
            except StoreUnavailable as error:  # damaged, or of another version: it is nobody's
                _log.warning("a lease can not be read: %s", error.code)


def _path(name: str) -> str:
    return f"{_FOLDER}/{check_id(name, _WHAT)}{_SUFFIX}"


def _seen_path(name: str) -> str:
    return f"{_FOLDER}/{check_id(name, _WHAT)}.seen"
