from pathlib import Path

import numpy as np
import pytest
import torch

from sammoe.bundle import ReferenceFeatures
from sammoe.model.gate import ExpertHeads
from sammoe.training.gates.bank import PromptBank
from sammoe.training.gates.heads import (
    HeadRecipe,
    Pool,
    bank_pool,
    empty_heads,
    look,
    reference_pool,
    soften,
    train_head,
)
from sammoe.training.gates.prompts import Simulator
from tests.unit.training.gates.worlds import cubes, frozen, noise

RECIPE = HeadRecipe(steps=80, batch=32)
FEATURES = 12


def toy_pool(shift: float, seed: int) -> Pool:
    generator = torch.Generator().manual_seed(seed)
    standard = torch.randn(60, FEATURES, generator=generator)
    standard[:, 0] += shift
    return Pool(standard, torch.arange(60) % 3)


def toy_reference() -> ReferenceFeatures:
    raw = np.random.default_rng(0).normal(3, 2, (90, FEATURES)).astype(np.float32)
    return ReferenceFeatures.of(raw, ("ct", "mr"), np.arange(90) % 2)


def test_heads_tell_a_separable_task_apart(tmp_path: Path) -> None:
    model = frozen()
    simulator = Simulator(model, [], tmp_path)

    def bank(brightness: float, seed: int) -> PromptBank:
        windows = cubes(model, 12, seed, brightness=brightness)
        return simulator.labelled(windows, count=40, seed=seed, title="")

    random = simulator.random(noise(model, 12), count=40, seed=0, title="")
    reference = ReferenceFeatures.of(random.features.numpy(), ("noise",), np.zeros(40, int))
    heads = empty_heads(reference)
    others = [bank_pool([bank(-1.0, 0)], heads), *reference_pool(reference)]
    head = train_head(bank_pool([bank(1.0, 1)], heads), others, RECIPE)

    seen = look(head, heads, bank(1.0, 2), bank(-1.0, 3))

    assert set(seen) == {"box", "click", "clicks"}
    assert all(kind.auroc > 0.9 for kind in seen.values())
    assert all(kind.recall > kind.false_alarms for kind in seen.values())


def toy_bank(shift: float, seed: int) -> PromptBank:
    pool, empty = toy_pool(shift, seed), torch.zeros(0)
    coords, labels = torch.zeros(60, 2, 3), torch.ones(60, 2, dtype=torch.int64)
    return PromptBank(
        pool.standard, coords, labels, pool.stratum, pool.stratum, empty, empty, empty
    )


def test_a_head_that_is_too_sure_is_softened() -> None:
    heads = ExpertHeads(torch.zeros(FEATURES), torch.ones(FEATURES))
    head = train_head(toy_pool(1.0, 0), [toy_pool(0.0, 1)], HeadRecipe(steps=400, batch=60))
    own, other = toy_bank(1.0, 2), toy_bank(0.0, 3)

    softened = soften(head, heads, own, other)

    with torch.no_grad():
        before, after = head(own.features)[:, 0], softened(own.features)[:, 0]
    factor = float((after / before).mean())
    assert 0 < factor < 0.9
    torch.testing.assert_close(after, factor * before)
    assert look(softened, heads, own, other) == look(head, heads, own, other)

    @torch.no_grad()
    def surprise(net: torch.nn.Sequential) -> float:
        soft = torch.nn.functional.softplus
        return float(soft(-net(own.features)).mean() + soft(net(other.features)).mean())

    assert surprise(softened) < surprise(head)


def test_a_head_that_is_right_about_all_stays_as_it_is() -> None:
    heads = ExpertHeads(torch.zeros(FEATURES), torch.ones(FEATURES))
    head = train_head(toy_pool(9.0, 0), [toy_pool(-9.0, 1)], RECIPE)
    softened = soften(head, heads, toy_bank(9.0, 2), toy_bank(-9.0, 3))
    features = toy_bank(9.0, 4).features
    torch.testing.assert_close(softened(features), head(features))


