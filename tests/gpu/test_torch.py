"""Tier 1: torch alone. `tests.gpu.checks` runs the same from the bare repository."""

from collections.abc import Callable

import pytest
import torch

from sammoe.model import SamMed3DConfig
from tests.gpu.checks import CHECKS
from tests.gpu.networks import CONFIGS


@pytest.mark.gpu
@pytest.mark.parametrize("size", CONFIGS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_gpu_answers_as_the_cpu(
    check: Callable[[SamMed3DConfig, torch.device], None], size: str
) -> None:
    check(CONFIGS[size], torch.device("cuda"))


@pytest.mark.gpu
def test_an_expert_learns_on_the_gpu_what_it_learns_on_the_cpu() -> None:
    # Imported here: it needs more than torch.
    from tests.gpu.learning import losses

    ours, theirs = losses("cpu"), losses("cuda")

    assert theirs == pytest.approx(ours, rel=1e-3)
    assert theirs[-1] < theirs[0]
    assert all(loss < float("inf") for loss in losses("cuda", clicks=3))
