"""Results in the store: one JSON file each."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress

from sammoe.errors import NotFound
from sammoe.store.files import Files, storage_errors, undone
from sammoe.store.folders import Page, ids_in, page, volume_folder
from sammoe.store.ids import check_id, is_within, not_found
from sammoe.store.records import ResultRecord
from sammoe.store.volumes import Volumes

_WHAT = "result"
_SUFFIX = ".json"


class Results:
    """Records of results. Blocking, from any thread; errors as in `Volumes`."""

    def __init__(self, files: Files, volumes: Volumes) -> None:
        self._files = files
        self._volumes = volumes

    def add(self, record: ResultRecord, *, promised: bool = False) -> ResultRecord:
        """Keep a new result, unless it is there; return what is stored durably.

        ``promised``: see `Segmentations.put`.

        Raises
        ------
        NotFound
            Its volume was deleted.
        """
        path = _path(record.owner, check_id(record.volume_id, "volume"), record.id)
        with storage_errors(), nullcontext() if promised else undone(self._files, path):
            made = self._files.create(path, [_text(record)])
            try:
                # Only now: a deletion from here on finds what was written.
                self._volumes.check(record.owner, record.volume_id)
            except NotFound:
                self._files.remove(path)
                raise
        return record if made else self.get(record.owner, record.id)

    def change(
        self, principal: str, name: str, change: Callable[[ResultRecord], ResultRecord]
    ) -> ResultRecord:
        """Replace a result by what ``change`` makes of it, of the newest there is when it is kept.

        ``change`` is called again where another process changed the result meanwhile.
        """
        with storage_errors():
            while True:
                path, content, version = self._find(principal, name)
                kept = self._checked(principal, name, content)
                record = change(kept)
                if record == kept or self._files.replace(path, [_text(record)], version):
                    return record

    def get(self, principal: str, name: str) -> ResultRecord:
        """Return a result."""
        with storage_errors():
            return self._checked(principal, name, self._find(principal, name)[1])

    def page(
        self, principal: str, volume_id: str, cursor: str | None, limit: int
    ) -> Page[ResultRecord]:
        """List a volume's results, newest first."""
        self._volumes.get(principal, volume_id)
        with storage_errors():
            return page(
                self._ids(principal, volume_id),
                cursor,
                limit,
                lambda name: self._read(principal, volume_id, name),
            )

    def holding(self, principal: str, volume_id: str, segmentation: str) -> ResultRecord | None:
        """Return a result that a segmentation is an entry of, if there is one."""
        with storage_errors():
            for name in self._ids(principal, volume_id):
                with suppress(NotFound):  # deleted meanwhile
                    record = self._read(principal, volume_id, name)
                    if any(entry.segmentation == segmentation for entry in record.entries):
                        return record
        return None

    def delete(self, principal: str, name: str) -> None:
        """Delete a result; its segmentations stay."""
        with storage_errors():
            self._files.remove(self._find(principal, name)[0])

    def _find(self, principal: str, name: str) -> tuple[str, bytes, str]:
        """Path, content and version of a result."""
        for path in self._places(principal, check_id(name, _WHAT)):
            with suppress(FileNotFoundError):
                found = self._files.read_versioned(path)
                return path, found.content, found.version
        raise not_found(_WHAT)

    def _places(self, principal: str, name: str) -> Iterator[str]:
        """Where a result may lie: first in the volume that its id speaks for."""
        volumes = reversed(self._volumes.ids(principal))
        for volume in sorted(volumes, key=lambda volume: not is_within(name, volume)):
            yield _path(principal, volume, name)

    def _ids(self, principal: str, volume_id: str) -> list[str]:
        return ids_in(self._files, f"{volume_folder(principal, volume_id)}/results", _SUFFIX)

    def _read(self, principal: str, volume_id: str, name: str) -> ResultRecord:
        try:
            content = self._files.read(_path(principal, volume_id, name))
        except FileNotFoundError:
            raise not_found(_WHAT) from None
        return self._checked(principal, name, content)

    def _checked(self, principal: str, name: str, content: bytes) -> ResultRecord:
        record = ResultRecord.parse(content)
        if record.owner != principal or record.id != name:
            raise not_found(_WHAT)
        return record


def held_segmentations(files: Files, folder: str) -> set[str]:
    """Ids of the segmentations that results hold; ``folder``: of their volume.

    Raises
    ------
    StoreUnavailable
        A result is damaged.
    """
    held = set()
    for name in ids_in(files, f"{folder}/results", _SUFFIX):
        with suppress(FileNotFoundError):  # deleted meanwhile
            record = ResultRecord.parse(files.read(f"{folder}/results/{name}{_SUFFIX}"))
            held |= {entry.segmentation for entry in record.entries}
    return held


def _path(principal: str, volume_id: str, name: str) -> str:
    return f"{volume_folder(principal, volume_id)}/results/{name}{_SUFFIX}"


def _text(record: ResultRecord) -> bytes:
    return record.model_dump_json().encode()
