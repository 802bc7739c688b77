from dataclasses import replace

import numpy as np
import pytest
import torch

from sammoe.model import build_sam_med3d
from sammoe.training.mixture import Batch, collate
from sammoe.training.simulation import Simulation, run
from tests.unit.training.small import CELLS, CONFIG, SIDE, Cubes, network


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


def test_a_batch_may_say_which_prompts_are_boxes(batch: Batch) -> None:
    masks = {}
    for share in (0.0, 1.0):
        some = batch._replace(boxed=torch.tensor([True, False] * 3))
        masks[share] = answers(some, Simulation(1, share, 0.0))[0]
    assert torch.equal(masks[0.0], masks[1.0])
    none = Simulation(1, priors=0.0)
    points = answers(batch._replace(boxed=torch.zeros(6, dtype=torch.bool)), none)[0]
    assert not torch.equal(points[0], masks[0.0][0])
    assert torch.allclose(points[1], masks[0.0][1])


def test_boxes_of_known_kind_are_cut_to_the_window_as_in_serving(batch: Batch) -> None:
    boxed = torch.ones(6, dtype=torch.bool)
    inside = torch.tensor([-0.5] * 3 + [SIDE - 0.5] * 3).expand(6, 6)
    beyond = torch.tensor([-50.0] * 3 + [50.0] * 3).expand(6, 6)
    masks = [
        answers(batch._replace(boxed=boxed, boxes=boxes), Simulation(1, priors=0.0))[0]
        for boxes in (inside, beyond)
    ]
    # Jitter may bring a corner of the smaller box inside: half of the prompts have none.
    same = (masks[0] - masks[1]).abs().amax((1, 2, 3)) < 1e-5
    assert same.any()


def test_models_without_box_embeddings_get_boxes_as_serving_maps_them(batch: Batch) -> None:
    torch.manual_seed(0)
    model = build_sam_med3d(replace(CONFIG, box_embeddings=False))
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    embed = model.prompt_encoder.embed_prompt

    def spy(coords: torch.Tensor, labels: torch.Tensor, masks: torch.Tensor) -> object:
        seen.append((coords, labels, masks))
        return embed(coords, labels, masks)

    model.prompt_encoder.embed_prompt = spy  # type: ignore[method-assign, assignment]
    some = batch._replace(boxed=torch.tensor([True, False] * 3))
    generator = torch.Generator().manual_seed(0)
    users = Simulation(2, priors=0.0)
    list(run(model, model.image_encoder(batch.image), some, users, generator))
    coords, labels, masks = seen[0]
    assert labels.tolist() == [[1, -1]] * 6
    assert torch.equal(coords[1, 0], batch.clicks[1])
    corners = batch.boxes.reshape(6, 2, 3)
    sides = corners[0, 1] - corners[0, 0] + 1
    assert ((coords[0, 0] - corners[0].mean(0)).abs() <= 0.1 * sides).all()
    assert masks[0].max() == 4
    assert not masks[1].any()
    assert seen[1][1].shape == (6, 3)


def test_the_same_generator_simulates_the_same_user(batch: Batch) -> None:
    for first, again in zip(
        answers(batch, Simulation()), answers(batch, Simulation()), strict=True
    ):
        assert torch.equal(first, again)


def test_some_answers_are_shown_as_another_decoder_s(batch: Batch) -> None:
    model, other = network(), network(1).mask_decoder
    embedding = model.image_encoder(batch.image)

    def masks(share: float) -> list[torch.Tensor]:
        users = Simulation(clicks=2, others=share)
        generator = torch.Generator().manual_seed(0)
        return list(run(model, embedding, batch, users, generator, other))

    never, half, always = masks(0.0), masks(0.5), masks(1.0)
    assert torch.equal(never[0], always[0])  # what is shown changes what comes after it
    alike = [torch.equal(a, b) for a, b in zip(never[1], half[1], strict=True)]
    assert any(alike)
    assert not all(alike)
    assert not any(torch.equal(a, b) for a, b in zip(never[1], always[1], strict=True))
    assert always[1].requires_grad
    assert other.iou_token.weight.grad is None
