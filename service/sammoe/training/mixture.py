"""A stream of training batches from several samplers, made by worker processes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from sammoe.training.sampling import Sample


class Sampler(Protocol):
    """Anything that draws samples."""

    def draw(self, rng: np.random.Generator) -> Sample | None:
        """One sample, or None where the draw came out empty."""


class Batch(NamedTuple):
    """I images with P prompts each; prompts are flattened image by image, B = I P.

    ``image`` [I, 1, S, S, S] (empty where embeddings are at hand), ``targets`` [B, L, L, L],
    ``clicks`` [B, 3], ``boxes`` [B, 6]. ``boxed`` [B] bool: which prompts begin with their box;
    None: drawn by the simulation's share.
    """

    image: Tensor
    targets: Tensor
    clicks: Tensor
    boxes: Tensor
    boxed: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        boxed = None if self.boxed is None else self.boxed.to(device)
        image, targets, clicks, boxes = (part.to(device) for part in self[:4])
        return Batch(image, targets, clicks, boxes, boxed)


class Mixture(IterableDataset[Batch]):
    """Endless batches; each image's sampler is drawn by weight.

    Parameters
    ----------
    samplers
        (weight, sampler) pairs.
    images
        I, images a batch.
    seed
        Batches are a function of seed, worker and position.
    """

    def __init__(self, samplers: Sequence[tuple[float, Sampler]], images: int, seed: int) -> None:
        self.samplers = [sampler for _, sampler in samplers]
        weights = np.array([weight for weight, _ in samplers])
        self.shares = weights / weights.sum()
        self.images = images
        self.seed = seed

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield collate([self._draw(rng) for _ in range(self.images)])

    def _draw(self, rng: np.random.Generator) -> Sample:
        while True:
            sample = self.samplers[rng.choice(len(self.samplers), p=self.shares)].draw(rng)
            if sample is not None:
                return sample

    def loader(self, workers: int) -> DataLoader[Batch]:
        """Batches made ahead by ``workers`` processes; 0: made when asked for, in this one."""
        ahead = 4 if workers else None
        return DataLoader(self, batch_size=None, num_workers=workers, prefetch_factor=ahead)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of equally many prompts -> one batch."""
    return Batch(
        torch.from_numpy(np.stack([s.image for s in samples])[:, None]),
        torch.from_numpy(np.concatenate([s.targets for s in samples])),
        torch.from_numpy(np.concatenate([s.clicks for s in samples])),
        torch.from_numpy(np.concatenate([s.boxes for s in samples])),
    )
