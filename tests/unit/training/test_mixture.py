from itertools import islice

import numpy as np
import torch

from sammoe.training.mixture import Mixture
from sammoe.training.sampling import Sample
from tests.unit.training.small import CELLS, SIDE, Cubes


class Barren:
    """Draws come out empty."""

    def draw(self, rng: np.random.Generator) -> Sample | None:
        rng.random()
        return None


def test_batches_hold_images_and_their_prompts() -> None:
    batch = next(iter(Mixture([(1.0, Cubes())], 3, 0)))
    assert batch.image.shape == (3, 1, SIDE, SIDE, SIDE)
    assert batch.targets.shape == (6, CELLS, CELLS, CELLS)
    assert batch.clicks.shape == (6, 3)
    assert batch.boxes.shape == (6, 6)


def test_empty_draws_are_drawn_again() -> None:
    batch = next(iter(Mixture([(0.9, Barren()), (0.1, Cubes())], 2, 0)))
    assert len(batch.image) == 2


def test_batches_are_a_function_of_the_seed() -> None:
    first, again, other = (
        [b.image for b in islice(iter(Mixture([(1.0, Cubes())], 2, seed)), 2)] for seed in (5, 5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_workers_make_batches_ahead() -> None:
    loader = Mixture([(1.0, Cubes())], 2, 0).loader(workers=1)
    batches = list(islice(iter(loader), 2))
    assert not torch.equal(batches[0].image, batches[1].image)
