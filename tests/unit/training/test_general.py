import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sammoe.errors import SettingsInvalid
from sammoe.training.expert import ExpertTrainer
from sammoe.training.expert_recipe import ExpertRecipe
from sammoe.training.general import GeneralTrainer, Recipe
from sammoe.training.mixture import Mixture
from sammoe.training.simulation import Simulation
from tests.unit.training.small import Cubes, network

RECIPE = Recipe(
    steps=40, images=2, prompts=2, lr=3e-3, warmup=5, average=0.9, simulation=Simulation(clicks=2)
)


def mixture(seed: int = 0) -> Mixture:
    return Mixture([(1.0, Cubes())], RECIPE.images, seed)


def test_learning_rate_warms_up_and_comes_down() -> None:
    rates = [RECIPE.rate(step) for step in range(RECIPE.steps + 1)]
    assert rates[0] == pytest.approx(RECIPE.lr / 5)
    assert max(rates) == pytest.approx(RECIPE.lr, rel=0.05)
    assert rates[-1] == pytest.approx(0.02 * RECIPE.lr)


def test_it_learns(tmp_path: Path) -> None:
    GeneralTrainer(network(), RECIPE, tmp_path).train(mixture(), workers=0)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, RECIPE.steps + 1))
    last = [float(row["dice_1"]) for row in rows[-10:]]
    assert sum(last) / len(last) > 0.5


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    short = replace(RECIPE, steps=3)
    first = GeneralTrainer(network(), short, tmp_path)
    assert not first.resume()
    first.train(mixture(), workers=0)

    second = GeneralTrainer(network(seed=9), replace(RECIPE, steps=5), tmp_path)
    assert second.resume()
    assert second.step == 3
    assert second.seconds == first.seconds
    for mine, theirs in zip(second.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    second.train(mixture(1), workers=0)
    assert second.step == 5
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + 5


def test_a_folder_of_an_expert_is_refused(tmp_path: Path) -> None:
    ExpertTrainer(network(), ExpertRecipe(), tmp_path).save()
    with pytest.raises(SettingsInvalid, match=r"state.pt is of another kind of run: give another"):
        GeneralTrainer(network(), RECIPE, tmp_path).resume()


def test_an_empty_log_gets_its_header(tmp_path: Path) -> None:
    (tmp_path / "log.csv").touch()
    GeneralTrainer(network(), replace(RECIPE, steps=2), tmp_path).train(mixture(), workers=0)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2"]


def test_the_state_is_saved_on_the_way(tmp_path: Path) -> None:
    trainer = GeneralTrainer(network(), replace(RECIPE, steps=4), tmp_path)
    trainer.train(mixture(), workers=0, save_every=2)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4
    assert not list(tmp_path.glob("*.part"))


def test_bfloat16_runs_and_stays_finite(tmp_path: Path) -> None:
    trainer = GeneralTrainer(network(), replace(RECIPE, steps=2, bfloat16=True), tmp_path)
    model = trainer.train(mixture(), workers=0)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