def test_a_seventh_head_changes_none_of_the_six() -> None:
    heads, features = empty_heads(toy_reference()), torch.randn(20, FEATURES)
    for number in range(6):
        own, other = toy_pool(2.0, number), toy_pool(0.0, 50 + number)
        heads.add(f"expert_{number}", train_head(own, [other], RECIPE))
    before = heads(features)

    heads.add("seventh", train_head(toy_pool(2.0, 90), [toy_pool(0.0, 91)], RECIPE))

    assert torch.equal(heads(features)[:, :6], before)


def test_a_head_is_a_function_of_its_inputs_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(3)  # what others draw does not matter
        recipe = HeadRecipe(steps=5, batch=8, seed=seed)
        head = train_head(toy_pool(1.0, 0), [toy_pool(0.0, 1)], recipe)
        assert not head.training
        return torch.cat([value.flatten() for value in head.state_dict().values()])

    state = torch.get_rng_state()
    train_head(toy_pool(1.0, 0), [toy_pool(0.0, 1)], HeadRecipe(steps=1, batch=8))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_every_pool_has_a_part_in_a_batch() -> None:
    """The one negative pool that looks like the own prompts is learnt only if it is drawn."""
    own, far, near = toy_pool(3.0, 0), toy_pool(-3.0, 1), toy_pool(3.0, 2)
    near.standard[:, 1] += 6
    alone, both = train_head(own, [far], RECIPE), train_head(own, [far, near], RECIPE)

    with torch.no_grad():
        assert (alone(near.standard) > 0).float().mean() > 0.5
        assert (both(near.standard) > 0).float().mean() < 0.1


def test_strata_are_drawn_equally_often() -> None:
    stratum = torch.tensor([0] * 98 + [3] * 2)
    pool = Pool(stratum[:, None].float(), stratum)

    drawn = pool.draw(1000, torch.Generator().manual_seed(0))

    assert 1.3 < drawn.mean() < 1.7


def test_small_banks_count_as_much_as_large_ones(tmp_path: Path) -> None:
    model = frozen()
    simulator = Simulator(model, [], tmp_path)
    banks = [
        simulator.labelled(cubes(model, 6, seed), count=count, seed=0, title="")
        for seed, count in ((0, 60), (1, 12))
    ]
    reference = ReferenceFeatures.of(banks[0].features.numpy(), ("x",), np.zeros(60, int))

    pool = bank_pool(banks, empty_heads(reference))

    assert len(pool.standard) == 72
    assert set(pool.stratum[:60].tolist()) == {0, 1, 2}
    assert set(pool.stratum[60:].tolist()) <= {3, 4, 5}


def test_the_reference_can_do_without_the_experts_own_domain() -> None:
    reference = toy_reference()
    (whole,), (left,) = reference_pool(reference), reference_pool(reference, ["ct", "other"])

    assert torch.equal(left.standard, torch.from_numpy(reference.standard)[1::2])
    assert torch.equal(whole.standard, torch.from_numpy(reference.standard))
    assert reference_pool(reference, ["ct", "mr"]) == []


def test_heads_standardise_as_the_reference_does() -> None:
    raw = np.random.default_rng(0).normal(3, 2, (90, FEATURES)).astype(np.float32)
    raw[0, 0] = 1e4
    reference = ReferenceFeatures.of(raw, ("ct",), np.zeros(90, int))
    heads = empty_heads(reference)

    assert isinstance(heads, ExpertHeads)
    np.testing.assert_allclose(
        heads.standardise(torch.from_numpy(raw)).numpy(), reference.standard, atol=0.07
    )


@pytest.mark.parametrize("kind", [0, 1])
def test_kinds_without_prompts_are_left_out_of_a_look(tmp_path: Path, kind: int) -> None:
    model = frozen()
    bank = Simulator(model, [], tmp_path).labelled(cubes(model, 6), count=20, seed=0, title="")
    tensors = {name: value[bank.kind == kind] for name, value in vars(bank).items() if len(value)}
    some = PromptBank(**(vars(bank) | tensors))
    reference = ReferenceFeatures.of(bank.features.numpy(), ("x",), np.zeros(20, int))
    heads = empty_heads(reference)
    head = train_head(bank_pool([bank], heads), [bank_pool([bank], heads)], RECIPE)

    assert list(look(head, heads, some, bank)) == [("box", "click")[kind]]
