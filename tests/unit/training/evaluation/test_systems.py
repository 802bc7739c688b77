from dataclasses import replace

import numpy as np
import pytest

from sammoe.bundle import PROMPT_KINDS, Routing
from sammoe.engine import AUTO, Choice, Decoded, Route, decoder_inputs, fuse
from sammoe.engine.local import LocalEngine
from sammoe.engine.selector import LOGIT_LIMIT
from sammoe.segmentation import Point, Prompt
from sammoe.segmentation.planning import answer
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.deciding import always, decided
from sammoe.training.evaluation.sessions import Scene
from sammoe.training.evaluation.systems import (
    VARIANTS,
    Answered,
    Baseline,
    Mixture,
    Named,
    attend,
    vary,
)

PROMPTS = [
    Prompt(points=(Point(x, 9, 8),))
    for x in (2, 5, 8, 11, 14, 18)  # scores from nearly 0 to nearly 1, of either expert
] + [Prompt(box=((x, 4.0, 4.0), (x + 8.0, 11.5, 9.0))) for x in (2.0, 6.0, 10.0)]
VARIANT = {variant.name: variant for variant in VARIANTS}


async def test_a_mixture_answers_as_the_engine_does(engine: LocalEngine, dataset: DataSet) -> None:
    scene, seen = Scene(engine, dataset.cases[0].read_image()), set()
    for prompt in PROMPTS:
        begun = scene.begin(prompt)
        answered = await Mixture(scene, "ours").answer(begun)
        decoded = await scene.decode(begun.first, Choice(AUTO))
        assert np.array_equal(answered.logits, answer(decoded.candidates, decoded.route))
        assert answered.route == decoded.route
        assert answered.general is not None
        general = await Baseline(scene).answer(begun)
        assert np.array_equal(general.logits, answered.general)
        assert answered.expert is not None
        assert answered.route.top is not None
        expert = await Named(scene, answered.route.top).answer(begun)
        assert np.array_equal(expert.logits, answered.expert)
        assert expert.route.used == answered.route.top
        seen.add((answered.route.fused, answered.route.check))
    assert seen >= {(True, "accepted"), (False, None)}


async def test_without_experts_a_mixture_is_the_general_model(
    engine: LocalEngine, dataset: DataSet
) -> None:
    scene = Scene(engine, dataset.cases[0].read_image())
    begun = scene.begin(PROMPTS[0])
    planned = begun.first
    general = await scene.general(planned)
    answered = Answered(general, (await Baseline(scene).answer(begun)).route, general)
    for variant in VARIANTS:
        assert vary(variant, answered, planned.inputs, 32, Routing()) is general


def candidates(s_top: float, engine: LocalEngine) -> Answered:
    """A small general ball, and an expert's that misses the click."""
    cells = engine.bundle.manifest.model.cells
    places = np.linalg.norm(np.indices((cells,) * 3).T - 7, axis=-1)
    far = np.linalg.norm(np.indices((cells,) * 3).T - (13, 7, 7), axis=-1)
    general, expert = (4 - places).astype(np.float32), (3 - far).astype(np.float32)
    return Answered(general, Route("general", s_top=s_top, top="round"), general, expert)


@pytest.mark.parametrize(
    ("name", "s_top", "expected"),
    [
        ("tau 0.5", 0.6, "fused"),
        ("tau 0.5", 0.5, "general"),
        ("tau 0.7", 0.6, "general"),
        ("tau 0.7", 0.8, "fused"),
        ("average", 0.9, "half"),
        ("average", 0.4, "general"),
        ("attention", 0.9, "attended"),
        ("attention", 0.4, "general"),
        ("logits", 0.9, "logit"),
        ("tau 0.5, check", 0.9, "general"),
        ("logits, check", 0.9, "general"),
        ("calibrated tau", 0.9, "fused"),
        ("calibrated tau", 0.2, "fused"),
        ("calibrated tau, check", 0.9, "general"),
    ],
)
def test_variants_of_the_selector(
    engine: LocalEngine, name: str, s_top: float, expected: str
) -> None:
    answered = candidates(s_top, engine)
    general, expert = answered.general, answered.expert
    assert general is not None
    assert expert is not None
    wanted = {
        "general": general,
        "fused": fuse(general, expert, s_top, "probability"),
        "half": fuse(general, expert, 0.5, "probability"),
        "logit": fuse(general, expert, s_top, "logit"),
        "attended": attend(general, expert),
    }
    routing = Routing(tau=dict.fromkeys(PROMPT_KINDS, 0.1), slack=dict.fromkeys(PROMPT_KINDS, 0.5))
    rule = engine.bundle.manifest.window_rule()
    inputs = decoder_inputs([[14.0, 14.0, 14.0]], [1], None, None, rule)
    found = vary(VARIANT[name], answered, inputs, rule.side, routing)
    assert np.array_equal(found, wanted[expected])
    loose = replace(VARIANT[name], checked=False)
    unchecked = vary(loose, answered, inputs, rule.side, routing)
    assert name.endswith("check") or np.array_equal(unchecked, found)


def test_an_experts_own_slack_is_checked_where_a_check_is_asked_for(engine: LocalEngine) -> None:
    answered = candidates(0.6, engine)
    assert answered.general is not None
    assert answered.expert is not None
    routing = Routing(own_slack={"round": dict.fromkeys(PROMPT_KINDS, -99.0)})
    rule = engine.bundle.manifest.window_rule()
    inputs = decoder_inputs([[14.0, 14.0, 14.0]], [1], None, None, rule)
    fused = fuse(answered.general, answered.expert, 0.6, "probability")
    for variant, wanted in (("tau 0.5", fused), ("tau 0.5, check", answered.general)):
        assert np.array_equal(vary(VARIANT[variant], answered, inputs, rule.side, routing), wanted)
    masks = {"general": answered.general, "expert": answered.expert}
    looked = Decoded(masks, answered.route, 0.0)
    assert decided(looked, inputs, rule.side, routing).route.check == "rejected"
    assert decided(looked, inputs, rule.side, always(routing)).route.fused


def test_attention_is_a_smooth_maximum() -> None:
    general = np.array([-40.0, -3.0, 2.0, 5.0], np.float32)
    expert = np.array([40.0, -3.0, -2.0, -60.0], np.float32)
    attended = attend(general, expert)
    assert attended == pytest.approx([LOGIT_LIMIT, -3, 1.928, 5], abs=1e-3)
