"""Embeddings are shared by content: they stay until the last volume of it goes, then go."""

import asyncio
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sammoe.segmentation.forgetting import Forgetting
from sammoe.store import EmbeddingCache, LocalStore, content_key
from sammoe.store.embeddings import Embedding
from tests.records import add_volume

Step = tuple[Literal["add", "click", "delete", "look"], int, int, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "click", "click", "delete", "delete", "look"]),
        st.integers(0, 1),  # process
        st.integers(0, 2),  # owner
        st.integers(0, 2),  # content
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_embeddings_stay_until_the_last_volume_of_a_content_goes(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(steps, Path(folder)))


async def follow(steps: list[Step], folder: Path) -> None:
    """Take the steps in two processes; each must know by heart what it may, and nothing else."""
    stores = [LocalStore(folder), LocalStore(folder)]
    caches = [EmbeddingCache(1 << 20), EmbeddingCache(1 << 20)]
    looks = [Forgetting(store, cache, None) for store, cache in zip(stores, caches, strict=True)]
    volumes: dict[tuple[int, int], str] = {}
    known: list[set[int]] = [set(), set()]
    unseen: list[set[int]] = [set(), set()]
    for deed, process, owner, content in steps:
        store = stores[process]
        has = (owner, content) in volumes
        if deed == "add" and not has:
            digest = f"{content:064}"
            record = add_volume(store, owner=str(owner), content_digest=digest, file_digest=digest)
            volumes[owner, content] = record.id
        elif deed == "click" and has:
            hit = await click(caches[process], content)
            assert hit == (content in known[process])
            known[process].add(content)
        elif deed == "delete" and has:
            store.volumes.delete(str(owner), volumes.pop((owner, content)))
            for each in unseen:
                each.add(content)
        elif deed == "look":
            await looks[process].look()
            alive = {content for _, content in volumes}
            known[process] -= unseen[process] - alive
            unseen[process].clear()
            assert caches[process].counters.entries == len(known[process])
    for process in (0, 1):
        await looks[process].look()
        alive = {content for _, content in volumes}
        for content in alive & known[process]:
            assert await click(caches[process], content)
        assert caches[process].counters.entries <= len(alive)
    for store in stores:
        store.close()


async def click(cache: EmbeddingCache, content: int) -> bool:
    """Ask for an embedding of a content; whether it was there."""

    async def make() -> Embedding:
        return np.zeros(8, np.float16)

    _, hit = await cache.get_or_encode(f"{content_key(f'{content:064}')}-window", make)
    return hit
