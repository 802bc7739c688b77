"""What an expert's training is a function of."""

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class ExpertRecipe:
    """Everything that a run is a function of, beside its windows and where it starts.

    Parameters
    ----------
    steps
        Optimiser steps; None: as many as ``minutes`` allows.
    minutes
        Wall time of training, which the learning rate then follows; None: no limit.
    batch
        Prompts a step, in each process.
    points
        Answers of the most patient user of a step. A step's users all give up after k answers, k
        drawn with probability proportional to 1 / k: each number occurs, and the mean of 2.4 (of
        6) is what a step costs.
    lr, weight_decay, warmup
        AdamW's; linear over the first ``warmup`` steps, then cosine down to 2 % of ``lr``.
    average
        Decay of the moving average of the weights, which is what is kept.
    priors
        Share of prompts that start from a spoilt mask.
    others
        Share of answers that are shown as the general decoder's.
    every, patience
        Steps between two looks at the calibrate split; looks without a gain before it ends.
    seed
        Of prompts and users.
    bfloat16
        Whether to run under autocast (for processors with matrix units for it).
    """

    steps: int | None = 1000
    minutes: float | None = None
    batch: int = 8
    points: int = 6
    lr: float = 1e-4
    weight_decay: float = 0.02
    warmup: int = 20
    average: float = 0.99
    priors: float = 0.1
    others: float = 0.5
    every: int = 50
    patience: int = 8
    seed: int = 0
    bfloat16: bool = False

    def progress(self, step: int, seconds: float) -> float:
        """How much of the run is over, 0 .. 1."""
        by_step = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_step, by_time))

    def rate(self, step: int, progress: float) -> float:
        """Learning rate of a step."""
        cosine = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * progress))
        return self.lr * cosine * min(1.0, (step + 1) / self.warmup)


def seeded(*words: int) -> torch.Generator:
    """Random numbers, on the CPU, that are a function of some numbers >= 0."""
    (seed,) = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed) >> 1)
