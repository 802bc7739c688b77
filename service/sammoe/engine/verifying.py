"""Running a bundle's self-test on the engine that serves it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.bundle.self_test import GENERAL, CasePrompt, check_self_test
from sammoe.engine.choice import AUTO, Choice
from sammoe.engine.inputs import DecoderInputs
from sammoe.engine.local import LocalEngine
from sammoe.engine.protocol import Decoded, Engine

T = TypeVar("T")


def verify_bundle(bundle: Bundle) -> float:
    """Load a bundle as for serving in this process, and verify it; blocks.

    Returns and raises as :func:`verify` does.
    """

    async def load_and_verify() -> float:
        engine = LocalEngine(bundle)
        try:
            return await verify(engine)
        finally:
            await engine.close()

    return asyncio.run(load_and_verify())


async def verify(engine: Engine) -> float:
    """Run the self-test of an engine's bundle; the largest difference found, as a share of what is
    allowed.

    Raises
    ------
    BundleInvalid
        The bundle has no self-test, or fails it.
    EngineError
        The engine can not answer.
    """
    runner = EngineRunner(engine, asyncio.get_running_loop())
    return await asyncio.to_thread(check_self_test, engine.bundle.manifest, runner)


class EngineRunner:
    """Implements :class:`sammoe.bundle.self_test.Runner`: every answer goes the served way.

    Its methods block, so they are called in another thread than the engine's loop runs in.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop

    def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See the protocol."""
        return self._wait(self._engine.encode(image))

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
        return self._wait(self._engine.decode(embedding, inputs, Choice(expert)))

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()
