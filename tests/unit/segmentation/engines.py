"""An engine that can be watched and held up, in front of a real one."""

import asyncio
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine import Choice, Decoded, DecoderInputs, Engine, Load
from sammoe.volume.volume import Modality


class WatchedEngine:
    """Counts calls; encodes wait until ``open`` is set; keeps what was decoded last, all choices
    of decodes, and what was to be unloaded when it was closed.
    """

    def __init__(self, engine: Engine, *, opened: bool = True) -> None:
        self._engine = engine
        self.encodes = 0
        self.inputs: DecoderInputs | None = None
        self.modality: Modality | None = None
        self.choices: list[Choice] = []
        self.unloaded: list[str] | None = None
        self.open = asyncio.Event()
        if opened:
            self.open.set()

    @property
    def bundle(self) -> Bundle:
        return self._engine.bundle

    @property
    def loads(self) -> Mapping[str, Load]:
        return self._engine.loads

    @property
    def missing(self) -> frozenset[str]:
        return self._engine.missing

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        self.encodes += 1
        await self.open.wait()
        return await self._engine.encode(image)

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        self.inputs, self.modality = inputs, modality
        self.choices.append(choice)
        return await self._engine.decode(embedding, inputs, choice, modality)

    async def check_ready(self) -> None:
        await self._engine.check_ready()

    async def close(self, *, unload: Collection[str] = ()) -> None:
        self.unloaded = [*unload]
        await self._engine.close()
