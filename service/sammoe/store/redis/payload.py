"""An embedding as bytes that verify, or are no embedding.

::

    8 bytes   "sammoe-e"
    uint16    schema version, then two zero bytes
    5 uint32  shape
    32 bytes  SHA-256 of the above, the key and the payload
    payload   float16 in C order; all numbers little-endian

The key is in the digest, so a value that was stored under another key does not verify. The digest
finds damage and mix-ups; it is no signature: who can write to Redis can write embeddings.
"""

import hashlib
import math
import struct
from typing import Final

import numpy as np

from sammoe.store.embeddings import Embedding

SCHEMA: Final = 1
"""Version of this form; part of the keys in Redis, so that releases side by side do not collide."""

_MAGIC: Final = b"sammoe-e"
_HEAD: Final = struct.Struct("<8sHxx5I")
_DIGEST_BYTES: Final = 32


def packed_size(shape: tuple[int, ...]) -> int:
    """Bytes of a packed embedding of this shape."""
    return _HEAD.size + _DIGEST_BYTES + 2 * math.prod(shape)


def pack(embedding: Embedding, key: str) -> bytes:
    """The bytes to keep under ``key``.

    Parameters
    ----------
    embedding
        float16 [1, E, g, g, g].
    """
    head = _HEAD.pack(_MAGIC, SCHEMA, *embedding.shape)
    payload = embedding.astype("<f2", copy=False).tobytes()
    return b"".join([head, _digest(head, key, payload), payload])


def unpack(packed: bytes, key: str, shape: tuple[int, ...]) -> Embedding | None:
    """The embedding float16 of ``shape``, read-only; None unless all bits are as `pack` wrote."""
    head = _HEAD.pack(_MAGIC, SCHEMA, *shape)
    start = _HEAD.size + _DIGEST_BYTES
    if len(packed) != packed_size(shape) or packed[: _HEAD.size] != head:
        return None
    if packed[_HEAD.size : start] != _digest(head, key, memoryview(packed)[start:]):
        return None
    embedding = np.frombuffer(packed, "<f2", offset=start).reshape(shape)
    return embedding.astype(np.float16, copy=False)


def _digest(head: bytes, key: str, payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(key.encode())
    digest.update(payload)
    return digest.digest()
