"""What outlives a request: records in a folder, embeddings in memory and, if told so, in Redis."""

from sammoe.store.embeddings import CacheCounters, EmbeddingCache, embedding_key
from sammoe.store.folders import Page
from sammoe.store.local import LocalStore
from sammoe.store.records import (
    ChoiceRecord,
    CodeRecord,
    DoubtRecord,
    EntryRecord,
    Logits,
    PromptRecord,
    ResultRecord,
    RouteRecord,
    SegmentationRecord,
    SourceRecord,
    VolumeRecord,
    WindowRecord,
    files_digest,
    now,
    upload_key,
)
from sammoe.store.responses import StoredResponse
from sammoe.store.shared import SharedCounters, SharedEmbeddings

__all__ = [
    "CacheCounters",
    "ChoiceRecord",
    "CodeRecord",
    "DoubtRecord",
    "EmbeddingCache",
    "EntryRecord",
    "LocalStore",
    "Logits",
    "Page",
    "PromptRecord",
    "ResultRecord",
    "RouteRecord",
    "SegmentationRecord",
    "SharedCounters",
    "SharedEmbeddings",
    "SourceRecord",
    "StoredResponse",
    "VolumeRecord",
    "WindowRecord",
    "embedding_key",
    "files_digest",
    "now",
    "upload_key",
]
