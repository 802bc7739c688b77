"""Embeddings in memory."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.errors import EngineError
from sammoe.store import EmbeddingCache, embedding_key
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule

Embedding = NDArray[np.float16]
BYTES = 2 * 100


class Encoder:
    """Counts its calls; each waits to be let through."""

    def __init__(self, *, opened: bool = True, fails: bool = False) -> None:
        self.calls = 0
        self.fails = fails
        self.open = asyncio.Event()
        if opened:
            self.open.set()

    async def __call__(self) -> Embedding:
        self.calls += 1
        await self.open.wait()
        if self.fails:
            raise EngineError("no")
        return np.full(100, self.calls, np.float16)


async def test_second_time_is_a_hit_with_the_same_bytes() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder()
    first, first_hit = await cache.get_or_encode("a", encoder)
    second, second_hit = await cache.get_or_encode("a", encoder)
    assert (first_hit, second_hit, encoder.calls) == (False, True, 1)
    np.testing.assert_array_equal(first, second)
    assert not second.flags.writeable
    counters = cache.counters
    assert (counters.hits, counters.misses, counters.entries) == (1, 1, 1)
    assert counters.bytes == BYTES


@pytest.mark.fault("S28")
async def test_fifty_at_once_are_one_encode() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder(opened=False)
    asked = [asyncio.create_task(cache.get_or_encode("a", encoder)) for _ in range(50)]
    await asyncio.sleep(0)
    encoder.open.set()
    answers = await asyncio.gather(*asked)
    assert encoder.calls == 1
    assert {hit for _, hit in answers} == {False}
    assert all(embedding is answers[0][0] for embedding, _ in answers)
    assert (cache.counters.misses, cache.counters.joined) == (50, 49)


async def test_encode_outlives_the_one_who_asked() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder(opened=False)
    gone = asyncio.create_task(cache.get_or_encode("a", encoder))
    stays = asyncio.create_task(cache.get_or_encode("a", encoder))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    encoder.open.set()
    embedding, _ = await stays
    assert embedding[0] == 1
    assert (await cache.get_or_encode("a", encoder))[1]
    assert encoder.calls == 1


async def test_encode_that_nobody_waits_for_is_kept() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder(opened=False)
    gone = asyncio.create_task(cache.get_or_encode("a", encoder))
    await asyncio.sleep(0)
    gone.cancel()
    encoder.open.set()
    await asyncio.gather(gone, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
    assert cache.counters.entries == 1


async def test_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder(opened=False, fails=True)
    asked = [asyncio.create_task(cache.get_or_encode("a", encoder)) for _ in range(3)]
    await asyncio.sleep(0)
    encoder.open.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [EngineError] * 3
    encoder.fails = False
    _, hit = await cache.get_or_encode("a", encoder)
    assert (hit, encoder.calls, cache.counters.entries) == (False, 2, 1)


async def test_least_recently_used_goes_first() -> None:
    cache, encoder = EmbeddingCache(2 * BYTES), Encoder()
    for key in ("a", "b", "a", "c"):
        await cache.get_or_encode(key, encoder)
    assert cache.counters.evicted == 1
    assert cache.counters.bytes == 2 * BYTES
    hits = [(await cache.get_or_encode(key, encoder))[1] for key in ("a", "c", "b")]
    assert hits == [True, True, False]


async def test_value_that_does_not_verify_is_a_miss() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder()
    embedding, _ = await cache.get_or_encode("a", encoder)
    embedding.setflags(write=True)
    embedding[3] = 9
    again, hit = await cache.get_or_encode("a", encoder)
    assert not hit
    np.testing.assert_array_equal(again, np.full(100, 2))
    assert (cache.counters.damaged, cache.counters.entries) == (1, 1)


async def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache, encoder = EmbeddingCache(BYTES - 1), Encoder()
    for _ in range(2):
        assert not (await cache.get_or_encode("a", encoder))[1]
    assert cache.counters.entries == 0


async def test_closing_cancels_and_forgets() -> None:
    cache, encoder = EmbeddingCache(10 * BYTES), Encoder()
    await cache.get_or_encode("a", encoder)
    slow = asyncio.create_task(cache.get_or_encode("b", Encoder(opened=False)))
    await asyncio.sleep(0)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (cache.counters.entries, cache.counters.bytes) == (0, 0)


async def test_what_is_forgotten_is_not_kept_even_if_it_is_being_made() -> None:
    cache = EmbeddingCache(10 * BYTES)
    slow, quick = Encoder(opened=False), Encoder()
    for key in ("a-1", "a-2", "b-1"):
        await cache.get_or_encode(key, quick)
    before = asyncio.create_task(cache.get_or_encode("a-3", slow))
    await asyncio.sleep(0)
    cache.forget({"a"})
    assert cache.counters.entries == 1
    after, hit = await cache.get_or_encode("a-3", quick)
    assert not hit
    slow.open.set()
    assert (await before)[0][0] == 1
    assert cache.counters.entries == 2
    assert (await cache.get_or_encode("a-3", quick))[0] is after
    cache.forget()
    assert (cache.counters.entries, cache.counters.bytes) == (0, 0)


@pytest.mark.fault("S30")
def test_key_depends_on_all_that_matters() -> None:
    spacing = dict.fromkeys(("CT", "MR", "unknown"), 1.5)
    rule = WindowRule(side=32, patch=8, spacings=(1.5, 3.0), default_spacing=spacing)
    window = Window(1.5, (0, 1, 2), 32)

    def key(
        content: str = "c",
        modality: Modality = Modality.CT,
        window: Window = window,
        rule: WindowRule = rule,
        encoder: str = "e",
    ) -> str:
        return embedding_key(content, modality, window, rule, encoder)

    keys = [
        key(),
        key(content="d"),
        key(modality=Modality.MR),
        key(window=replace(window, spacing=3.0)),
        key(window=replace(window, start=(0, 1, 3))),
        key(rule=replace(rule, version=2)),
        key(rule=replace(rule, normalisation="volume")),
        key(rule=replace(rule, antialias=True)),
        key(rule=replace(rule, ct_clamp=(-500.0, 500.0))),
        key(encoder="f"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(modality=Modality.UNKNOWN) == key(modality=Modality.MR)
    assert key() == key(rule=replace(rule, default_spacing=dict.fromkeys(spacing, 3.0)))
