"""The served way of a click, without a store: plan, crop, encode, decode, follow, paste.

Everything is done by serving's own functions; what is left out is the keeping of records. Windows
are embedded once, and equal decodes are run once, whoever asks for them.
"""

import hashlib
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER, Bundle, Routing
from sammoe.engine import AUTO, GENERAL, Choice, Decoded, DecoderInputs, Engine, Ran, Route
from sammoe.segmentation import Extent, Grown, Prompt
from sammoe.segmentation.embedding import Embedded
from sammoe.segmentation.growing import Grower, remembering
from sammoe.segmentation.grown import Request
from sammoe.segmentation.planning import Parent, Plan, plan
from sammoe.segmentation.prompt import merge
from sammoe.store import VolumeRecord, now
from sammoe.training.evaluation.deciding import always, decided
from sammoe.training.evaluation.metrics import Mask
from sammoe.volume.crop import crop
from sammoe.volume.field import Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import Window, model_grid

T = TypeVar("T")

Logits = NDArray[np.float32]
Embeddings = MutableMapping[str, NDArray[np.float16]]
"""Of one volume's windows, by encoder and window: bundles with one encoder can share them."""

LOOK = Choice(AUTO, tau=0.0)
"""Every candidate: general mask, and that of the top expert whatever its score."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A prompt, the answer that it refines, and the windows that it begins in."""

    request: Request
    parent: Parent | None
    plans: list[Plan]

    @property
    def first(self) -> Plan:
        """Of the window in which the gate is asked, and which the next click starts from."""
        return self.plans[0]


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
    one_window
        Whether a segmentation stays in its first prompt's window; else masks are followed as
        served.
    """

    def __init__(
        self,
        engine: Engine,
        volume: Volume,
        embeddings: Embeddings | None = None,
        *,
        one_window: bool = False,
    ) -> None:
        self._engine = engine
        self._volume = volume
        self._record = _record(volume)
        self._rule = engine.bundle.manifest.window_rule()
        self._encoder = engine.bundle.model_digest(ENCODER)
        self._embeddings: Embeddings = {} if embeddings is None else embeddings
        self._one_window = one_window
        self._decoded: dict[tuple[Choice, str], Decoded] = {}
        self._looked: dict[str, Decoded] = {}
        self._visible: dict[Window | None, Mask] = {}

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self._engine

    @property
    def volume(self) -> VolumeRecord:
        """The scan as the planning sees it."""
        return self._record

    def plan(self, prompt: Prompt, parent: Parent | None = None) -> Plan:
        """See `sammoe.segmentation.planning.plan`; ``parent`` is the answer that is refined."""
        boxes = self._engine.bundle.manifest.model.boxes
        return plan(self._record, parent, prompt, self._rule, boxes=boxes)

    def begin(self, prompt: Prompt, parent: Parent | None = None) -> Begun:
        """The windows of a prompt, by `plan` or as served."""
        new = prompt.to_index(self._record.geometry)
        together = merge(parent.prompt if parent else None, new)
        request = Request(self._record, new, together, parent, LOOK, Extent())
        if not self._one_window:
            return Begun(request, parent, self._grower(self._routing).begin(request))
        # Its answer is all of its window's: nothing of the parent's shows beside it.
        request = replace(request, parent=None, extent=Extent(max_windows=1, extend=False))
        return Begun(request, parent, [self.plan(prompt, parent)])

    async def look(self, begun: Begun) -> Decoded:
        """Every candidate in the first window; see `decode`."""
        choice = remembering(LOOK, begun.parent, self._engine.bundle)
        return await self.decode(begun.first, choice)

    def shown(self, begun: Begun, field: Field, route: Route) -> Parent:
        """What the next click refines: one of the masks that this engine made of a prompt."""
        return Parent(
            prompt=begun.first.prompt,
            window=begun.first.window,
            field=field,
            bundle=self._engine.bundle.digest,
            scores=tuple(route.scores.values()),
        )

    async def grow(self, begun: Begun, choice: Choice, *, fused: bool = False) -> Grown:
        """Answer, and follow.

        Parameters
        ----------
        fused
            Whether ``auto`` mixes the top expert in whatever the bundle's routing says.
        """
        routing = always(self._routing) if fused else self._routing
        choice = remembering(choice, begun.parent, self._engine.bundle)
        request = replace(begun.request, choice=choice)
        return await self._grower(routing).grow(request, begun.plans)

    async def decode(self, planned: Plan, choice: Choice) -> Decoded:
        """Embed the window if need be, and run the decoders.

        Raises
        ------
        NoForeground
            There is nothing to see in the window.
        EngineError
            See `Engine.encode` and `Engine.decode`.
        """
        return await self._decode(planned.window, planned.inputs, choice)

    async def general(self, planned: Plan) -> Logits:
        """The general decoder's logits; free where `LOOK` was asked for already."""
        looked = self._looked.get(_key(planned.window, planned.inputs))
        decoded = looked or await self.decode(planned, Choice(GENERAL))
        return decoded.candidates["general"]

    async def answer(
        self, window: Window, inputs: DecoderInputs, choice: Choice, routing: Routing
    ) -> Decoded:
        """What an engine with this routing answers, of what was looked at where that is known."""
        if choice.expert == AUTO:
            looked = await self._decode(window, inputs, replace(choice, tau=LOOK.tau))
            return decided(looked, inputs, self._rule.side, routing)
        known = self._looked.get(_key(window, inputs))
        if known is not None and choice.expert == GENERAL:
            return Decoded({"general": known.candidates["general"]}, Route(GENERAL), 0.0)
        if known is not None and known.route.top == choice.expert and len(known.candidates) > 1:
            return Decoded({"expert": known.candidates["expert"]}, Route(choice.expert), 0.0)
        return await self._decode(window, inputs, choice)

    async def embed(self, window: Window) -> NDArray[np.float16]:
        """A window's embedding, made once."""
        key = f"{self._encoder} {window.key()}"
        if key not in self._embeddings:
            image = crop(self._volume, window, self._rule)
            self._embeddings[key] = await self._engine.encode(image)
        return self._embeddings[key]

    def mask(self, field: Field) -> Mask:
        """The whole mask on the volume's grid, bool [i, j, k]."""
        geometry = self._volume.geometry
        return field.paste(geometry).full(geometry.shape).view(np.bool_)

    def reachable(self, window: Window | None) -> Mask:
        """Where a click is taken; see `visible`."""
        if window not in self._visible:
            self._visible[window] = visible(window, self._volume.geometry)
        return self._visible[window]

    @property
    def _routing(self) -> Routing:
        return self._engine.bundle.manifest.routing

    def _grower(self, routing: Routing) -> Grower:
        parts = _Parts(self, routing)
        return Grower(parts, parts, self._rule, parts)

    async def _decode(self, window: Window, inputs: DecoderInputs, choice: Choice) -> Decoded:
        key = choice, _key(window, inputs)
        if key not in self._decoded:
            embedding = await self.embed(window)
            self._decoded[key] = await self._engine.decode(
                embedding, inputs, choice, self._volume.modality
            )
            if choice.expert == AUTO and choice.tau == LOOK.tau:
                self._looked[key[1]] = self._decoded[key]
        return self._decoded[key]


class _Parts:
    """What a `Grower` works with: a scene's memory, in the thread of who asks."""

    def __init__(self, scene: Scene, routing: Routing) -> None:
        self._scene, self._routing = scene, routing
        self._windows: dict[int, Window] = {}

    @property
    def bundle(self) -> Bundle:
        return self._scene.engine.bundle

    async def embed(self, volume: VolumeRecord, window: Window) -> Embedded:
        embedding = await self._scene.embed(window)
        # The scene keeps it, so that its identity stays its own.
        self._windows[id(embedding)] = window
        return Embedded(embedding, hit=True, phases_ms={})

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality,
    ) -> Decoded:
        window = self._windows[id(embedding)]
        return await self._scene.answer(window, inputs, choice, self._routing)

    async def run(self, call: Callable[[], T]) -> Ran[T]:
        return Ran(call(), 0.0, 0.0)


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


def _key(window: Window, inputs: DecoderInputs) -> str:
    """Text that is equal for equal decodes."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (inputs.coords, inputs.labels, inputs.mask):
        digest.update(np.ascontiguousarray(array).data)
    return f"{window.key()} {digest.hexdigest()}"


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
