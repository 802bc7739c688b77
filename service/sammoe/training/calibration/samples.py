"""Prompts on held-out patients, with both candidates' scores: all that thresholds depend on."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from sammoe.bundle import PromptKind
from sammoe.engine import AUTO, GENERAL, Choice, Route
from sammoe.engine.selector import agreement, misfit, prompt_kind
from sammoe.segmentation import Point, Prompt
from sammoe.segmentation.planning import Parent
from sammoe.training.evaluation.judging import Judge, Judged
from sammoe.training.evaluation.running import Engines, Job, expert_of
from sammoe.training.evaluation.sessions import Begun, Embeddings, Scene
from sammoe.training.evaluation.targets import Target
from sammoe.training.evaluation.together import points_together
from sammoe.training.evaluation.users import draw_box, rng_of
from sammoe.volume.field import Field

NAME: Final = "bundle"
BOXES: Final[tuple[Literal["box", "jitter"], ...]] = ("box", "jitter")
CLICKS: Final = 6
"""Of a user who corrects."""

AT_ONCE: Final = (3, 6)
"""Points given together, as a user does who has not seen an answer yet."""


Way = Literal["box", "jitter", "at_once", "loop"]
"""How a user asks: an exact box, one that is a little off, points given together, or clicks that
correct answers one after the other."""


@dataclass(frozen=True)
class Sample:
    """One prompt and what general model and top expert make of it.

    Attributes
    ----------
    dataset, structure, patient
        Of the target.
    expert
        That was trained for it; empty for a general class.
    kind, way
        Of the prompt.
    top, s_top
        The gate's best expert, and its score.
    misfits
        Of the general mask and of the expert's.
    general, expert_dice, fused
        Dice of the general mask, of the top expert's, and of both mixed.
    agreement
        Dice of general and expert mask with each other.
    distance
        Of the gate features from those that ship; NaN where none do.
    """

    dataset: str
    structure: str
    patient: str
    expert: str
    kind: PromptKind
    way: Way
    top: str
    s_top: float
    misfits: tuple[float, float]
    general: float
    expert_dice: float
    fused: float
    agreement: float
    distance: float


@dataclass(frozen=True, eq=False)
class _Looked:
    """What came of a prompt: its sample, unless no expert is for this scan; what the gate said; and
    the masks that may be shown.
    """

    sample: Sample | None
    route: Route
    general: Field
    fused: Field


async def sample_case(
    engines: Engines, job: Job, seed: int, *, users: int = 1, one_window: bool = False
) -> list[Sample]:
    """Samples of every target of a case; ``engines`` holds one engine, `NAME`.

    Parameters
    ----------
    seed
        Of the first user's prompts; the next one's are ``seed + 1``, and so on.
    users
        Who ask about every target, each in their own way.
    one_window
        See `Scene`.
    """
    engine, case = engines[NAME], job.case
    volume = case.read_image()
    masks = case.read_masks(volume, job.classes)
    embeddings: Embeddings = {}
    samples = []
    for name in job.classes:
        if name in masks:
            expert = expert_of(engine.bundle.manifest, name, volume.modality)
            target = Target(case.dataset, case.name, case.patient, name, masks[name], expert)
            for user in range(users):
                scene = Scene(engine, volume, embeddings, one_window=one_window)
                samples += await Sampler(scene, target, seed + user).samples()
    return samples


class Sampler:
    """Prompts for one target.

    Boxes are exact and jittered. Clicks go into the error of a mask with the expert's mixed in as
    often as the gate's score says, else of the general one: about what a user is shown, before
    there are thresholds to say so. Points given at once lie anywhere in the target.
    """

    def __init__(self, scene: Scene, target: Target, seed: int) -> None:
        self._scene, self._target = scene, target
        self._judge = Judge(target.mask, scene.volume.geometry)
        self._words = ("calibrate", seed, target.dataset, target.case, target.structure)

    async def samples(self) -> list[Sample]:
        """Both boxes, points at once, and the answers after each of `CLICKS`."""
        found: list[Sample | None] = []
        for drawing in BOXES:
            box = draw_box(self._target.mask, drawing, rng_of(*self._words, drawing))
            found.append((await self._look(self._scene.begin(Prompt(box=box)), drawing)).sample)
        for count in AT_ONCE:
            rng = rng_of(*self._words, "points", count)
            points = points_together(self._scene, self._target.mask, count, rng)
            found.append((await self._look(self._scene.begin(points), "at_once")).sample)
        shown: Parent | None = None
        judged: Judged | None = None
        for number in range(1, CLICKS + 1):
            rng = rng_of(*self._words, number)
            reach = self._scene.reachable(shown.window if shown else None)
            careful = bool(rng.random() < 0.5)
            index, positive = self._judge.next_click(judged, reach, rng, careful=careful)
            begun = self._scene.begin(Prompt(points=(Point(*index, positive=positive),)), shown)
            looked = await self._look(begun, "loop")
            found.append(looked.sample)
            mixed = looked.sample is not None and rng.random() < looked.sample.s_top
            field = looked.fused if mixed else looked.general
            shown = self._scene.shown(begun, field, looked.route)
            judged = self._judge(field)
        return [sample for sample in found if sample is not None]

    async def _look(self, begun: Begun, way: Way) -> _Looked:
        scene = self._scene
        decoded = await scene.look(begun)
        route, general = decoded.route, decoded.candidates["general"]
        expert = decoded.candidates.get("expert")
        alone = (await scene.grow(begun, Choice(GENERAL))).field
        if expert is None or route.top is None or route.s_top is None:
            return _Looked(None, route, alone, alone)
        named = (await scene.grow(begun, Choice(route.top))).field
        fused = (await scene.grow(begun, Choice(AUTO), fused=True)).field
        manifest, inputs = scene.engine.bundle.manifest, begun.first.inputs
        misfits = [
            misfit(logits, inputs.coords, inputs.labels, manifest.window.side)
            for logits in (general, expert)
        ]
        dice = [self._judge(field).dice for field in (alone, named, fused)]
        target = self._target
        sample = Sample(
            dataset=target.dataset,
            structure=target.structure,
            patient=target.patient,
            expert=target.expert,
            kind=prompt_kind(inputs.labels),
            way=way,
            top=route.top,
            s_top=route.s_top,
            misfits=(misfits[0], misfits[1]),
            general=dice[0],
            expert_dice=dice[1],
            fused=dice[2],
            agreement=agreement(general, expert),
            distance=math.nan if route.distance is None else route.distance,
        )
        return _Looked(sample, route, alone, fused)
