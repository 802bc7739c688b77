"""One target: every prompt to every system, as rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from sammoe.engine import GENERAL, Choice
from sammoe.files import replacing
from sammoe.segmentation import Grown, Point, Prompt
from sammoe.segmentation.doubts import doubts
from sammoe.segmentation.growing import ends_of
from sammoe.segmentation.planning import Parent, Plan
from sammoe.segmentation.rivals import rival_of
from sammoe.store import DoubtRecord
from sammoe.training.evaluation.judging import Judge, Judged
from sammoe.training.evaluation.metrics import Mask
from sammoe.training.evaluation.rows import NAN, Row
from sammoe.training.evaluation.sessions import Begun, Scene
from sammoe.training.evaluation.systems import (
    FT_EXPERT,
    VARIANTS,
    Answered,
    Baseline,
    Mixture,
    Named,
    System,
    vary,
)
from sammoe.training.evaluation.together import points_together
from sammoe.training.evaluation.users import Drawing, draw_box, rng_of
from sammoe.volume.field import Field
from sammoe.volume.nifti import write_nifti
from sammoe.volume.window import Window

FT_ON_GENERAL: Final = 2
"""Experts asked by name about a class that is none of theirs: so many, drawn for each target."""


@dataclass(frozen=True)
class Options:
    """What is asked of every target.

    Attributes
    ----------
    clicks
        Of a user, and points given at once.
    user
        See `User`.
    downstream
        Expert that is asked about every general class (Table 1, left half), or None.
    crop
        Whether Dice inside of the crop is measured too.
    save
        Folder for every mask, or None.
    users
        How many ask about every target, each with prompts of its own.
    seed
        Of the first user; the next one's is one more.
    one_window
        See `Scene`.
    """

    clicks: int = 6
    user: Literal["random", "careful"] = "random"
    downstream: str | None = None
    crop: bool = False
    save: Path | None = None
    users: int = 1
    seed: int = 0
    one_window: bool = False


@dataclass(frozen=True, eq=False)
class Target:
    """A structure to segment: where it comes from, its mask, and whose it is.

    ``expert``: the expert that was trained for it, or empty for a general class.
    """

    dataset: str
    case: str
    patient: str
    structure: str
    mask: Mask
    expert: str = ""


class Examiner:
    """Puts every prompt on one target to every system.

    Parameters
    ----------
    scenes
        Mixture's name -> the scan on that bundle's engine. The first one's general model and
        experts are the baseline and the named experts.
    """

    def __init__(self, scenes: dict[str, Scene], target: Target, options: Options) -> None:
        self._target, self._options = target, options
        self._first = next(iter(scenes.values()))
        self._mixtures = [Mixture(scene, name) for name, scene in scenes.items()]
        self._judge = Judge(target.mask, self._first.volume.geometry)
        self._words = (options.seed, target.dataset, target.case, target.structure)

    async def rows(self) -> list[Row]:
        """All of them."""
        found = []
        # Mixtures first: their looks hold the general mask, which the baseline then has for free.
        systems: list[System] = [*self._mixtures, Baseline(self._first)]
        own = [Named(self._first, self._target.expert)] if self._target.expert else []
        for drawing in get_args(Drawing):
            found += await self._once(drawing, 0, self._box(drawing), [*systems, *own])
        found += await self._once("at_once", self._options.clicks, self._points(), [*systems, *own])
        for system in [*systems, *own]:
            found += await self._loop(system)
        for other in [] if own else self._strangers():
            found += await self._once("box", 0, self._box("box"), [other])
            found += await self._loop(other)
        return found

    async def _once(
        self, kind: str, clicks: int, prompt: Prompt, systems: Sequence[System]
    ) -> list[Row]:
        begun, found = self._first.begin(prompt), []
        for system in systems:
            answered = await system.answer(begun)
            grown = await system.scene.grow(begun, system.choice)
            found.append(await self._row(system, kind, clicks, answered, begun, grown))
            if isinstance(system, Mixture) and kind in {"box", "at_once"}:
                found += self._variants(system, found[-1], answered, begun.first)
        return found

    async def _loop(self, system: System) -> list[Row]:
        found: list[Row] = []
        shown: Parent | None = None
        judged: Judged | None = None
        for number in range(1, self._options.clicks + 1):
            index, positive = self._judge.next_click(
                judged,
                self._reach(shown.window if shown else None),
                rng_of(*self._words, number),
                careful=self._options.user == "careful",
            )
            prompt = Prompt(points=(Point(*index, positive=positive),))
            begun = self._first.begin(prompt, shown)
            answered = await system.answer(begun)
            grown = await system.scene.grow(begun, system.choice)
            found.append(await self._row(system, "loop", number, answered, begun, grown))
            shown = system.scene.shown(begun, grown.field, grown.route)
            judged = self._judge(grown.field)
        return found

    def _strangers(self) -> Iterator[Named]:
        """Experts to ask about a class that is none of theirs, for what they have forgotten."""
        manifest = self._first.engine.bundle.manifest
        modality = self._first.volume.modality
        able = [expert.name for expert in manifest.experts if expert.takes(modality)]
        drawn = rng_of(*self._words, "experts").permutation(able).tolist()
        first = [e.name for e in manifest.experts if e.name == self._options.downstream]
        for name in list(dict.fromkeys([*first, *drawn]))[:FT_ON_GENERAL]:
            yield Named(self._first, name)

    def _box(self, drawing: Drawing) -> Prompt:
        rng = rng_of(*self._words, drawing)
        return Prompt(box=draw_box(self._target.mask, drawing, rng))

    def _points(self) -> Prompt:
        rng = rng_of(*self._words, "points")
        return points_together(self._first, self._target.mask, self._options.clicks, rng)

    def _reach(self, window: Window | None) -> Mask:
        return self._first.reachable(window)

    async def _row(
        self,
        system: System,
        kind: str,
        clicks: int,
        answered: Answered,
        begun: Begun,
        grown: Grown,
    ) -> Row:
        judged = self._judge(grown.field)
        route, scene = answered.route, system.scene
        general = None if answered.general is None else GENERAL
        expert = None if answered.expert is None else route.top
        rival = rival_of(route, scene.engine.bundle.manifest, scene.volume.modality)
        row = replace(
            self._blank(system.name, kind, clicks, judged),
            nsd=judged.nsd,
            used=route.used,
            top=route.top or "",
            s_top=_number(route.s_top),
            check=route.check or "",
            warnings=";".join(doubt.code for doubt in self._doubts(begun, grown, judged, scene)),
            agreement=_number(route.agreement),
            distance=_number(route.distance),
            dice_general=await self._dice(scene, begun, general),
            dice_expert=await self._dice(scene, begun, expert),
            dice_rival=await self._dice(scene, begun, rival),
            dice_crop=judged.dice_crop(begun.first.window) if self._options.crop else NAN,
        )
        if self._options.save is not None:
            self._save(mask_path(self._options.save, row), judged)
        return row

    def _variants(
        self, system: Mixture, row: Row, answered: Answered, planned: Plan
    ) -> Iterator[Row]:
        first, own = (s.engine.bundle.manifest.routing for s in (self._first, system.scene))
        slacks = {"slack": first.slack, "own_slack": first.own_slack}
        routing = own.model_copy(update=slacks)
        for variant in VARIANTS:
            logits = vary(variant, answered, planned.inputs, system.side, routing)
            judged = self._judge(Field.of_window(planned.window, logits))
            name = f"{system.name}: {variant.name}"
            yield self._blank(name, row.prompt, row.clicks, judged)

    def _blank(self, system: str, kind: str, clicks: int, judged: Judged) -> Row:
        target = self._target
        return Row(
            dataset=target.dataset,
            case=target.case,
            patient=target.patient,
            structure=target.structure,
            group="own" if target.expert else "general",
            expert=target.expert,
            system=system,
            prompt=kind,
            clicks=clicks,
            dice=judged.dice,
        )

    def _doubts(
        self, begun: Begun, grown: Grown, judged: Judged, scene: Scene
    ) -> tuple[DoubtRecord, ...]:
        request = begun.request
        ends = ends_of(request, grown, judged.pasted)
        bundle = scene.engine.bundle
        return doubts(request.volume, request.prompt, ends, judged.pasted, grown.route, bundle)

    async def _dice(self, scene: Scene, begun: Begun, name: str | None) -> float:
        """Of what one decoder alone would have answered."""
        if name is None:
            return NAN
        return self._judge((await scene.grow(begun, Choice(name))).field).dice

    def _save(self, path: Path, judged: Judged) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = write_nifti(judged.pasted.full(self._judge.geometry.shape), self._judge.geometry)
        # A mask that is there counts as whole when a killed run goes on.
        with replacing(path) as stream:
            stream.write(content)


def mask_path(folder: Path, row: Row) -> Path:
    """Where the mask of an answer is kept in the folder for all of them."""
    system = f"{row.system}_{row.used}" if row.system == FT_EXPERT else row.system
    name = f"{row.structure}_{row.prompt}_{row.clicks}.nii.gz"
    return folder / system / row.dataset / row.case / name


def has_mask(row: Row) -> bool:
    """Whether an answer's mask can be kept: one of a variant of the selector never is."""
    return ": " not in row.system


def _number(value: float | None) -> float:
    return NAN if value is None else value
