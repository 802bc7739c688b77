"""Bringing records of older versions to the form of this one, and onto the lists that it has."""

from contextlib import suppress

from sammoe.store.blocks import cut_fields, join_fields
from sammoe.store.files import Files, storage_errors
from sammoe.store.frames import frame, parse_frame, read_header
from sammoe.store.lists import entries_of
from sammoe.store.records import SegmentationRecord, VolumeRecord

CURRENT = int(SegmentationRecord.model_fields["schema_version"].default)


def migrate(files: Files, path: str) -> bool:
    """Bring a volume or a segmentation to the form of this version; return whether it was not.

    It says the same before and after. A record that somebody changes meanwhile is left to them.

    Raises
    ------
    StoreUnavailable
        The store failed, or the record can not be read.
    """
    with storage_errors(), suppress(FileNotFoundError):
        if path.endswith("/volume.json"):
            return _enlist(files, VolumeRecord.parse(files.read(path)))
        if SegmentationRecord.parse(read_header(files, path)).schema_version == CURRENT:
            return False
        kept = files.read_versioned(path)
        header, payload = parse_frame(kept.content)
        record = SegmentationRecord.parse(header)
        places, values = cut_fields(join_fields(record, payload))
        record = record.model_copy(update={"schema_version": CURRENT, "fields": places})
        return files.replace(path, frame(record.model_dump_json().encode(), [values]), kept.version)
    return False


def _enlist(files: Files, record: VolumeRecord) -> bool:
    missing = {path: text for path, text in entries_of(record).items() if not files.exists(path)}
    for path, content in missing.items():
        files.write(path, [content])
    return bool(missing)
