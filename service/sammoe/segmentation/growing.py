"""From the windows that a request begins in to a field: decode, join, and follow the mask.

Windows are looked at level by level. All of a level are planned from what was known before it, so
they can run side by side, in any order, and give the same field.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sammoe.engine import GENERAL, Choice, Engine, Route, WorkerPool
from sammoe.errors import NoForeground
from sammoe.segmentation.embedding import Embedder
from sammoe.segmentation.following import agrees, neighbours
from sammoe.segmentation.planning import Parent, Places, Plan, answer, answer_name, plan_window
from sammoe.segmentation.wandering import first_windows
from sammoe.store import Fields, Logits, PromptRecord, VolumeRecord, rounded
from sammoe.telemetry import span
from sammoe.volume.blending import confirmed, joined
from sammoe.volume.field import Field
from sammoe.volume.window import Window, WindowRule, model_grid

MOST_WINDOWS: Final = 64
"""More than this no request may look at."""

_AT_ONCE: Final = 4
"""Windows of one request that are under way together: others' clicks shall find a place."""

_ROUTE_UNKNOWN: Final = Route(used=GENERAL)


@dataclass(frozen=True)
class Extent:
    """How far a request may go.

    Attributes
    ----------
    max_windows
        How many windows may be looked at, 1 to `MOST_WINDOWS`.
    extend
        Whether the mask is followed beyond the windows that the prompt lies in.
    spacing
        Of the model grid, mm, in place of the rule's choice, or of the parent's.
    """

    max_windows: int = 8
    extend: bool = True
    spacing: float | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """A prompt with its history.

    Attributes
    ----------
    volume
        The scan.
    new, prompt
        What this request brings, and all prompts so far; source voxel index.
    parent
        What is refined, or None.
    choice, extent
        Which decoders, and how far.
    """

    volume: VolumeRecord
    new: PromptRecord
    prompt: PromptRecord
    parent: Parent | None
    choice: Choice
    extent: Extent


@dataclass(frozen=True, eq=False)
class Looked:
    """A window that was looked at; without candidates where there was nothing to see."""

    window: Window
    candidates: Logits
    route: Route
    hit: bool
    phases_ms: dict[str, float]
    kept: bool = True


@dataclass(frozen=True, eq=False)
class Grown:
    """What came of a request.

    Attributes
    ----------
    looked
        Windows in the order of their levels.
    field
        The answer.
    seeds
        How many of the windows the prompt took itself.
    """

    looked: tuple[Looked, ...]
    field: Field
    seeds: int

    @property
    def route(self) -> Route:
        """That of the first window."""
        return self.looked[0].route

    @property
    def encodes(self) -> int:
        """How many windows had to be embedded."""
        return sum(not one.hit for one in self.looked)


Progress = Callable[[Grown], None]
"""Told of each level but the last."""


