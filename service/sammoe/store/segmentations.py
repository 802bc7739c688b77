"""Segmentations in the store: one file each, of a JSON header and the logits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sammoe.store.files import Scratch, flush_folder, storage_errors
from sammoe.store.folders import Page, ids_in, page
from sammoe.store.frames import damaged, frame, read_frame, read_header
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import Logits, SegmentationRecord
from sammoe.store.volumes import Volumes

_WHAT = "segmentation"
_SUFFIX = ".seg"


class Segmentations:
    """Records and logits of segmentations. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, volumes: Volumes, scratch: Scratch) -> None:
        self._volumes = volumes
        self._scratch = scratch

    def put(self, record: SegmentationRecord, logits: Sequence[Logits]) -> None:
        """Keep a new segmentation; it is on the disk when this returns.

        Parameters
        ----------
        record
            Its ``windows`` say what ``logits`` hold.
        logits
            For each window, its candidates.

        Raises
        ------
        NotFound
            Its volume was deleted.
        """
        arrays = [
            np.ascontiguousarray(candidates[name], dtype="<f4").data
            for window, candidates in zip(record.windows, logits, strict=True)
            for name in window.candidates
        ]
        folder = self._volumes.segmentations_folder(record.owner, record.volume_id)
        pieces = frame(record.model_dump_json().encode(), arrays)
        with storage_errors():
            try:
                self._scratch.write(folder / f"{record.id}{_SUFFIX}", pieces)
            except FileNotFoundError:
                raise not_found("volume") from None

    def get(self, principal: str, name: str) -> SegmentationRecord:
        """Return a segmentation's record without its logits."""
        with storage_errors():
            return self._read(principal, self._find(principal, name))

    def with_logits(
        self, principal: str, name: str, volume_id: str | None = None
    ) -> tuple[SegmentationRecord, list[Logits]]:
        """Return a segmentation's record and, for each window, its candidates, read-only.

        ``volume_id``: its volume where that is known, which saves the search.
        """
        with storage_errors():
            path = self._find(principal, name, volume_id)
            try:
                header, payload = read_frame(path)
            except FileNotFoundError:
                raise not_found(_WHAT) from None
        record = self._checked(principal, path, header)
        return record, _unpack(record, payload)

    def page(
        self, principal: str, volume_id: str, cursor: str | None, limit: int
    ) -> Page[SegmentationRecord]:
        """List a volume's segmentations, newest first."""
        self._volumes.get(principal, volume_id)
        folder = self._volumes.segmentations_folder(principal, volume_id)
        with storage_errors():
            return page(
                ids_in(folder, _SUFFIX),
                cursor,
                limit,
                lambda name: self._read(principal, folder / f"{name}{_SUFFIX}"),
            )

    def delete(self, principal: str, name: str) -> None:
        """Delete a segmentation; those that refine it stay."""
        with storage_errors():
            path = self._find(principal, name)
            try:
                path.unlink()
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            flush_folder(path.parent)

    def _find(self, principal: str, name: str, volume_id: str | None = None) -> Path:
        file = f"{check_id(name, _WHAT)}{_SUFFIX}"
        # Newest first: what is asked for was mostly made just now.
        for volume in [volume_id] if volume_id else reversed(self._volumes.ids(principal)):
            path = self._volumes.segmentations_folder(principal, volume) / file
            if path.exists():
                return path
        raise not_found(_WHAT)

    def _read(self, principal: str, path: Path) -> SegmentationRecord:
        try:
            header = read_header(path)
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        return self._checked(principal, path, header)

    def _checked(self, principal: str, path: Path, header: bytes) -> SegmentationRecord:
        record = SegmentationRecord.parse(header)
        if record.owner != principal or record.id != path.name.removesuffix(_SUFFIX):
            raise not_found(_WHAT)
        return record


def _unpack(record: SegmentationRecord, payload: memoryview) -> list[Logits]:
    values: NDArray[np.float32] = np.frombuffer(payload, dtype="<f4")
    sizes = [(window.cells,) * 3 for window in record.windows for _ in window.candidates]
    if values.size != sum(a * b * c for a, b, c in sizes):
        raise damaged()
    logits: list[Logits] = []
    start = 0
    for window in record.windows:
        count = window.cells**3
        candidates = {}
        for name in window.candidates:
            block = values[start : start + count]
            candidates[name] = block.reshape((window.cells,) * 3)
            start += count
        logits.append(candidates)
    return logits
