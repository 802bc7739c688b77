"""API keys in the store: a small file each, and another beside it that says that it is revoked.

Neither is ever removed: a key that was revoked does not come back, and whoever looks sees with one
list what is new.
"""

import logging
from collections.abc import Mapping
from typing import Final

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Files, storage_errors
from sammoe.store.ids import check_id, is_id, not_found
from sammoe.store.records import KeyRecord, now

KEYS: Final = "keys"
"""Folder of all keys."""

_SUFFIX = ".json"
REVOKED: Final = ".revoked"
"""End of the names of files that say so."""

_WHAT = "key"

_log = logging.getLogger(__name__)


class Keys:
    """Keys of all principals. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def add(self, record: KeyRecord) -> None:
        """Keep a new key."""
        with storage_errors():
            self._files.write(_path(record.id, _SUFFIX), [record.model_dump_json().encode()])

    def look(self, known: Mapping[str, KeyRecord] | None = None) -> dict[str, KeyRecord]:
        """Return all keys by id, with what is revoked; those that are ``known`` are not read."""
        known = known or {}
        found = {}
        with storage_errors():
            names = set(self._files.names(KEYS))
            for file in sorted(names):
                name = file.removesuffix(_SUFFIX)
                if not (file.endswith(_SUFFIX) and is_id(name)):
                    continue
                record = known.get(name) or self._read_if_sound(name)
                if record is None:
                    continue
                revoked = f"{name}{REVOKED}" in names
                if revoked != record.revoked:
                    record = record.model_copy(update={"revoked": revoked})
                found[name] = record
        return found

    def revoke(self, name: str) -> KeyRecord:
        """Let a key open nothing any more; return it."""
        with storage_errors():
            record = self._read(check_id(name, _WHAT))
            self._files.write(_path(name, REVOKED), [now().isoformat().encode()])
        return record.model_copy(update={"revoked": True})

    def any(self) -> bool:
        """Whether there ever was a key."""
        with storage_errors():
            return any(name.endswith(_SUFFIX) for name in self._files.names(KEYS))

    def _read_if_sound(self, name: str) -> KeyRecord | None:
        text = self._files.read(_path(name, _SUFFIX))
        try:
            return KeyRecord.parse(text)
        except StoreUnavailable as error:  # damaged, or of another version: it opens nothing
            _log.warning("a key can not be read: %s", error.code)
            return None

    def _read(self, name: str) -> KeyRecord:
        try:
            return KeyRecord.parse(self._files.read(_path(name, _SUFFIX)))
        except FileNotFoundError:
            raise not_found(_WHAT) from None


def _path(name: str, suffix: str) -> str:
    return f"{KEYS}/{name}{suffix}"
