"""The served way of a click in one window, without a store: plan, crop, encode, decode, paste.

Everything is done by serving's own functions; what is left out is the keeping of records. Windows
are embedded once, and equal decodes are run once, whoever asks for them.
"""

import hashlib
from collections.abc import MutableMapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER
from sammoe.engine import AUTO, GENERAL, Choice, Decoded, Engine
from sammoe.segmentation import Prompt
from sammoe.segmentation.planning import Parent, Plan, plan
from sammoe.store import VolumeRecord, now
from sammoe.training.evaluation.metrics import Mask
from sammoe.volume.crop import crop
from sammoe.volume.field import Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import paste
from sammoe.volume.volume import Volume
from sammoe.volume.window import Window, model_grid

Logits = NDArray[np.float32]
Embeddings = MutableMapping[str, NDArray[np.float16]]
"""Of one volume's windows, by encoder and window: bundles with one encoder can share them."""

LOOK = Choice(AUTO, tau=0.0)
"""Every candidate: general mask, and that of the top expert whatever its score."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a user sees: the plan that led to it and the logits that are the answer."""

    plan: Plan
    logits: Logits

    @property
    def window(self) -> Window:
        """Where the logits lie."""
        return self.plan.window


class Scene:
    """A scan on an engine.

    Parameters
    ----------
    engine
        Runs the bundle.
    volume
        The scan.
    embeddings
        Shared with other scenes of the same volume.
    """

    def __init__(
        self, engine: Engine, volume: Volume, embeddings: Embeddings | None = None
    ) -> None:
        self._engine = engine
        self._volume = volume
        self._record = _record(volume)
        self._rule = engine.bundle.manifest.window_rule()
        self._encoder = engine.bundle.model_digest(ENCODER)
        self._embeddings: Embeddings = {} if embeddings is None else embeddings
        self._decoded: dict[tuple[Choice, str], Decoded] = {}
        self._visible: dict[Window | None, Mask] = {}

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self._engine

    @property
    def volume(self) -> VolumeRecord:
        """The scan as the planning sees it."""
        return self._record

    def plan(self, prompt: Prompt, parent: Shown | None = None) -> Plan:
        """See `sammoe.segmentation.planning.plan`; ``parent`` is the answer that is refined."""
        boxes = self._engine.bundle.manifest.model.boxes
        earlier = None if parent is None else _parent(parent)
        return plan(self._record, earlier, prompt, self._rule, boxes=boxes)

    async def decode(self, planned: Plan, choice: Choice) -> Decoded:
        """Embed the window if need be, and run the decoders.

        Raises
        ------
        NoForeground
            There is nothing to see in the window.
        EngineError
            See `Engine.encode` and `Engine.decode`.
        """
        key = choice, _key(planned)
        if key not in self._decoded:
            embedding = await self._embed(planned.window)
            self._decoded[key] = await self._engine.decode(
                embedding, planned.inputs, choice, self._volume.modality
            )
        return self._decoded[key]

    async def general(self, planned: Plan) -> Logits:
        """The general decoder's logits; free where `LOOK` was asked for already."""
        looked = self._decoded.get((LOOK, _key(planned)))
        decoded = looked or await self.decode(planned, Choice(GENERAL))
        return decoded.candidates["general"]

    def mask(self, logits: Logits, window: Window) -> Mask:
        """The whole mask on the volume's grid, bool [i, j, k]."""
        geometry = self._volume.geometry
        pasted = paste(logits, window, geometry)
        return pasted.full(geometry.shape).view(np.bool_)

    def reachable(self, window: Window | None) -> Mask:
        """Where a click is taken; see `visible`."""
        if window not in self._visible:
            self._visible[window] = visible(window, self._volume.geometry)
        return self._visible[window]

    async def _embed(self, window: Window) -> NDArray[np.float16]:
        key = f"{self._encoder} {window.key()}"
        if key not in self._embeddings:
            image = crop(self._volume, window, self._rule)
            self._embeddings[key] = await self._engine.encode(image)
        return self._embeddings[key]


def visible(window: Window | None, geometry: Geometry) -> Mask:
    """Voxels whose centres lie in a window, where the simulated user stays; no window, all."""
    if window is None:
        return np.ones(geometry.shape, bool)
    grid, inside = model_grid(geometry, window.spacing), np.ones(geometry.shape, bool)
    for axis in range(3):
        source = grid.axes[axis]
        places = grid.axis_to_model(axis, np.arange(geometry.shape[source])) - window.start[axis]
        shape = [1, 1, 1]
        shape[source] = -1
        inside &= ((places >= -0.5) & (places <= window.side - 0.5)).reshape(shape)
    return inside


def _key(planned: Plan) -> str:
    """Text that is equal for equal decodes."""
    digest = hashlib.blake2b(digest_size=16)
    inputs = planned.inputs
    for array in (inputs.coords, inputs.labels, inputs.mask):
        digest.update(np.ascontiguousarray(array).data)
    return f"{planned.window.key()} {digest.hexdigest()}"


def _record(volume: Volume) -> VolumeRecord:
    """What the planning reads of a volume; nothing of it is kept anywhere."""
    a, b, c, _ = volume.geometry.affine.tolist()
    return VolumeRecord(
        id="",
        owner="",
        created=now(),
        file_digest="",
        content_digest="",
        shape=volume.geometry.shape,
        affine=(a, b, c, (0.0, 0.0, 0.0, 1.0)),
        dtype=volume.voxels.dtype.name,
        modality=volume.modality,
        modality_source=volume.modality_source,
        modality_asked="auto",
    )


def _parent(shown: Shown) -> Parent:
    """What the planning reads of a parent: its prompt, its window, and its answer."""
    return Parent(shown.plan.prompt, shown.window, Field.of_window(shown.window, shown.logits))
