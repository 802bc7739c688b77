"""Packed arrays, against the protocol's own client."""

import struct
import tracemalloc
from typing import Any

import blosc2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnInteractive.inference.remote.serialization import pack_array, unpack_array
from numpy.typing import NDArray

from sammoe.api.nninteractive.wire import DTYPES, pack, read_packed
from sammoe.errors import MalformedBody, SammoeError, TooLarge

LIMIT = 1 << 20


def read(body: bytes, limit: int = LIMIT) -> NDArray[Any]:
    return read_packed(memoryview(body), limit).unpack()


def example(dtype: str = "float32", shape: tuple[int, ...] = (1, 4, 5, 6)) -> NDArray[Any]:
    values = np.random.default_rng(0).normal(0, 50, shape)
    return (values > 0 if dtype == "bool" else np.abs(values)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_client_packs_is_read(dtype: str) -> None:
    array = example(dtype)
    found = read(pack_array(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(read(pack_array(array, codec=blosc2.Codec.LZ4)), array)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (7, 0, 2)])
def test_what_is_packed_the_client_reads(shape: tuple[int, ...]) -> None:
    for array in (example("uint8", shape), np.asfortranarray(example("bool", shape))):
        np.testing.assert_array_equal(unpack_array(pack(array)), array)
        np.testing.assert_array_equal(read(pack(array)), array)


def test_chunks_are_joined() -> None:
    array = example("uint8", (10, 10, 10))
    whole = pack(array)
    raw = array.tobytes()
    frames = [blosc2.compress2(part, typesize=1) for part in (raw[:300], raw[300:])]
    head = whole[: 8 + len("uint8") + 3 * 8] + struct.pack("<I", 2)
    body = head + b"".join(
        struct.pack("<QQ", size, len(frame)) + frame
        for size, frame in zip((300, 700), frames, strict=True)
    )
    np.testing.assert_array_equal(read(body), array)


def test_a_huge_declaration_allocates_nothing() -> None:
    body = b"NNIA\x01\x01\x04\x07float32" + struct.pack("<4q", 1, 9000, 9000, 9000)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="at most 1048576 bytes"):
        read(body + struct.pack("<I", 0))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**62, 2**62, 4), (2**63 - 1,), (-1, 5), (3, -3, -3)], ids=str)
def test_impossible_shapes(shape: tuple[int, ...]) -> None:
    head = struct.pack("<4sBBBB", b"NNIA", 1, 1, len(shape), 5) + b"uint8"
    with pytest.raises((TooLarge, MalformedBody)):
        read(head + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<I", 0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b[:3], "ends too early"),
        (lambda b: b"X" + b[1:], "no packed array"),
        (lambda b: b[:4] + b"\x02" + b[5:], "no packed array"),
        (lambda b: b[:5] + b"\x09" + b[6:], "no packed array"),
        (lambda b: b[:-1], "ends too early"),
        (lambda b: b + b"\0", "do not fit"),
        (lambda b: b.replace(b"uint8", b"obje8"), "not supported"),
        (lambda b: b[:37] + struct.pack("<I", 0), "do not fit"),
        (lambda b: b[:41] + struct.pack("<Q", 119) + b[49:], "not as long as it says"),
        (lambda b: b[:37] + struct.pack("<I", 2**32 - 1) + b[41:], "ends too early"),
    ],
)
def test_contradictions_are_refused(change: Any, says: str) -> None:
    body = pack(example("uint8", (4, 5, 6)))
    assert body[37:41] == struct.pack("<I", 1)
    with pytest.raises(MalformedBody, match=says):
        read(change(body))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_arrays_are_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(pack(example("uint16", (3, 4, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(body))
    except SammoeError:
        return
    assert found.nbytes <= LIMIT
