import pytest
import torch

from sammoe.training.expert_recipe import ExpertRecipe, seeded


def test_learning_rate_warms_up_and_comes_down() -> None:
    recipe = ExpertRecipe(steps=40, lr=1e-3, warmup=5)
    rates = [recipe.rate(step, recipe.progress(step, 0.0)) for step in range(41)]
    assert rates[0] == pytest.approx(1e-3 / 5)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] == pytest.approx(0.02 * 1e-3)


def test_whichever_of_steps_and_minutes_is_used_up_first_ends_a_run() -> None:
    assert ExpertRecipe(steps=10).progress(5, 1e6) == 0.5
    assert ExpertRecipe(steps=None, minutes=2).progress(10**6, 30) == 0.25
    both = ExpertRecipe(steps=10, minutes=1)
    assert both.progress(2, 45) == 0.75
    assert both.progress(8, 15) == 0.8
    assert both.progress(8, 1000) == 1.0


def test_random_numbers_are_a_function_of_their_words() -> None:
    draws = {words: torch.rand(1, generator=seeded(*words)).item() for words in ((1,), (1, 2))}
    assert torch.rand(1, generator=seeded(1)).item() == draws[1,]
    assert len(set(draws.values())) == 2
