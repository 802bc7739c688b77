from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.frozen import weights_digest
from sammoe.training.gates import paper
from sammoe.training.gates.lessons import Lessons
from sammoe.training.gates.paper import GateRecipe, route, train_gate
from sammoe.training.gates.prompts import Simulator
from tests.unit.training.gates.worlds import cubes, frozen

RECIPE = GateRecipe(steps=60, batch=12, lr=5e-3)
LOOKS = (2.0, -2.0, 0.0)
"""Brightness of the first expert's structure, the second's, and nobody's."""


def experts() -> dict[str, MaskDecoder]:
    return {"bright": frozen(1).mask_decoder, "dark": frozen(2).mask_decoder}


def lessons(folder: Path, seed: int, *, general: bool = True) -> Lessons:
    model, parts = frozen(), []
    for number, brightness in enumerate(LOOKS[: 3 if general else 2]):
        windows = cubes(model, 10, seed + number, brightness=brightness)
        others = list(experts().values())
        simulator = Simulator(model, others[number : number + 1] or others, folder)
        bank = simulator.labelled(windows, count=40, seed=seed, masks=True, title="")
        parts.append((windows, bank, number))
    return Lessons.of(parts, 2)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    """To learn from; nobody changes them."""
    return lessons(tmp_path_factory.mktemp("own"), 0)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    """To look at what was learnt."""
    return lessons(tmp_path_factory.mktemp("others"), 10)


def test_a_joint_gate_learns_whose_a_prompt_is_and_that_some_are_nobodys(
    own: Lessons, others: Lessons
) -> None:
    model = frozen()
    trained = train_gate(model, experts(), own, RECIPE, none_of_them=True)

    routed = route(trained.gate, model.prompt_encoder, others)

    assert list(routed) == ["box", "click", "clicks"]
    for kind in routed.values():
        assert kind.right > 0.9
        assert kind.passed > 0.8
        assert kind.leaked < 0.2


def test_the_papers_gate_must_pick_one(others: Lessons, tmp_path: Path) -> None:
    model = frozen()
    theirs = lessons(tmp_path, 0, general=False)
    trained = train_gate(model, experts(), theirs, RECIPE, none_of_them=False)

    routed = route(trained.gate, model.prompt_encoder, others)

    assert all(kind.right > 0.9 for kind in routed.values())
    assert all(kind.leaked > 0.8 for kind in routed.values())


def test_what_must_not_learn_stays_bit_identical(
    own: Lessons, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, decoders = frozen().requires_grad_(True), experts()
    parts = {"decoder_general": model.mask_decoder, "prompt_encoder": model.prompt_encoder}
    before = {name: weights_digest(part) for name, part in parts.items()}
    recipe = replace(RECIPE, steps=2)

    trained = train_gate(model, decoders, own, recipe, none_of_them=True)

    wanted = {"image_encoder", *parts, "decoder_bright", "decoder_dark"}
    assert set(trained.frozen) == wanted
    assert {name: trained.frozen[name] for name in parts} == before
    assert {name: weights_digest(part) for name, part in parts.items()} == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert trained.experts == decoders

    def meddle(*given: object) -> torch.Tensor:
        with torch.no_grad():
            decoders["dark"].iou_token.weight.add_(1)
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(paper, "dice_ce", meddle)
    with pytest.raises(RuntimeError, match="decoder_dark changed"):
        train_gate(model, decoders, own, recipe, none_of_them=True)


def test_experts_learn_with_the_gate_where_that_is_asked(own: Lessons) -> None:
    model, decoders = frozen(), experts()
    before = {name: weights_digest(decoder) for name, decoder in decoders.items()}
    recipe = replace(RECIPE, steps=1, train_experts=True, decoder_lr=1e-2)

    trained = train_gate(model, decoders, own, recipe, none_of_them=True)

    assert set(trained.frozen) == {"image_encoder", "prompt_encoder", "decoder_general"}
    # The first step is the first expert's turn; the given decoders never change.
    assert weights_digest(trained.experts["bright"]) != before["bright"]
    assert weights_digest(trained.experts["dark"]) == before["dark"]
    assert {name: weights_digest(decoder) for name, decoder in decoders.items()} == before


def test_the_fused_mask_moves_the_gate_too(own: Lessons) -> None:
    """With the labels alone a gate would not care which of the masks is good."""
    model = frozen()
    good = torch.where(own.targets[own.bank.window] > 0.5, 8.0, -8.0).half()
    recipe = replace(RECIPE, steps=3)

    def weights(lessons: Lessons) -> str:
        gate = train_gate(model, experts(), lessons, recipe, none_of_them=True).gate
        return weights_digest(gate)

    better = replace(own, bank=replace(own.bank, expert=good))
    assert weights(own) != weights(better)
    assert weights(own) == weights(own)


def test_a_gate_is_a_function_of_its_seed(own: Lessons) -> None:
    model = frozen()

    def weights(seed: int) -> str:
        recipe = replace(RECIPE, steps=2, seed=seed)
        return weights_digest(train_gate(model, experts(), own, recipe, none_of_them=True).gate)

    torch.rand(1)
    assert weights(0) == weights(0) != weights(1)


def test_lessons_draw_experts_alike_and_nobodys_as_often_as_all_theirs(own: Lessons) -> None:
    generator = torch.Generator().manual_seed(0)

    drawn = torch.cat([own.draw(40, generator).choice for _ in range(60)]).bincount() / 2400
    half = torch.cat([own.draw(40, generator, half_of=1).choice for _ in range(60)])

    torch.testing.assert_close(drawn, torch.tensor([0.25, 0.25, 0.5]), atol=0.1, rtol=0)
    assert (half == 1).float().mean() >= 0.5
    assert set(half.tolist()) == {0, 1, 2}


def test_lessons_find_every_prompts_window_again(own: Lessons) -> None:
    assert sorted(torch.cat(own.in_order(7)).tolist()) == list(range(120))
    for rows in own.in_order(7):
        lesson = own.take(rows)
        assert lesson.labels.shape[1] == own.bank.tokens[rows[0]]
        assert torch.equal(lesson.choice, rows // 40)
        assert torch.equal(own.bank.window[rows] // 10, rows // 40)
        assert torch.equal(lesson.targets, own.targets[own.bank.window[rows]].float())
