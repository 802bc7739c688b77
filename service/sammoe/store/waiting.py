"""Studies that wait to be prepared: a small file each, until that is done.

Any front end takes the oldest that nobody is at, and says again and again that it is at it. So one
whose front end died, or failed, is taken once more; but not for ever.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Files, storage_errors
from sammoe.store.files import Versioned as Read
from sammoe.store.folders import ids_in
from sammoe.store.records import WaitingRecord, now

WAITING: Final = "waiting"
"""Folder of all of them."""

SILENT_SECONDS: Final = 120.0
"""Who has not said for so long that it is at a study is dead, or has failed."""

MOST_TRIES: Final = 3

_SUFFIX: Final = ".json"

_log = logging.getLogger(__name__)


class Waiting:
    """Studies of all principals. Blocking, from any thread; raises `StoreUnavailable`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def add(self, record: WaitingRecord) -> None:
        """Let one wait."""
        with storage_errors():
            self._files.write(_path(record.id), [_text(record)])

    def count(self) -> int:
        """How many wait, or are being prepared."""
        with storage_errors():
            return len(ids_in(self._files, WAITING, _SUFFIX))

    def take(self) -> WaitingRecord | None:
        """Return the oldest that nobody is at, which the caller is at from now on."""
        with storage_errors():
            for record, read in self._all():
                moment = now()
                silent = timedelta(seconds=SILENT_SECONDS)
                if record.taken is not None and moment - record.taken < silent:
                    continue
                if record.tries >= MOST_TRIES:
                    _log.warning("a study was not prepared in %d trials", MOST_TRIES)
                    self._files.remove(_path(record.id))
                    continue
                changes = {"taken": moment, "tries": record.tries + 1}
                taken = record.model_copy(update=changes)
                if self._files.replace(_path(record.id), [_text(taken)], read.version):
                    return taken
        return None

    def keep(self, record: WaitingRecord) -> None:
        """Say that the caller is still at it."""
        self._change(record.model_copy(update={"taken": now()}))

    def give_back(self, record: WaitingRecord) -> None:
        """Let another take one that the caller has not finished, at once."""
        self._change(record.model_copy(update={"taken": None, "tries": record.tries - 1}))

    def done(self, record: WaitingRecord) -> None:
        """It waits no more."""
        with storage_errors():
            self._files.remove(_path(record.id))

    def purge(self, study: str) -> None:
        """Forget a study."""
        with storage_errors():
            for record, _ in self._all():
                if record.study == study:
                    self._files.remove(_path(record.id))

    def _all(self) -> Iterator[tuple[WaitingRecord, Read]]:
        """Those that can be read, oldest first."""
        for name in ids_in(self._files, WAITING, _SUFFIX):
            try:
                read = self._files.read_versioned(_path(name))
                yield WaitingRecord.parse(read.content), read
            except FileNotFoundError:
                continue  # done meanwhile
            except StoreUnavailable as error:
                if not error.record:
                    raise

    def _change(self, record: WaitingRecord) -> None:
        path = _path(record.id)
        with storage_errors():
            try:
                version = self._files.read_versioned(path).version
            except FileNotFoundError:
                return  # purged
            self._files.replace(path, [_text(record)], version)


def _path(name: str) -> str:
    return f"{WAITING}/{name}{_SUFFIX}"


def _text(record: WaitingRecord) -> bytes:
    return record.model_dump_json().encode()
