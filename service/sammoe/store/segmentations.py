"""Segmentations in the store: one file each, of a JSON header and the logits."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress

from sammoe.errors import NotFound
from sammoe.store.blocks import cut_fields, join_fields
from sammoe.store.files import Files, Piece, storage_errors, undone
from sammoe.store.folders import Page, ids_in, page, volume_folder
from sammoe.store.frames import frame, parse_frame, read_frame, read_header
from sammoe.store.ids import check_id, is_within, not_found
from sammoe.store.limits import StoreLimits
from sammoe.store.records import Fields, SegmentationRecord
from sammoe.store.results import held_segmentations
from sammoe.store.usage import Usage
from sammoe.store.volumes import Volumes
from sammoe.volume.field import Field

_WHAT = "segmentation"
_SUFFIX = ".seg"


class Segmentations:
    """Records and logits of segmentations. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, files: Files, volumes: Volumes, limits: StoreLimits, usage: Usage) -> None:
        self._files = files
        self._volumes = volumes
        self._keeping = limits.segmentations
        self._usage = usage

    def put(
        self, record: SegmentationRecord, fields: Fields, *, promised: bool = False
    ) -> SegmentationRecord:
        """Keep a new segmentation; it is durable when this returns.

        Parameters
        ----------
        record
            Its ``fields`` are what is kept here, whatever they were.
        fields
            Its candidates; values that float16 has.
        promised
            Somebody knows its id, and will ask again: what was written stays where the store fails.

        Returns
        -------
        The record that was kept; the earlier one where the id has one.

        Raises
        ------
        NotFound
            Its volume was deleted.
        QuotaExceeded
            The owner has no room left for it.
        """
        record, pieces = _framed(record, fields)
        path = _path(record.owner, check_id(record.volume_id, "volume"), record.id)
        with storage_errors():
            size = sum(len(piece) for piece in pieces)
            self._usage.take(record.owner, "segmentations", size)
            with nullcontext() if promised else undone(self._files, path):
                made = self._files.create(path, pieces)
                try:
                    # Only now: a deletion from here on finds what was written.
                    self._volumes.check(record.owner, record.volume_id)
                except NotFound:
                    self._files.remove(path)
                    raise
        return record if made else self.get(record.owner, record.id)

    def add(self, principal: str, name: str, candidate: str, field: Field) -> SegmentationRecord:
        """Keep one more candidate of a segmentation, as it is when this is written.

        Returns
        -------
        The record that is kept; the earlier one where it has the candidate already.

        Raises
        ------
        NotFound
            It was deleted, be it in this moment.
        QuotaExceeded
            The owner has no room left for it.
        """
        with storage_errors():
            for path in self._places(principal, name):
                with suppress(FileNotFoundError):
                    while True:
                        found = self._files.read_versioned(path)
                        header, payload = parse_frame(found.content)
                        record = self._checked(principal, name, header)
                        kept = join_fields(record, payload)
                        if candidate in kept:
                            return record
                        record, pieces = _framed(record, {**kept, candidate: field})
                        more = sum(len(piece) for piece in pieces) - len(found.content)
                        self._usage.take(principal, "segmentations", more)
                        if self._files.replace(path, pieces, found.version):
                            return record
        raise not_found(_WHAT)

    def get(self, principal: str, name: str) -> SegmentationRecord:
        """Return a segmentation's record without its logits."""
        with storage_errors():
            for path in self._places(principal, name):
                try:
                    return self._checked(principal, name, read_header(self._files, path))
                except FileNotFoundError:
                    continue
        raise not_found(_WHAT)

    def with_fields(
        self, principal: str, name: str, volume_id: str | None = None
    ) -> tuple[SegmentationRecord, Fields]:
        """Return a segmentation's record and its candidates, read-only.

        ``volume_id``: its volume where that is known, which saves the search.
        """
        with storage_errors():
            for path in self._places(principal, name, volume_id):
                try:
                    header, payload = read_frame(self._files, path)
                except FileNotFoundError:
                    continue
                record = self._checked(principal, name, header)
                return record, join_fields(record, payload)
        raise not_found(_WHAT)

    def page(
        self, principal: str, volume_id: str, cursor: str | None, limit: int
    ) -> Page[SegmentationRecord]:
        """List a volume's segmentations, newest first."""
        self._volumes.get(principal, volume_id)
        folder = f"{volume_folder(principal, volume_id)}/segmentations"
        with storage_errors():
            ids = ids_in(self._files, folder, _SUFFIX)
            if any(map(self._keeping.is_over, ids)):
                held = held_segmentations(self._files, volume_folder(principal, volume_id))
                ids = [name for name in ids if name in held or not self._keeping.is_over(name)]
            return page(
                ids,
                cursor,
                limit,
                lambda name: self._read(principal, name, _path(principal, volume_id, name)),
            )

    def delete(self, principal: str, name: str) -> None:
        """Delete a segmentation; those that refine it stay."""
        with storage_errors():
            for path in self._places(principal, name):
                if self._files.exists(path):
                    self._files.remove(path)
                    self._usage.forget(principal)
                    return
        raise not_found(_WHAT)

    def _places(self, principal: str, name: str, volume_id: str | None = None) -> Iterator[str]:
        """Where a segmentation may lie; what is likelier comes first.

        One whose time is over is there as long as a result holds it.
        """
        over = self._keeping.is_over(check_id(name, _WHAT))
        if volume_id is not None:
            volumes = [volume_id]
        else:
            # Of those that its id does not speak for, newest first; earlier ids speak for none.
            newest = reversed(self._volumes.ids(principal))
            volumes = sorted(newest, key=lambda volume: not is_within(name, volume))
        for volume in volumes:
            folder = volume_folder(principal, volume)
            if not over or name in held_segmentations(self._files, folder):
                yield _path(principal, volume, name)

    def _read(self, principal: str, name: str, path: str) -> SegmentationRecord:
        try:
            header = read_header(self._files, path)
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        return self._checked(principal, name, header)

    def _checked(self, principal: str, name: str, header: bytes) -> SegmentationRecord:
        record = SegmentationRecord.parse(header)
        if record.owner != principal or record.id != name:
            raise not_found(_WHAT)
        return record


def _framed(record: SegmentationRecord, fields: Fields) -> tuple[SegmentationRecord, list[Piece]]:
    """The record with its fields, and the pieces of its file."""
    places, payload = cut_fields(fields)
    record = record.model_copy(update={"fields": places})
    return record, frame(record.model_dump_json().encode(), [payload])


def _path(principal: str, volume_id: str, name: str) -> str:
    return f"{volume_folder(principal, volume_id)}/segmentations/{name}{_SUFFIX}"
