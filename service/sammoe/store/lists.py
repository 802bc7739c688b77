"""The lists that a volume is on: files that name it, where it is looked for by something else."""

from sammoe.store.folders import content_path, project_path, series_path
from sammoe.store.records import VolumeRecord, content_key


def entries_of(record: VolumeRecord) -> dict[str, bytes]:
    """A volume's entries, path to content. They are written before its record and removed after."""
    entries = {content_path(content_key(record.content_digest), record.id): b""}
    if record.series is not None:
        entries[series_path(record.owner, record.series, record.id)] = b""
    if record.project is not None:
        entries[project_path(record.project, record.id)] = record.owner.encode()
    return entries
