"""From the windows that a request begins in to a field: decode, join, and follow the mask.

Windows are looked at level by level. All of a level are planned from what was known before it, so
they can run side by side, in any order, and give the same field. A structure that outgrows its
windows may be looked at through coarser ones: see `sammoe.segmentation.zooming`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import Bundle
from sammoe.engine import AUTO, GENERAL, Choice, Decoded, DecoderInputs, Ran, Route
from sammoe.errors import NoForeground, OutsideWindow
from sammoe.segmentation.doubts import Ends
from sammoe.segmentation.embedding import Embedded
from sammoe.segmentation.following import agrees, goes_on, lacks, neighbours
from sammoe.segmentation.grown import Extent, Grown, Looked, Progress, Request
from sammoe.segmentation.planning import Parent, Places, Plan, answer, answer_name, plan_window
from sammoe.segmentation.wandering import first_windows
from sammoe.segmentation.zooming import boundary, coarser, finer, goes_with
from sammoe.store import Fields, VolumeRecord, rounded
from sammoe.telemetry import span
from sammoe.volume.blending import confirmed, joined
from sammoe.volume.field import Field
from sammoe.volume.paste import Pasted
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule, model_grid

T = TypeVar("T")

_AT_ONCE: Final = 4
"""Windows of one request that are under way together: others' clicks shall find a place."""

_ROUTE_UNKNOWN: Final = Route(used=GENERAL)


class Embeds(Protocol):
    """What a grower needs of an embedder."""

    async def embed(self, volume: VolumeRecord, window: Window) -> Embedded:
        """See `Embedder.embed`."""
        ...


class Decodes(Protocol):
    """What it needs of an engine."""

    @property
    def bundle(self) -> Bundle:
        """That is run."""
        ...

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality,
    ) -> Decoded:
        """See `Engine.decode`."""
        ...


class Runs(Protocol):
    """What it needs of a pool."""

    async def run(self, call: Callable[[], T]) -> Ran[T]:
        """See `WorkerPool.run`."""
        ...


class Grower:
    """Decodes the windows of requests; see the module.

    Parameters
    ----------
    pool
        Where fields are joined and windows planned.
    """

    def __init__(self, engine: Decodes, embedder: Embeds, rule: WindowRule, pool: Runs) -> None:
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
        choice = remembering(request.choice, request.parent, self._engine.bundle)
        one = await self._look(request.volume, planned, choice, asyncio.Semaphore())
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
        choice = remembering(request.choice, request.parent, self._engine.bundle)
        return await self._follow(replace(request, choice=choice), plans, progress)

    async def _follow(
        self,
        request: Request,
        plans: Sequence[Plan],
        progress: Progress | None = None,
        route: Route | None = None,
    ) -> Grown:
        """`grow`; ``route``: of the click, where these windows are not its first."""
        places = asyncio.Semaphore(_AT_ONCE)
        first = await _all([self._look(request.volume, p, request.choice, places) for p in plans])
        route = route or first[0].route
        begun = partial(self._join, request, route, first, first, len(first))
        grown, level = (await self._pool.run(begun)).value
        choice = _continuing(request.choice, route)
        coarse = self._coarser(request, grown.field.spacing)
        while level:
            if progress is not None:
                progress(grown)
            if coarse is not None and 2 * (len(grown.looked) + len(level)) > _most(request):
                grown = await self._zoom(request, grown, choice, coarse, progress)
                if grown.coarse is not None:
                    break
                coarse, level = None, level[: _most(request) - len(grown.looked)]
            found = await self._look_on(request.volume, level, choice)
            step = partial(self._go_on, request, route, grown, found)
            grown, level = (await self._pool.run(step)).value
        return grown

    def _coarser(self, request: Request, spacing: float) -> float | None:
        """The spacing to zoom out to, if the request may."""
        if not request.extent.zoom or request.parent is not None or request.prompt.box is not None:
            return None
        return coarser(self._rule, spacing)

    async def _zoom(
        self,
        request: Request,
        grown: Grown,
        choice: Choice,
        spacing: float,
        progress: Progress | None,
    ) -> Grown:
        """Look through coarser windows as far as it takes; then along the boundary.

        Returns
        -------
        ``grown`` with more windows that were looked at; also with what they showed, if that goes
        on with it.
        """
        volume, route = request.volume, grown.route
        extent = Extent(_most(request) - len(grown.looked), spacing=spacing)
        again = replace(request, choice=choice, extent=extent)
        try:
            plans = (await self._pool.run(lambda: self.begin(again))).value
        except OutsideWindow:  # the windows that are left do not hold the points
            return grown
        coarse = await self._follow(again, plans, route=route)
        grown, level = (await self._pool.run(lambda: self._lay_under(request, grown, coarse))).value
        if level and progress is not None:
            progress(grown)
        found = await self._look_on(volume, level, choice)
        return (await self._pool.run(lambda: self._refined(request, grown, found))).value

    def _lay_under(self, request: Request, grown: Grown, coarse: Grown) -> tuple[Grown, list[Plan]]:
        """The finer windows' answers over the coarser ones', and windows along the boundary."""
        like = grown.looked[0].window
        under = _rounded(finer(coarse.field, like, self._rule.patch))
        if not goes_with(under, grown.field):
            dropped = [replace(one, kept=False) for one in coarse.looked]
            return replace(grown, looked=(*grown.looked, *dropped)), []
        seen = [one.window for one in grown.looked if one.kept]
        looked = (*grown.looked, *coarse.looked)
        over = self._refined(request, replace(grown, looked=looked, coarse=under), [])
        size = model_grid(request.volume.geometry, like.spacing).shape
        left = _most(request) - len(looked)
        level = boundary(over.field, seen, size, self._rule, left)
        return over, [self._plan(request, one.window, over.field, one.hints) for one in level]

    def _refined(self, request: Request, grown: Grown, found: Sequence[Looked]) -> Grown:
        """With windows along the boundary, where their answers go with what is known."""
        if grown.coarse is None:
            return grown
        route, spacing = grown.route, grown.field.spacing
        looked = (*grown.looked, *(_judged(grown.field, one, route) for one in found))
        kept = [
            (one.window, chosen(one, route))
            for one in looked
            if one.kept and one.window.spacing == spacing
        ]
        return replace(grown, looked=looked, field=_rounded(joined(kept, grown.coarse)))

    def _go_on(
        self, request: Request, route: Route, grown: Grown, found: Sequence[Looked]
    ) -> tuple[Grown, list[Plan]]:
        judged = [_judged(grown.field, one, route) for one in found]
        return self._join(request, route, [*grown.looked, *judged], judged, grown.seeds)

    def _join(
        self,
        request: Request,
        route: Route,
        looked: Sequence[Looked],
        fresh: Sequence[Looked],
        seeds: int,
    ) -> tuple[Grown, list[Plan]]:
        """What is known now, and the next level."""
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
            field = joined(answers)
            # What one window says is rounded already.
            return field if len(answers) == 1 else _rounded(field)
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
        self, volume: VolumeRecord, level: Sequence[Plan], choice: Choice
    ) -> list[Looked]:
        """The same for neighbours, in which there may be nothing to see."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def look(planned: Plan) -> Looked:
            try:
                return await self._look(volume, planned, choice, places)
            except NoForeground:
                return Looked(planned.window, {}, _ROUTE_UNKNOWN, True, {}, kept=False)

        return await _all([look(planned) for planned in level])


def remembering(choice: Choice, parent: Parent | None, bundle: Bundle) -> Choice:
    """The choice, with what this bundle's gate said of the answer that is refined."""
    if choice.expert != AUTO or parent is None or parent.bundle != bundle.digest:
        return choice
    return replace(choice, earlier=parent.scores)


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


