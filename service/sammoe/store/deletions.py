"""Deleting a volume with all that belongs to it, and telling every front end to forget it.

First a file ``deleted/<id>`` says so; it lets anybody finish what a process left undone when it
died. Then the record goes, and with it the volume, for everybody; then the rest. The file stays for
an hour: front ends look for such files again and again (`Deletions.ids`), and drop their copies.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from sammoe.store.files import Files
from sammoe.store.folders import (
    CONTENTS,
    DELETED,
    content_path,
    project_path,
    response_path,
    series_path,
    upload_path,
    volume_folder,
)
from sammoe.store.leases import Leases
from sammoe.store.records import DeletionRecord, VolumeRecord, content_key, now

KEPT_SECONDS: Final = 3600.0
"""How long a deletion can be seen. Who has not looked for so long has to forget everything."""

_GRACE_SECONDS: Final = 60.0
"""Who deletes is done after this, or dead."""


class Deletions:
    """Blocking, from any thread; raises what `Files` does."""

    def __init__(self, files: Files, leases: Leases) -> None:
        self._files = files
        self._leases = leases

    def delete(self, record: VolumeRecord) -> bool:
        """Delete a volume; return whether it was there."""
        deletion = DeletionRecord(
            owner=record.owner,
            created=now(),
            volume_id=record.id,
            content=content_key(record.content_digest),
            upload=record.upload,
            project=record.project,
            series=record.series,
        )
        text = deletion.model_dump_json().encode()
        first = self._files.create(f"{DELETED}/{record.id}", [text])
        there = first or self._files.exists(_record_path(deletion))
        self._remove(deletion)
        return there

    def ids(self) -> set[str]:
        """Return the ids of volumes that were deleted lately."""
        return set(self._files.names(DELETED))

    def read(self, ids: Iterable[str]) -> list[DeletionRecord]:
        """Return those deletions that can still be seen."""
        found = []
        for name in ids:
            with suppress(FileNotFoundError):
                found.append(DeletionRecord.parse(self._files.read(f"{DELETED}/{name}")))
        return found

    def unused(self, contents: Iterable[str]) -> set[str]:
        """Return those contents that no volume has any more, of whatever owner."""
        contents = set(contents)
        deleted = self.ids() if contents else set()
        return {
            content
            for content in contents
            if not set(self._files.names(f"{CONTENTS}/{content}")) - deleted
        }

    def forget_copies(self, deletions: Iterable[DeletionRecord]) -> None:
        """Drop this process's copies of deleted volumes' voxels."""
        for deletion in deletions:
            folder = volume_folder(deletion.owner, deletion.volume_id)
            self._files.forget(f"{folder}/voxels.npy")

    def finish(self) -> None:
        """Remove what others left when they died or wrote late, and what has been seen by all."""
        moment = now()
        for deletion in self.read(self.ids()):
            age = moment - deletion.created
            if age > timedelta(seconds=_GRACE_SECONDS):
                self._remove(deletion)
            if age > timedelta(seconds=KEPT_SECONDS):
                self._files.remove(f"{DELETED}/{deletion.volume_id}")

    def _remove(self, deletion: DeletionRecord) -> None:
        folder = volume_folder(deletion.owner, deletion.volume_id)
        self._files.remove(_record_path(deletion))
        for name in self._files.names(f"{folder}/responses"):
            self._files.remove(response_path(deletion.owner, name))
        self._files.remove_all(folder)
        self._leases.drop(deletion.volume_id)
        upload = upload_path(deletion.owner, deletion.upload)
        with suppress(FileNotFoundError):
            if self._files.read(upload) == deletion.volume_id.encode():
                self._files.remove(upload)
        self._files.remove(content_path(deletion.content, deletion.volume_id))
        if deletion.series is not None:
            path = series_path(deletion.owner, deletion.series, deletion.volume_id)
            self._files.remove(path)
        if deletion.project is not None:
            self._files.remove(project_path(deletion.project, deletion.volume_id))


def _record_path(deletion: DeletionRecord) -> str:
    return f"{volume_folder(deletion.owner, deletion.volume_id)}/volume.json"
