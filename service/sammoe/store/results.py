"""Results in the store: one JSON file each."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sammoe.errors import NotFound
from sammoe.store.files import Scratch, flush_folder, locked, storage_errors
from sammoe.store.folders import Page, ids_in, page
from sammoe.store.ids import check_id, not_found
from sammoe.store.records import ResultRecord
from sammoe.store.volumes import Volumes

_WHAT = "result"
_SUFFIX = ".json"


class Results:
    """Records of results. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, volumes: Volumes, scratch: Scratch) -> None:
        self._volumes = volumes
        self._scratch = scratch

    def add(self, record: ResultRecord) -> None:
        """Keep a new result; it is on the disk when this returns.

        Raises
        ------
        NotFound
            Its volume was deleted.
        """
        folder = self._volumes.results_folder(record.owner, record.volume_id)
        with storage_errors():
            try:
                # Not its parents: a volume that was deleted meanwhile must not come back.
                folder.mkdir(exist_ok=True)
                flush_folder(folder.parent)
                self._write(folder, record)
            except FileNotFoundError:
                raise not_found("volume") from None

    def change(
        self, principal: str, name: str, change: Callable[[ResultRecord], ResultRecord]
    ) -> ResultRecord:
        """Replace a result by what ``change`` makes of it; one change at a time."""
        with storage_errors():
            path = self._find(principal, name)
            try:
                with locked(path.parent / "lock"):
                    record = change(self._read(principal, path))
                    self._write(path.parent, record)
            except FileNotFoundError:
                raise not_found(_WHAT) from None
        return record

    def get(self, principal: str, name: str) -> ResultRecord:
        """Return a result."""
        with storage_errors():
            return self._read(principal, self._find(principal, name))

    def page(
        self, principal: str, volume_id: str, cursor: str | None, limit: int
    ) -> Page[ResultRecord]:
        """List a volume's results, newest first."""
        self._volumes.get(principal, volume_id)
        folder = self._volumes.results_folder(principal, volume_id)
        with storage_errors():
            return page(
                ids_in(folder, _SUFFIX),
                cursor,
                limit,
                lambda name: self._read(principal, folder / f"{name}{_SUFFIX}"),
            )

    def holding(self, principal: str, volume_id: str, segmentation: str) -> ResultRecord | None:
        """Return a result that a segmentation is an entry of, if there is one."""
        folder = self._volumes.results_folder(principal, volume_id)
        with storage_errors():
            for name in ids_in(folder, _SUFFIX):
                with suppress(NotFound):  # deleted meanwhile
                    record = self._read(principal, folder / f"{name}{_SUFFIX}")
                    if any(entry.segmentation == segmentation for entry in record.entries):
                        return record
        return None

    def delete(self, principal: str, name: str) -> None:
        """Delete a result; its segmentations stay."""
        with storage_errors():
            path = self._find(principal, name)
            try:
                with locked(path.parent / "lock"):
                    path.unlink()
            except FileNotFoundError:
                raise not_found(_WHAT) from None
            flush_folder(path.parent)

    def _find(self, principal: str, name: str) -> Path:
        file = f"{check_id(name, _WHAT)}{_SUFFIX}"
        for volume in reversed(self._volumes.ids(principal)):
            path = self._volumes.results_folder(principal, volume) / file
            if path.exists():
                return path
        raise not_found(_WHAT)

    def _read(self, principal: str, path: Path) -> ResultRecord:
        try:
            record = ResultRecord.parse(path.read_bytes())
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        if record.owner != principal or record.id != path.name.removesuffix(_SUFFIX):
            raise not_found(_WHAT)
        return record

    def _write(self, folder: Path, record: ResultRecord) -> None:
        self._scratch.write(folder / f"{record.id}{_SUFFIX}", [record.model_dump_json().encode()])
