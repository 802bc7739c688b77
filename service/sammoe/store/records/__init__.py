"""What is kept: records as closed, frozen values with an owner and a schema version."""

from sammoe.store.records.base import SCHEMA_VERSION, DoubtRecord, Record, Versioned, now
from sammoe.store.records.keys import KeyRecord, RoleName
from sammoe.store.records.releases import PublishedRecord, ReleaseRecord
from sammoe.store.records.requests import PromiseRecord, ResponseRecord
from sammoe.store.records.results import CodeRecord, EntryRecord, ResultRecord
from sammoe.store.records.segmentations import (
    GIVEN,
    ChoiceRecord,
    ExtentRecord,
    FieldRecord,
    Fields,
    Logits,
    PromptRecord,
    RouteRecord,
    SegmentationRecord,
    Triple,
    WindowRecord,
)
from sammoe.store.records.viewers import DrawnRecord, LeaseRecord
from sammoe.store.records.volumes import (
    DeletionRecord,
    Row,
    SourceRecord,
    VolumeRecord,
    content_key,
    files_digest,
    series_key,
    upload_key,
)
from sammoe.store.records.waiting import WaitingRecord

__all__ = [
    "GIVEN",
    "SCHEMA_VERSION",
    "ChoiceRecord",
    "CodeRecord",
    "DeletionRecord",
    "DoubtRecord",
    "DrawnRecord",
    "EntryRecord",
    "ExtentRecord",
    "FieldRecord",
    "Fields",
    "KeyRecord",
    "LeaseRecord",
    "Logits",
    "PromiseRecord",
    "PromptRecord",
    "PublishedRecord",
    "Record",
    "ReleaseRecord",
    "ResponseRecord",
    "ResultRecord",
    "RoleName",
    "RouteRecord",
    "Row",
    "SegmentationRecord",
    "SourceRecord",
    "Triple",
    "Versioned",
    "VolumeRecord",
    "WaitingRecord",
    "WindowRecord",
    "content_key",
    "files_digest",
    "now",
    "series_key",
    "upload_key",
]
