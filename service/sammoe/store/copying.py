"""Copying a store while it is in use, into one that is empty: backup and restore.

Each volume is copied with what belongs to it, its record last, as it is written; one that is
deleted meanwhile is left out. What refers to other records is copied so that those are in the copy:
kept answers before what they tell of, and a result again where a segmentation of it is not there.
API keys are copied, and that they are revoked. Leases, deletions, studies that wait to be prepared,
and what is made anew are not.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sammoe.errors import StoreUnavailable
from sammoe.store.files import Files, storage_errors
from sammoe.store.folders import OWNERS, ids_in, owner_folder
from sammoe.store.frames import parse_frame
from sammoe.store.keys import KEYS, REVOKED
from sammoe.store.lists import entries_of
from sammoe.store.records import ResponseRecord, ResultRecord, VolumeRecord

_PUBLISHED: Final = "published.json"
_TRIES: Final = 5


@dataclass
class Copied:
    """How many records a copy has."""

    volumes: int = 0
    segmentations: int = 0
    results: int = 0
    answers: int = 0


def copy_store(
    source: Files, target: Files, progress: Callable[[int, int], None] | None = None
) -> Copied:
    """Copy all records of a store.

    Parameters
    ----------
    source
        May be in use.
    target
        Of a store without records.
    progress
        Told how many volumes are done, of how many.

    Raises
    ------
    StoreUnavailable
        One of the two failed, or ``target`` has records.
    """
    copied = Copied()
    with storage_errors():
        if target.names(OWNERS):
            raise StoreUnavailable("The place to copy to has records: name an empty one.")
        folders = [
            f"{OWNERS}/{owner}/volumes/{name}"
            for owner in source.names(OWNERS)
            for name in ids_in(source, f"{OWNERS}/{owner}/volumes")
        ]
        for owner in source.names(OWNERS):
            for name in source.names(f"{OWNERS}/{owner}/responses"):
                _copy(source, target, f"{OWNERS}/{owner}/responses/{name}")
        for done, folder in enumerate(folders):
            _Volume(source, target, folder).copy(copied)
            if progress is not None:
                progress(done + 1, len(folders))
        _keep_what_has_a_volume(source, target, copied)
        with suppress(FileNotFoundError):
            target.write(_PUBLISHED, [source.read(_PUBLISHED)])
        # First what is revoked: a key shall not open the copy for a moment, either.
        for name in sorted(source.names(KEYS), key=lambda name: not name.endswith(REVOKED)):
            _copy(source, target, f"{KEYS}/{name}")
    return copied


class _Volume:
    """One volume, and what belongs to it."""

    def __init__(self, source: Files, target: Files, folder: str) -> None:
        self._source = source
        self._target = target
        self._folder = folder
        self._record = f"{folder}/volume.json"

    def copy(self, copied: Copied) -> None:
        source, target, folder = self._source, self._target, self._folder
        try:
            text = source.read(self._record)
            self._copy_voxels()
        except FileNotFoundError:
            return  # deleted, or not yet added
        _copy(source, target, f"{folder}/source")
        results = [name for name in source.names(f"{folder}/results") if name.endswith(".json")]
        for kind in ("responses", "segmentations"):
            for name in source.names(f"{folder}/{kind}"):
                _copy(source, target, f"{folder}/{kind}/{name}")
        for name in results:
            self._copy_result(f"{folder}/results/{name}")
        if not source.exists(self._record):
            target.remove_all(folder)
            return
        with suppress(StoreUnavailable):  # damaged, and so without content
            record = VolumeRecord.parse(text)
            for path, content in entries_of(record).items():
                target.write(path, [content])
        target.write(self._record, [text])
        copied.volumes += 1
        copied.segmentations += len(target.names(f"{folder}/segmentations"))
        copied.results += len(target.names(f"{folder}/results"))

    def _copy_voxels(self) -> None:
        path = f"{self._folder}/voxels.npy"
        # The copy, if it is one, may be dropped before it is read, for want of room: once more.
        for last in (False, True):
            unfinished = self._target.temporary_folder / "copying"
            try:
                shutil.copyfile(self._source.local(path), unfinished)
                break
            except FileNotFoundError:
                if last:
                    raise
        try:
            self._target.adopt(path, unfinished)
        finally:
            unfinished.unlink(missing_ok=True)
        self._source.forget(path)
        self._target.forget(path)

    def _copy_result(self, path: str) -> None:
        """Copy a result whose segmentations are in the copy, as long as there is one such."""
        with suppress(FileNotFoundError):
            for _ in range(_TRIES):
                text = self._source.read(path)
                try:
                    entries = ResultRecord.parse(text).entries
                except StoreUnavailable:
                    break  # damaged: as it is
                places = [f"{self._folder}/segmentations/{e.segmentation}.seg" for e in entries]
                missing = [place for place in places if not self._target.exists(place)]
                if all(_copy(self._source, self._target, place) for place in missing):
                    break
            self._target.write(path, [text])


def _copy(source: Files, target: Files, path: str) -> bool:
    """Copy a file; return whether it was there."""
    try:
        target.write(path, [source.read(path)])
    except FileNotFoundError:
        return False
    return True


def _keep_what_has_a_volume(source: Files, target: Files, copied: Copied) -> None:
    """Copy names of uploads whose volume was copied; remove answers about other volumes."""
    for owner in target.names(OWNERS):
        folder = f"{OWNERS}/{owner}"
        volumes = set(target.names(f"{folder}/volumes"))
        shared: dict[str, set[str]] = {}
        for name in source.names(f"{folder}/uploads"):
            with suppress(FileNotFoundError):
                content = source.read(f"{folder}/uploads/{name}")
                if content.decode("ascii", "replace") in volumes:
                    target.write(f"{folder}/uploads/{name}", [content])
        for name in target.names(f"{folder}/responses"):
            path = f"{folder}/responses/{name}"
            with suppress(StoreUnavailable):  # damaged: as it is
                record = ResponseRecord.parse(parse_frame(target.read(path))[0])
                there = volumes
                if record.volume_owner is not None:
                    place = f"{owner_folder(record.volume_owner)}/volumes"
                    there = shared.setdefault(place, set(target.names(place)))
                if record.volume_id is not None and record.volume_id not in there:
                    target.remove(path)
                    continue
            copied.answers += 1
