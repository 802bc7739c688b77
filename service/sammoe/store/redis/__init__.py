"""Embeddings in Redis, shared by replicas; Redis may fail in any way and costs time alone.

Imported where a Redis is named, and not before: the client takes a while to load.
"""

from sammoe.store.redis.commands import RedisLimits
from sammoe.store.redis.embeddings import RedisEmbeddings

__all__ = ["RedisEmbeddings", "RedisLimits"]
