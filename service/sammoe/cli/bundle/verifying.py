"""Running a bundle's self-test on the engine that serves it."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.bundle.self_test import GENERAL, CasePrompt, check_self_test
from sammoe.engine.choice import AUTO, Choice
from sammoe.engine.inputs import DecoderInputs
from sammoe.engine.local import LocalEngine
from sammoe.engine.protocol import Decoded


def verify(bundle: Bundle) -> float:
    """Load a bundle as for serving and run its self-test; the largest difference found, as a share
    of what is allowed.

    Raises
    ------
    BundleInvalid
        It can not be loaded, has no self-test, or fails it.
    """
    engine = LocalEngine(bundle)
    with asyncio.Runner() as loop:
        try:
            return check_self_test(bundle.manifest, EngineRunner(engine, loop))
        finally:
            loop.run(engine.close())


class EngineRunner:
    """Implements :class:`sammoe.bundle.self_test.Runner`: every answer goes the served way."""

    def __init__(self, engine: LocalEngine, loop: asyncio.Runner) -> None:
        self._engine = engine
        self._loop = loop

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See the protocol."""
        return self._loop.run(self._engine.encode(image))

    def logits(
        self, embedding: NDArray[np.float16], prompt: CasePrompt, decoder: str
    ) -> NDArray[np.float32]:
        """See the protocol."""
        decoded = self._decode(embedding, prompt, decoder)
        return decoded.candidates["general" if decoder == GENERAL else "expert"]

    def scores(self, embedding: NDArray[np.float16], prompt: CasePrompt) -> NDArray[np.float32]:
        """See the protocol."""
        route = self._decode(embedding, prompt, AUTO).route
        return np.array(list(route.scores.values()), np.float32)

    def _decode(self, embedding: NDArray[np.float16], prompt: CasePrompt, expert: str) -> Decoded:
        inputs = DecoderInputs(prompt.coords, prompt.labels, prompt.mask)
        return self._loop.run(self._engine.decode(embedding, inputs, Choice(expert)))
