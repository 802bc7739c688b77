"""Embeddings as bytes: what comes back is what was kept, or nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sammoe.store.embeddings import Embedding
from sammoe.store.redis.payload import pack, packed_size, unpack

SHAPE = (1, 4, 3, 3, 3)
EMBEDDING: Embedding = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
PACKED = pack(EMBEDDING, "key")


def test_what_comes_back_is_what_was_kept() -> None:
    assert len(PACKED) == packed_size(SHAPE) == 64 + EMBEDDING.nbytes
    found = unpack(PACKED, "key", SHAPE)
    assert found is not None
    assert found.dtype == np.float16
    assert (found.shape, found.flags.writeable) == (SHAPE, False)
    assert found.tobytes() == EMBEDDING.tobytes()


def test_the_order_in_memory_does_not_matter() -> None:
    assert pack(np.asfortranarray(EMBEDDING), "key") == PACKED


@pytest.mark.fault("F05")
@given(st.integers(0, 8 * len(PACKED) - 1))
def test_a_flipped_bit_is_no_embedding(bit: int) -> None:
    damaged = bytearray(PACKED)
    damaged[bit // 8] ^= 1 << bit % 8
    assert unpack(bytes(damaged), "key", SHAPE) is None


@pytest.mark.fault("F05")
@given(st.integers(0, len(PACKED) - 1))
def test_a_truncated_value_is_no_embedding(size: int) -> None:
    assert unpack(PACKED[:size], "key", SHAPE) is None


@given(st.binary(max_size=2 * len(PACKED)))
def test_other_bytes_are_no_embedding(value: bytes) -> None:
    assert unpack(value, "key", SHAPE) is None


def test_a_value_of_another_key_is_no_embedding() -> None:
    assert unpack(PACKED, "kez", SHAPE) is None


def test_a_value_of_another_shape_is_no_embedding() -> None:
    assert unpack(PACKED, "key", (1, 3, 4, 3, 3)) is None


@pytest.mark.fault("F05")
@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_no_embedding(version: int) -> None:
    other = PACKED[:8] + version.to_bytes(2, "little") + PACKED[10:]
    assert unpack(other, "key", SHAPE) is None
