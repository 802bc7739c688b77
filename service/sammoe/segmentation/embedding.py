"""Embeddings of a volume's windows: cached, or cropped and encoded."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER
from sammoe.engine import Engine, WorkerPool
from sammoe.errors import NotFound, RateExceeded
from sammoe.segmentation.allowances import Allowances
from sammoe.segmentation.forgetting import Forgetting
from sammoe.segmentation.turns import Turns
from sammoe.store import (
    EmbeddingCache,
    SharedEmbeddings,
    Store,
    VolumeRecord,
    embedding_key,
)
from sammoe.telemetry import span
from sammoe.volume.crop import crop
from sammoe.volume.volume import Volume
from sammoe.volume.window import Window, WindowRule


@dataclass(frozen=True, eq=False)
class Embedded:
    """An embedding float16 [1, E, g, g, g], whether it was cached, and the phases until then."""

    embedding: NDArray[np.float16]
    hit: bool
    phases_ms: Mapping[str, float]


class Embedder:
    """Makes embeddings of windows.

    Parameters
    ----------
    pool
        Where windows are cut out of scans.
    shared
        Asked for what is not in the cache.
    forgetting
        Told of embeddings that were kept after their volume had been deleted.
    allowances
        How many windows a principal may have embedded.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        cache: EmbeddingCache,
        rule: WindowRule,
        pool: WorkerPool,
        shared: SharedEmbeddings | None,
        forgetting: Forgetting,
        allowances: Allowances,
    ) -> None:
        self._engine = engine
        self._store = store
        self._cache = cache
        self._rule = rule
        self._pool = pool
        self._shared = shared
        self._forgetting = forgetting
        self._allowances = allowances
        self._turns = Turns()
        self._encoder_digest = engine.bundle.model_digest(ENCODER)
        model = engine.bundle.manifest.model
        self._shape = (1, model.embedding_channels, *3 * (model.grid,))

    async def embed(
        self, volume: VolumeRecord, window: Window, *, warming: bool = False
    ) -> Embedded:
        """Return a window's embedding; many who ask at once share one encode.

        ``warming``: nobody waits for it; see `Turns`.

        Raises
        ------
        NoForeground
            There is nothing to see in the window.
        NotFound
            The volume was deleted.
        RateExceeded
            The volume's owner has had too many windows embedded of late.
        EngineError
            See `Engine.encode`.
        """
        phases: dict[str, float] = {}
        mine = fetched = False

        async def encode() -> NDArray[np.float16]:
            self._allowances.take(volume.owner)
            async with nullcontext() if warming else self._turns.click():
                with span("crop"):
                    cut = await self._pool.run(lambda: self._crop(volume, window))
                phases["crop"] = cut.run_ms
                with span("encode"):
                    return await self._engine.encode(cut.value)

        async def make() -> NDArray[np.float16]:
            nonlocal mine, fetched
            mine = True
            # First: who waits for a turn must not hold up other processes, whose clicks it blocks.
            async with self._turns.warm_up(key) if warming else nullcontext():
                if self._shared is None:
                    return await encode()
                embedding, fetched = await self._shared.get_or_encode(key, self._shape, encode)
                return embedding

        key = embedding_key(
            volume.content_digest, volume.modality, window, self._rule, self._encoder_digest
        )
        started = time.perf_counter()
        with span("embed") as seen:
            while True:
                if not warming:
                    self._turns.want(key)
                try:
                    embedding, hit = await self._cache.get_or_encode(key, make)
                    break
                except (NotFound, RateExceeded):
                    # The encode waited for was of somebody's equal scan, who deleted it or had no
                    # more encodes; this one may do.
                    if mine:
                        raise
            seen.note(hit=hit, fetched=fetched)
        if not hit:
            await self._forgetting.check(volume)
            # Who waits for somebody else's encode has no crop of its own: all is "encode".
            waited = 1000 * (time.perf_counter() - started)
            phases["fetch" if fetched else "encode"] = waited - phases.get("crop", 0.0)
        return Embedded(embedding, hit or fetched, phases)

    def _crop(self, record: VolumeRecord, window: Window) -> NDArray[np.float32]:
        voxels = self._store.volumes.voxels(record)
        volume = Volume(voxels, record.geometry, record.modality, record.modality_source)
        return crop(volume, window, self._rule)
