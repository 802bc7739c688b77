"""What a request may ask of the mixture."""

import math

import pytest

from sammoe.bundle import Bundle
from sammoe.engine import Choice, check_choice
from sammoe.errors import ExpertUnknown, PromptInvalid


@pytest.mark.parametrize("expert", ["auto", "general", "cord", "lesion"])
@pytest.mark.parametrize("tau", [None, 0.0, 1.0])
def test_known_experts_are_served(expert_bundle: Bundle, expert: str, tau: float | None) -> None:
    check_choice(Choice(expert, tau), expert_bundle.manifest)


def test_unknown_expert_is_told_the_known_ones(expert_bundle: Bundle) -> None:
    with pytest.raises(ExpertUnknown, match="auto, general, cord, lesion") as caught:
        check_choice(Choice("liver"), expert_bundle.manifest)
    assert caught.value.pointer == "/expert"


@pytest.mark.parametrize("tau", [-0.1, 1.1, math.nan, math.inf])
def test_tau_is_a_probability(expert_bundle: Bundle, tau: float) -> None:
    with pytest.raises(PromptInvalid) as caught:
        check_choice(Choice(tau=tau), expert_bundle.manifest)
    assert caught.value.pointer == "/tau"
