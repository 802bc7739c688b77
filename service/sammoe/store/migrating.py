"""Writing records of older versions anew, in the form of this one."""

from contextlib import suppress

from sammoe.store.blocks import cut_fields, join_fields
from sammoe.store.files import Files, storage_errors
from sammoe.store.frames import frame, parse_frame, read_header
from sammoe.store.records import SegmentationRecord

CURRENT = int(SegmentationRecord.model_fields["schema_version"].default)


def migrate(files: Files, path: str) -> bool:
    """Write a segmentation anew if it is of an older version; return whether it was.

    It says the same before and after. A record that somebody changes meanwhile is left to them.

    Raises
    ------
    StoreUnavailable
        The store failed, or the record can not be read.
    """
    with storage_errors(), suppress(FileNotFoundError):
        if SegmentationRecord.parse(read_header(files, path)).schema_version == CURRENT:
            return False
        kept = files.read_versioned(path)
        header, payload = parse_frame(kept.content)
        record = SegmentationRecord.parse(header)
        places, values = cut_fields(join_fields(record, payload))
        record = record.model_copy(update={"schema_version": CURRENT, "fields": places})
        return files.replace(path, frame(record.model_dump_json().encode(), [values]), kept.version)
    return False
