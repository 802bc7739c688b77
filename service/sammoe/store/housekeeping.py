"""Tidying up: what is too old, and what processes left behind that died."""

import logging
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sammoe.errors import StoreUnavailable
from sammoe.store.deletions import Deletions
from sammoe.store.files import Entry, Files, storage_errors
from sammoe.store.folders import CONTENTS, OWNERS, PROJECTS
from sammoe.store.ids import earliest
from sammoe.store.limits import Keeping, StoreLimits
from sammoe.store.records import VolumeRecord, now

TURN_SECONDS: Final = 3600.0
"""How often a store is tidied up, however many processes share it."""

_UNFINISHED_SECONDS: Final = 24 * 3600.0
"""A volume whose record is missing for so long is not being added, but was left behind."""

_TURN: Final = "housekeeping"

_log = logging.getLogger(__name__)


class Housekeeping:
    """Reads lists, not contents. Blocking; raises `StoreUnavailable`."""

    def __init__(self, files: Files, limits: StoreLimits, deletions: Deletions) -> None:
        self._files = files
        self._limits = limits
        self._deletions = deletions

    def run_in_turn(self) -> bool:
        """Tidy up unless somebody did within the hour; return whether it was done."""
        with storage_errors():
            if not self._take_turn():
                return False
        self.run()
        return True

    def run(self) -> None:
        """Tidy up now."""
        moment = now()
        with storage_errors():
            volumes: set[str] = set()
            for owner in self._files.names(OWNERS):
                volumes |= self._tidy(f"{OWNERS}/{owner}", moment)
            for folder in (CONTENTS, PROJECTS):
                for entry in list(self._files.entries(folder)):
                    gone = entry.path.rpartition("/")[2] not in volumes
                    if gone and _older(entry, moment, _UNFINISHED_SECONDS):
                        self._files.remove(entry.path)
            self._deletions.finish()

    def _take_turn(self) -> bool:
        moment = now()
        later = (moment + timedelta(seconds=TURN_SECONDS)).isoformat().encode()
        try:
            turn = self._files.read_versioned(_TURN)
        except FileNotFoundError:
            return self._files.create(_TURN, [later])
        if datetime.fromisoformat(turn.content.decode()) > moment:
            return False
        return self._files.replace(_TURN, [later], turn.version)

    def _tidy(self, owner: str, moment: datetime) -> set[str]:
        """Tidy up after one principal; return the ids of volumes that are there, or may become."""
        volumes: dict[str, list[Entry]] = defaultdict(list)
        for entry in list(self._files.entries(owner)):
            kind, *parts = entry.path.removeprefix(f"{owner}/").split("/")
            if kind == "volumes":
                volumes[parts[0]].append(entry)
            elif kind == "responses" and _too_old(entry, moment, self._limits.responses):
                self._files.remove(entry.path)
        stale = {name for name, entries in volumes.items() if self._tidy_one(entries, moment)}
        return volumes.keys() - stale

    def _tidy_one(self, entries: list[Entry], moment: datetime) -> bool:
        """Tidy up one volume; return whether it is gone."""
        folder = "/".join(entries[0].path.split("/")[:4])
        record = f"{folder}/volume.json"
        if not any(entry.path == record for entry in entries):
            left = all(_older(entry, moment, _UNFINISHED_SECONDS) for entry in entries)
            if left:
                self._files.remove_all(folder)
            return left
        if _made_before(folder, moment, self._limits.volumes):
            try:
                with suppress(FileNotFoundError):
                    self._deletions.delete(VolumeRecord.parse(self._files.read(record)))
            except StoreUnavailable as error:  # damaged, or of another version: on to the next
                _log.warning("a volume that is too old can not be read: %s", error.code)
                return False
            return True
        for entry in entries:
            if entry.path.endswith(".seg"):
                name = entry.path.removesuffix(".seg")
                gone = _made_before(name, moment, self._limits.segmentations)
            else:
                promise = entry.path.startswith(f"{folder}/responses/")
                gone = promise and _too_old(entry, moment, self._limits.responses)
            if gone:
                self._files.remove(entry.path)
        return False


def _older(entry: Entry, moment: datetime, seconds: float) -> bool:
    return moment - entry.modified > timedelta(seconds=seconds)


def _too_old(entry: Entry, moment: datetime, keeping: Keeping) -> bool:
    return keeping.seconds is not None and _older(entry, moment, keeping.seconds)


def _made_before(path: str, moment: datetime, keeping: Keeping) -> bool:
    """Whether the id at the end of a path is too old."""
    if keeping.seconds is None:
        return False
    return path.rpartition("/")[2] < earliest(moment.timestamp() - keeping.seconds)
