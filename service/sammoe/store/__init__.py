"""What outlives a request: records in a folder or a bucket, embeddings in memory and in Redis."""

from sammoe.store.embeddings import CacheCounters, EmbeddingCache, embedding_key
from sammoe.store.folders import Page
from sammoe.store.ids import is_id, is_within
from sammoe.store.keys import Keys
from sammoe.store.limits import Keeping, StoreLimits
from sammoe.store.logits import rounded
from sammoe.store.records import (
    GIVEN,
    ChoiceRecord,
    CodeRecord,
    DoubtRecord,
    DrawnRecord,
    EntryRecord,
    ExtentRecord,
    Fields,
    KeyRecord,
    LeaseRecord,
    Logits,
    PromptRecord,
    PublishedRecord,
    ReleaseRecord,
    ResultRecord,
    RoleName,
    RouteRecord,
    SegmentationRecord,
    SourceRecord,
    VolumeRecord,
    WaitingRecord,
    WindowRecord,
    content_key,
    files_digest,
    now,
    upload_key,
)
from sammoe.store.responses import StoredResponse
from sammoe.store.shared import SharedCounters, SharedEmbeddings
from sammoe.store.store import LocalStore, Store
from sammoe.store.waiting import Waiting

__all__ = [
    "GIVEN",
    "CacheCounters",
    "ChoiceRecord",
    "CodeRecord",
    "DoubtRecord",
    "DrawnRecord",
    "EmbeddingCache",
    "EntryRecord",
    "ExtentRecord",
    "Fields",
    "Keeping",
    "KeyRecord",
    "Keys",
    "LeaseRecord",
    "LocalStore",
    "Logits",
    "Page",
    "PromptRecord",
    "PublishedRecord",
    "ReleaseRecord",
    "ResultRecord",
    "RoleName",
    "RouteRecord",
    "SegmentationRecord",
    "SharedCounters",
    "SharedEmbeddings",
    "SourceRecord",
    "Store",
    "StoreLimits",
    "StoredResponse",
    "VolumeRecord",
    "Waiting",
    "WaitingRecord",
    "WindowRecord",
    "content_key",
    "embedding_key",
    "files_digest",
    "is_id",
    "is_within",
    "now",
    "rounded",
    "upload_key",
]
