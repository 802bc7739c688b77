"""Looking at every record of a store, whether it can be read and is whole."""

import re
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from math import prod
from typing import Final, Literal

import numpy as np

from sammoe.errors import StoreUnavailable
from sammoe.store.blocks import join_fields
from sammoe.store.files import Entry, Files, storage_errors
from sammoe.store.folders import OWNERS
from sammoe.store.frames import damaged, read_frame
from sammoe.store.keys import KEYS
from sammoe.store.records import (
    KeyRecord,
    LeaseRecord,
    Record,
    ResponseRecord,
    ResultRecord,
    SegmentationRecord,
    VolumeRecord,
    WaitingRecord,
)
from sammoe.store.waiting import WAITING
from sammoe.volume.dicom.source import DicomSource
from sammoe.volume.volume import Volume

_QUARANTINE: Final = "quarantine"

_BESIDE: Final[dict[str, type[LeaseRecord | KeyRecord | WaitingRecord]]] = {
    "leases": LeaseRecord,
    KEYS: KeyRecord,
    WAITING: WaitingRecord,
}
"""Records that are not below an owner, by their folder."""

_VOLUME: Final = re.compile(rf"{OWNERS}/[0-9a-f]{{64}}/volumes/([0-9a-v]{{26}})/")
_ARRAY_HEAD: Final = 4096
"""More than the head of an array's file has."""

Fault = Literal["damaged", "newer", "missing"]


@dataclass(frozen=True)
class Finding:
    """A record that can not be used.

    Attributes
    ----------
    path
        In the store; nothing of a patient's.
    fault
        ``damaged``; ``newer``: another version of the program reads it; ``missing``: something
        that belongs to it is not there.
    """

    path: str
    fault: Fault
    detail: str


class Inspection:
    """One look at a store, which may be in use meanwhile. Blocking; raises `StoreUnavailable`.

    Parameters
    ----------
    deep
        Whether to read all voxels, too, and compare their digests.
    """

    def __init__(self, files: Files, *, deep: bool = False) -> None:
        self._files = files
        self._deep = deep
        with storage_errors():
            self._entries = {entry.path: entry for entry in files.entries(OWNERS)}
            beside = [entry for folder in _BESIDE for entry in files.entries(folder)]
            self._beside = [entry.path for entry in beside]

    def paths(self) -> list[str]:
        """Paths of all records, each volume's own first."""
        found = [
            path
            for path in self._entries
            if path.endswith((".seg", ".json")) or path.split("/")[2] == "responses"
        ]
        found.sort(key=lambda path: (not path.endswith("/volume.json"), path))
        return found + [path for path in self._beside if path.endswith(".json")]

    def look(self, path: str) -> Finding | None:
        """What is wrong with a record, if anything is."""
        try:
            with storage_errors():
                self._read(path)
        except FileNotFoundError:
            return None  # deleted meanwhile
        except StoreUnavailable as error:
            if not error.record:
                raise
            fault: Fault = "newer" if "schema version" in error.detail else "damaged"
            return Finding(path, fault, error.detail)
        except _Missing as error:
            return Finding(path, "missing", str(error)) if self._is_there(path) else None
        return None

    def quarantine(self, finding: Finding) -> bool:
        """Put what is damaged or lacks something aside, under ``quarantine/``; return if it was.

        A volume goes with all that belongs to it, for nothing of that can be used without it. What
        is newer stays: it is well.
        """
        if finding.fault == "newer":
            return False
        with storage_errors():
            paths = [finding.path]
            if finding.path.endswith("/volume.json"):
                folder = finding.path.removesuffix("/volume.json")
                # The record last: as long as it is there, nobody takes the rest for left over.
                paths = sorted(
                    (entry.path for entry in self._files.entries(folder)),
                    key=lambda path: path == finding.path,
                )
            for path in paths:
                self._files.write(f"{_QUARANTINE}/{path}", [self._files.read(path)])
                self._files.remove(path)
        return True

    def remove(self, finding: Finding) -> None:
        """Remove what is not well."""
        with storage_errors():
            if finding.path.endswith("/volume.json"):
                self._files.remove(finding.path)
                self._files.remove_all(finding.path.removesuffix("/volume.json"))
            else:
                self._files.remove(finding.path)

    def _read(self, path: str) -> None:
        name = path.rpartition("/")[2].partition(".")[0]
        beside = _BESIDE.get(path.partition("/")[0])
        if beside is not None:
            _check(beside.parse(self._files.read(path)).id == name)
        elif path.endswith("/volume.json"):
            self._volume(path)
        elif path.endswith(".seg"):
            header, payload = read_frame(self._files, path)
            record = SegmentationRecord.parse(header)
            _check(record.id == name and _is_owned(record, path) and record.volume_id in path)
            join_fields(record, payload)
        elif "/results/" in path:
            self._result(path, name)
        else:
            header, _ = read_frame(self._files, path)
            _check(_is_owned(ResponseRecord.parse(header), path))

    def _volume(self, path: str) -> None:
        folder = path.removesuffix("/volume.json")
        record = VolumeRecord.parse(self._files.read(path))
        _check(record.id == folder.rpartition("/")[2] and _is_owned(record, path))
        voxels = self._entries.get(f"{folder}/voxels.npy")
        if voxels is None:
            raise _Missing("The scan's voxels are not there.")
        self._voxels(record, voxels)
        if record.source is not None:
            if f"{folder}/source" not in self._entries:
                raise _Missing("The headers of the scan's DICOM series are not there.")
            try:
                DicomSource.unpack(self._files.read(f"{folder}/source"))
            except ValueError:
                raise damaged() from None

    def _voxels(self, record: VolumeRecord, entry: Entry) -> None:
        head = self._files.read_start(entry.path, _ARRAY_HEAD)
        try:
            shape, dtype, begin = _array_head(head)
        except ValueError:
            raise damaged() from None
        _check(shape == record.shape and dtype.name == record.dtype)
        _check(entry.size == begin + prod(shape) * dtype.itemsize)
        if self._deep:
            voxels = np.load(self._files.local(entry.path), mmap_mode="r", allow_pickle=False)
            volume = Volume(voxels, record.geometry, record.modality, record.modality_source)
            _check(volume.content_digest() == record.content_digest)

    def _result(self, path: str, name: str) -> None:
        record = ResultRecord.parse(self._files.read(path))
        _check(record.id == name and _is_owned(record, path) and record.volume_id in path)
        folder = path.partition("/results/")[0]
        for entry in record.entries:
            segmentation = f"{folder}/segmentations/{entry.segmentation}.seg"
            if segmentation not in self._entries and not self._files.exists(segmentation):
                raise _Missing("A segmentation that the result holds is not there.")

    def _is_there(self, path: str) -> bool:
        """Whether a record is there still, and its volume."""
        volume = _VOLUME.match(path)
        paths = [path] if volume is None else [path, f"{volume[0]}volume.json"]
        with storage_errors():
            return all(map(self._files.exists, paths))


class _Missing(Exception):
    """Something that belongs to a record is not there."""


def _check(holds: bool) -> None:
    if not holds:
        raise damaged()


def _is_owned(record: Record, path: str) -> bool:
    return path.split("/")[1] == sha256(record.owner.encode()).hexdigest()


def _array_head(head: bytes) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Shape and dtype of an array's file, and where its values begin."""
    file = BytesIO(head)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError("no such version")
    shape, _, dtype = read(file)
    return shape, dtype, file.tell()