class Grower:
    """Decodes the windows of requests; see the module.

    Parameters
    ----------
    pool
        Where fields are joined and windows planned.
    """

    def __init__(
        self, engine: Engine, embedder: Embedder, rule: WindowRule, pool: WorkerPool
    ) -> None:
        self._engine = engine
        self._embedder = embedder
        self._rule = rule
        self._pool = pool

    def begin(self, request: Request, windows: Sequence[Window] | None = None) -> list[Plan]:
        """The first level; blocks.

        Parameters
        ----------
        windows
            In place of those that the prompt takes.
        """
        windows = windows or first_windows(
            request.volume,
            request.parent,
            request.new,
            request.prompt,
            self._rule,
            request.extent.max_windows,
            request.extent.spacing,
        )
        field = None if request.parent is None else request.parent.field
        return [self._plan(request, window, field) for window in windows]

    async def route(self, request: Request, planned: Plan) -> Route:
        """What the gate says of one window."""
        one = await self._look(request.volume, planned, request.choice, asyncio.Semaphore())
        return one.route

    async def grow(
        self, request: Request, plans: Sequence[Plan], progress: Progress | None = None
    ) -> Grown:
        """Look at the first level's windows, then follow the mask as far as the request says.

        Raises
        ------
        NoForeground
            There is nothing to see in a window of the first level.
        EngineError
            See `Engine.encode` and `Engine.decode`.
        """
        places = asyncio.Semaphore(_AT_ONCE)
        first = await _all([self._look(request.volume, p, request.choice, places) for p in plans])
        begun = partial(self._join, request, first, first, len(first))
        grown, level = (await self._pool.run(begun)).value
        choice = _continuing(request.choice, grown.route)
        while level:
            if progress is not None:
                progress(grown)
            found = await _all(
                [self._look_on(request.volume, p, choice, grown.route, places) for p in level]
            )
            step = partial(self._go_on, request, grown, found)
            grown, level = (await self._pool.run(step)).value
        return grown

    def _go_on(
        self, request: Request, grown: Grown, found: Sequence[Looked]
    ) -> tuple[Grown, list[Plan]]:
        judged = [_judged(grown.field, one, grown.route) for one in found]
        return self._join(request, [*grown.looked, *judged], judged, grown.seeds)

    def _join(
        self, request: Request, looked: Sequence[Looked], fresh: Sequence[Looked], seeds: int
    ) -> tuple[Grown, list[Plan]]:
        """What is known now, and the next level."""
        route = looked[0].route
        kept = [(one.window, chosen(one, route)) for one in looked if one.kept]
        grown = Grown(tuple(looked), self.joined(request, kept), seeds)
        left = request.extent.max_windows - len(looked)
        if left <= 0 or not request.extent.extend:
            return grown, []
        grid = model_grid(request.volume.geometry, grown.field.spacing)
        box = None
        if request.prompt.box is not None:
            corners = grid.to_model(np.array(request.prompt.box))
            box = corners.min(axis=0), corners.max(axis=0)
        windows = [one.window for one in fresh if one.kept]
        before = {one.window for one in looked}
        found = neighbours(grown.field, windows, grid.shape, self._rule, box)
        on = [one for one in found if one.window not in before][:left]
        plans = [self._plan(request, n.window, grown.field, n.hints) for n in on]
        return grown, plans

    def joined(
        self, request: Request, answers: Sequence[tuple[Window, NDArray[np.float32]]]
    ) -> Field:
        """Windows' logits as one field, over the parent's, with what the user confirmed in it."""
        parent = request.parent
        if parent is None:
            return _rounded(joined(answers))
        field = _rounded(joined(answers, parent.field))
        if len(answers) == 1 and field.values.shape == answers[0][1].shape:
            return field
        now = dict(zip(request.prompt.points, request.prompt.labels, strict=True))
        clicks = [
            (point, label)
            for point, label in zip(parent.prompt.points, parent.prompt.labels, strict=True)
            if now.get(point) == label
        ]
        # As the mask has it: in the voxel nearest to the click.
        voxels = np.floor(np.array([point for point, _ in clicks]).reshape(-1, 3) + 0.5)
        places = model_grid(request.volume.geometry, field.spacing).to_model(voxels)
        return confirmed(parent.field, field, places, [label for _, label in clicks])

    def _plan(
        self, request: Request, window: Window, field: Field | None, hints: Places | None = None
    ) -> Plan:
        return plan_window(
            request.volume,
            window,
            request.prompt,
            field,
            self._rule,
            boxes=self._engine.bundle.manifest.model.boxes,
            new_box=request.new.box is not None,
            hints=hints,
        )

    async def _look(
        self, volume: VolumeRecord, planned: Plan, choice: Choice, places: asyncio.Semaphore
    ) -> Looked:
        async with places:
            embedded = await self._embedder.embed(volume, planned.window)
            clock = asyncio.get_running_loop().time
            started = clock()
            with span("decode") as seen:
                decoded = await self._engine.decode(
                    embedded.embedding, planned.inputs, choice, volume.modality
                )
                seen.note(used=decoded.route.used, fused=decoded.route.fused)
        masks = {name: rounded(logits) for name, logits in decoded.candidates.items()}
        phases = dict(embedded.phases_ms)
        phases["decode"] = 1000 * (clock() - started) - decoded.queue_ms
        phases["queue"] = decoded.queue_ms
        return Looked(planned.window, masks, decoded.route, embedded.hit, phases)

    async def _look_on(
        self,
        volume: VolumeRecord,
        planned: Plan,
        choice: Choice,
        route: Route,
        places: asyncio.Semaphore,
    ) -> Looked:
        """The same for a neighbour, in which there may be nothing to see."""
        try:
            return await self._look(volume, planned, choice, places)
        except NoForeground:
            return Looked(planned.window, {}, _ROUTE_UNKNOWN, True, {}, kept=False)


def _rounded(field: Field) -> Field:
    """As it will be read again."""
    return replace(field, values=rounded(field.values))


def chosen(looked: Looked, route: Route) -> NDArray[np.float32]:
    """A window's part of the answer: of the expert that the first window's route used, or general.

    An expert that was not the click's own has no say further on.
    """
    if looked.route.used == route.used:
        return answer(looked.candidates, looked.route)
    return looked.candidates["general"]


def candidates(grower: Grower, request: Request, grown: Grown) -> Fields:
    """All masks that were computed in each window that was kept, and the answer."""
    kept = [one for one in grown.looked if one.kept]
    names = [name for name in kept[0].candidates if all(name in one.candidates for one in kept)]
    name = answer_name(kept[0].candidates, grown.route)
    return {
        other: grown.field
        if other == name
        else grower.joined(request, [(one.window, one.candidates[other]) for one in kept])
        for other in dict.fromkeys([*names, name])
    }


def _continuing(choice: Choice, route: Route) -> Choice:
    """What neighbours are asked: to go on with what the first window's answer was made of."""
    return choice if route.fused else Choice(route.used)


def _judged(field: Field, one: Looked, route: Route) -> Looked:
    if not one.candidates:
        return one
    return replace(one, kept=agrees(field, one.window, chosen(one, route)))


async def _all(looks: Sequence[Coroutine[Any, Any, Looked]]) -> list[Looked]:
    """All results in order; if one fails, that is raised and the others are cancelled."""
    tasks = [asyncio.ensure_future(look) for look in looks]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