def ends_of(request: Request, grown: Grown, pasted: Pasted) -> Ends:
    """Where the networks stopped looking."""
    volume, last = request.volume, grown.looked[-1].window
    whole = grown.field.values.shape == (len(grown.field.values),) * 3
    if len(grown.looked) == 1 and whole and grown.field.start == last.start:
        return Ends.of_window(volume, request.prompt, last, pasted)
    grid = model_grid(volume.geometry, grown.field.spacing)
    clipped = False
    if request.prompt.box is not None:
        corners = grid.to_model(np.array(request.prompt.box))
        clipped = lacks(grown.field, grid.shape, corners.min(axis=0), corners.max(axis=0))
    zoomed = None
    if grown.coarse is not None:
        zoomed = max(one.window.spacing for one in grown.looked if one.kept)
    return Ends(last, clipped, goes_on(grown.field, grid.shape), zoomed)


def candidates(grower: Grower, request: Request, grown: Grown) -> Fields:
    """All masks that one decoder made in each window that was kept, and the answer."""
    kept = [one for one in grown.looked if one.kept]
    names = [name for name in kept[0].candidates if all(name in one.candidates for one in kept)]
    if len({one.route.top for one in kept}) > 1:  # each window may have asked another expert
        names = [name for name in names if name != "expert"]
    name = answer_name(kept[0].candidates, grown.route)
    if grown.coarse is not None:  # another mask may not have outgrown its windows at all
        return {name: grown.field}
    return {
        other: grown.field
        if other == name
        else grower.joined(request, [(one.window, one.candidates[other]) for one in kept])
        for other in dict.fromkeys([*names, name])
    }


def _most(request: Request) -> int:
    return request.extent.max_windows


def _continuing(choice: Choice, route: Route) -> Choice:
    """What neighbours are asked: to go on with what the first window's answer was made of.

    An expert that won as rival may do so again; by its own score alone it might not be asked.
    """
    if not route.fused:
        return Choice(route.used)
    return replace(choice, only=route.used) if route.scores[route.used] == route.s_top else choice


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
