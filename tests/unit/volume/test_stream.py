import gzip
import io
import tracemalloc
from typing import BinaryIO

import numpy as np
import pytest

from sammoe.errors import FileTruncated, TooLarge
from sammoe.volume.stream import GzipStream, RawStream, open_stream, read_exactly

DATA = bytes(range(256)) * 5000


class Dripping(io.BytesIO):
    """A file that gives a few bytes at a time, so that every boundary is met."""

    def read(self, size: int | None = -1) -> bytes:
        limit = 7 if size is None or size < 0 else min(size, 7)
        return super().read(limit)


def read_all(file: BinaryIO, step: int) -> bytes:
    stream, parts = GzipStream(file), []
    while part := stream.read(step):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("step", [1000, 65536, 10**7])
def test_gzip_is_inflated(step: int) -> None:
    assert read_all(io.BytesIO(gzip.compress(DATA)), step) == DATA


def test_members_are_joined_wherever_they_break() -> None:
    members = b"".join(gzip.compress(DATA[at : at + 500]) for at in range(0, 5000, 500))
    assert read_all(Dripping(members), 333) == DATA[:5000]


@pytest.mark.parametrize("step", [500, 4096, 1 << 18, 10**7])
def test_blocks_as_of_bgzip_are_joined(step: int) -> None:
    data = np.random.default_rng(0).integers(0, 900, 1_000_000, dtype=np.int16).tobytes()
    members = [gzip.compress(data[at : at + 65280]) for at in range(0, len(data), 65280)]
    assert read_all(io.BytesIO(b"".join([*members, gzip.compress(b"")])), step) == data


@pytest.mark.parametrize("content", [b"", b"x", bytes(1000)])
def test_thousands_of_tiny_members_are_refused(content: bytes) -> None:
    few = gzip.compress(content) * 1000
    assert read_all(io.BytesIO(few), 10**7) == content * 1000
    file = io.BytesIO(few * 500)
    with pytest.raises(FileTruncated, match="tiny pieces"):
        open_stream(file).read(10**9)
    assert file.tell() <= 1 << 18


def test_padding_after_the_last_member_is_ignored() -> None:
    assert read_all(io.BytesIO(gzip.compress(DATA) + bytes(512)), 10**7) == DATA


def test_empty_members_do_not_end_the_stream() -> None:
    assert read_all(io.BytesIO(gzip.compress(b"") * 3 + gzip.compress(b"end")), 10) == b"end"


@pytest.mark.parametrize("kept", [5, 100, -1, -8])
def test_broken_off_gzip_is_refused(kept: int) -> None:
    with pytest.raises(FileTruncated, match="middle"):
        read_all(io.BytesIO(gzip.compress(DATA)[:kept]), 10**7)


def test_damaged_gzip_is_refused() -> None:
    damaged = bytearray(gzip.compress(DATA))
    damaged[len(damaged) // 2] ^= 0xFF
    with pytest.raises(FileTruncated, match="broken"):
        read_all(io.BytesIO(damaged), 10**7)


def test_a_wrong_checksum_is_refused() -> None:
    damaged = bytearray(gzip.compress(DATA))
    damaged[-8] ^= 1
    with pytest.raises(FileTruncated, match="broken"):
        read_exactly(GzipStream(io.BytesIO(damaged)), len(DATA))


def test_streams_start_where_the_file_stands() -> None:
    file = io.BytesIO(b"header" + gzip.compress(b"data"))
    file.seek(6)
    assert open_stream(file).read(9) == b"data"
    raw = io.BytesIO(b"headerdata")
    raw.seek(6)
    stream = open_stream(raw)
    assert isinstance(stream, RawStream)
    assert stream.at_most() == 4
    assert stream.read(9) == b"data"
    assert stream.at_most() == 0


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_is_asked_for_is_read(compress: type[bytes]) -> None:
    assert read_exactly(open_stream(io.BytesIO(compress(DATA))), len(DATA)) == DATA


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_short_file_is_refused(compress: type[bytes]) -> None:
    with pytest.raises(FileTruncated):
        read_exactly(open_stream(io.BytesIO(compress(DATA))), len(DATA) + 1)


@pytest.mark.fault("S08")
def test_a_lie_costs_no_memory() -> None:
    stream = GzipStream(io.BytesIO(gzip.compress(b"tiny")))
    tracemalloc.start()
    try:
        with pytest.raises(FileTruncated, match="too short"):
            read_exactly(stream, 10**10)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_file_that_goes_on_is_refused(compress: type[bytes]) -> None:
    with pytest.raises(TooLarge, match="goes on"):
        read_exactly(open_stream(io.BytesIO(compress(bytes(3 << 20)))), 1 << 20)
    padded = open_stream(io.BytesIO(compress(bytes(2 << 20))))
    assert len(read_exactly(padded, 1 << 20)) == 1 << 20


@pytest.mark.fault("S05")
def test_a_bomb_is_inflated_no_further_than_the_slack() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    assert len(bomb) < 1 << 18
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read_exactly(GzipStream(io.BytesIO(bomb)), 1000)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
