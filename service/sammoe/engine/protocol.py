"""What an engine is: whatever runs a bundle."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine.choice import Choice
from sammoe.engine.inputs import DecoderInputs
from sammoe.engine.route import Route
from sammoe.engine.workers import Load
from sammoe.volume.volume import Modality


@dataclass(frozen=True, eq=False)
class Decoded:
    """Masks for one prompt.

    Attributes
    ----------
    candidates
        Logits float32 [L, L, L], canonical axis order, of each mask that was computed: any of
        ``"general"``, ``"expert"``, and ``"fused"`` where the two were mixed.
    route
        How they came about.
    queue_ms
        How long the request waited for a free worker of this process, milliseconds; 0 where a
        server runs the models, whose own queue is a part of its answer's time.
    """

    candidates: Mapping[str, NDArray[np.float32]]
    route: Route
    queue_ms: float


class Engine(Protocol):
    """Runs one bundle. Never blocks the event loop; any number of calls may be under way."""

    @property
    def bundle(self) -> Bundle:
        """The bundle that is run."""
        ...

    @property
    def loads(self) -> Mapping[str, Load]:
        """How busy ``encoder`` and ``decoder`` are."""
        ...

    @property
    def missing(self) -> frozenset[str]:
        """Folders of the bundle's models that can not be run now, as far as is known."""
        ...

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """Embed a window: [1, 1, S, S, S] -> float16 [1, E, g, g, g].

        Raises
        ------
        EngineBusy
            Too many requests are waiting.
        EngineOutputInvalid
            The answer has a wrong shape or type, or holds NaN or Inf.
        EngineError
            The engine failed, or is closed.
        """
        ...

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        """Segment in a window.

        Left to the gate, the best expert's decoder runs where its score exceeds tau, and with a
        box the second-best's, too, if it scores about alike (`sammoe.engine.selector.rival`).
        The mask is mixed with the general one if it fits the prompt about as well (see
        `Routing.slack`); if the best expert's decoder fails, the general mask is the answer.

        Parameters
        ----------
        modality
            The scan's. Where it is known, the gate takes no expert that was not trained on it; one
            named in ``choice`` runs all the same.

        Raises
        ------
        ExpertUnknown, PromptInvalid
            The choice names no expert of the bundle, or its tau is out of range.
        EngineBusy, EngineOutputInvalid, EngineError
            As for `encode`, from the general decoder, the gate, or an expert that was named.
        """
        ...

    async def check_ready(self) -> None:
        """Return when the bundle can answer now.

        Raises
        ------
        EngineError
            It can not; the detail says why.
        """
        ...

    async def close(self, *, unload: Collection[str] = ()) -> None:
        """Finish what runs, refuse what waits, free the workers.

        Parameters
        ----------
        unload
            Folders of models that nobody needs any more, so that a server which shares them with
            other processes may forget them.
        """
        ...
