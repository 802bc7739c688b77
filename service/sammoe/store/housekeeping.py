"""Tidying up: what is too old, and what processes left behind that died."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Set
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sammoe.audit import UNTOLD, Deeds
from sammoe.errors import StoreUnavailable
from sammoe.store.deletions import Deletions
from sammoe.store.files import Entry, Files, storage_errors
from sammoe.store.folders import CONTENTS, OWNERS, PROJECTS
from sammoe.store.limits import Keeping, StoreLimits
from sammoe.store.records import VolumeRecord, now
from sammoe.store.results import held_segmentations

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

    def run_in_turn(self, deeds: Deeds = UNTOLD) -> bool:
        """Tidy up unless somebody did within the hour; return whether it was done.

        Parameters
        ----------
        deeds
            Told of each volume and segmentation that is deleted because it is too old.
        """
        with storage_errors():
            if not self._take_turn():
                return False
        self.run(deeds)
        return True

    def run(self, deeds: Deeds = UNTOLD) -> None:
        """Tidy up now; see `run_in_turn`."""
        moment = now()
        with storage_errors():
            volumes: set[str] = set()
            for owner in self._files.names(OWNERS):
                volumes |= self._tidy(f"{OWNERS}/{owner}", moment, deeds)
            for folder in (CONTENTS, PROJECTS):
                self._remove_left(list(self._files.entries(folder)), volumes, moment)
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

    def _tidy(self, owner: str, moment: datetime, deeds: Deeds) -> set[str]:
        """Tidy up after one principal; return the ids of volumes that are there, or may become."""
        volumes: dict[str, list[Entry]] = defaultdict(list)
        series: list[Entry] = []
        for entry in list(self._files.entries(owner)):
            kind, *parts = entry.path.removeprefix(f"{owner}/").split("/")
            if kind == "volumes":
                volumes[parts[0]].append(entry)
            elif kind == "series":
                series.append(entry)
            elif kind == "responses" and _too_old(entry, moment, self._limits.responses):
                self._files.remove(entry.path)
        stale = {
            name for name, entries in volumes.items() if self._tidy_one(entries, moment, deeds)
        }
        there = volumes.keys() - stale
        self._remove_left(series, there, moment)
        return there

    def _remove_left(self, entries: Iterable[Entry], there: Set[str], moment: datetime) -> None:
        """Remove what names a volume that is not there, and will not be any more."""
        for entry in entries:
            gone = entry.path.rpartition("/")[2] not in there
            if gone and _older(entry, moment, _UNFINISHED_SECONDS):
                self._files.remove(entry.path)

    def _tidy_one(self, entries: list[Entry], moment: datetime, deeds: Deeds) -> bool:
        """Tidy up one volume; return whether it is gone."""
        folder = "/".join(entries[0].path.split("/")[:4])
        record = f"{folder}/volume.json"
        if not any(entry.path == record for entry in entries):
            left = all(_older(entry, moment, _UNFINISHED_SECONDS) for entry in entries)
            if left:
                self._files.remove_all(folder)
            return left
        if self._limits.volumes.is_over(folder.rpartition("/")[2], moment.timestamp()):
            try:
                with suppress(FileNotFoundError):
                    self._delete(VolumeRecord.parse(self._files.read(record)), deeds)
            except StoreUnavailable as error:  # damaged, or of another version: on to the next
                _log.warning("a volume that is too old can not be read: %s", error.code)
                return False
            return True
        over = []
        for entry in entries:
            name = entry.path.rpartition("/")[2]
            if entry.path.startswith(f"{folder}/responses/"):
                if _too_old(entry, moment, self._limits.responses):
                    self._files.remove(entry.path)
            elif name.endswith(".seg"):
                name = name.removesuffix(".seg")
                if self._limits.segmentations.is_over(name, moment.timestamp()):
                    over.append((name, entry.path))
        if over:
            self._remove_over(folder, over, deeds)
        return False

    def _delete(self, record: VolumeRecord, deeds: Deeds) -> None:
        if self._deletions.delete(record):
            source = record.source
            deeds.tell(
                "volume.delete",
                volume=record.id,
                owner=record.owner,
                project=record.project,
                study=None if source is None else source.study,
                series=None if source is None else source.series,
            )

    def _remove_over(self, folder: str, over: Iterable[tuple[str, str]], deeds: Deeds) -> None:
        """Remove those segmentations of a volume, each an id and a path, that no result holds."""
        try:
            held = held_segmentations(self._files, folder)
        except StoreUnavailable as error:  # damaged: what it holds is not known, so all stays
            _log.warning("a result can not be read, its segmentations stay: %s", error.code)
            return
        for name, path in over:
            if name not in held:
                self._files.remove(path)
                volume = folder.rpartition("/")[2]
                deeds.tell("segmentation.delete", segmentation=name, volume=volume)


def _older(entry: Entry, moment: datetime, seconds: float) -> bool:
    return moment - entry.modified > timedelta(seconds=seconds)


def _too_old(entry: Entry, moment: datetime, keeping: Keeping) -> bool:
    return keeping.seconds is not None and _older(entry, moment, keeping.seconds)
