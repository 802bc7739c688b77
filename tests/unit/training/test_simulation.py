import numpy as np
import pytest
import torch

from sammoe.training.mixture import Batch, collate
from sammoe.training.simulation import Simulation, run
from tests.unit.training.small import CELLS, Cubes, network


@pytest.fixture
def batch() -> Batch:
    rng = np.random.default_rng(0)
    return collate([Cubes().draw(rng) for _ in range(3)])


def answers(batch: Batch, simulation: Simulation) -> list[torch.Tensor]:
    model, generator = network(), torch.Generator().manual_seed(0)
    return list(run(model, model.image_encoder(batch.image), batch, simulation, generator))


@pytest.mark.parametrize(
    "simulation", [Simulation(boxes=0.0), Simulation(boxes=1.0), Simulation(clicks=1, priors=1.0)]
)
def test_every_answer_has_a_mask_per_prompt_and_gradients(
    batch: Batch, simulation: Simulation
) -> None:
    masks = answers(batch, simulation)
    assert [tuple(m.shape) for m in masks] == [(6, CELLS, CELLS, CELLS)] * simulation.clicks
    assert all(m.requires_grad and bool(torch.isfinite(m).all()) for m in masks)


def test_points_boxes_and_priors_are_told_apart(batch: Batch) -> None:
    kinds = [Simulation(1, 0.0, 0.0), Simulation(1, 1.0, 0.0), Simulation(1, 0.0, 1.0)]
    points, boxes, priors = (answers(batch, kind)[0] for kind in kinds)
    assert not torch.equal(points, boxes)
    assert not torch.equal(points, priors)


def test_the_same_generator_simulates_the_same_user(batch: Batch) -> None:
    for first, again in zip(
        answers(batch, Simulation()), answers(batch, Simulation()), strict=True
    ):
        assert torch.equal(first, again)
