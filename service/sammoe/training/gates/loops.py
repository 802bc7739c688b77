"""How long users go on in a window, and which of them are simulated together."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MOST_ANSWERS = 6
_BATCH = 8  # loops at once: with more, a processor's caches overflow
_LONG = {False: MOST_ANSWERS, True: 3}  # answers of those who go on, by whether there is a box
_GO_ON = {False: 0.4, True: 0.3}  # their share
_AT_ONCE = 0.35  # share of those who click and do not go on: they give several points at once
# Kinds of prompt are then about 8 box : 4 click : 11 clicks.


class Loop(NamedTuple):
    """A window (its index), how many answers are asked for in it, and how many points of the
    target are given at first (1 where a box is)."""

    window: int
    answers: int
    points: int = 1


def draw_loops(boxed: Tensor, count: int, generator: torch.Generator) -> list[Loop]:
    """Loops of ``count`` prompts in all (each answer is one), over all windows evenly.

    Parameters
    ----------
    boxed
        bool [W], W >= 1: which windows' prompts begin with a box.
    """
    loops: list[Loop] = []
    while count:
        order = torch.randperm(len(boxed), generator=generator).tolist()
        draws = torch.rand(len(boxed), 2, generator=generator).tolist()
        several = torch.randint(2, MOST_ANSWERS + 1, (len(boxed),), generator=generator).tolist()
        for window, (patience, at_once), points in zip(order, draws, several, strict=True):
            box = bool(boxed[window])
            answers = min(count, _LONG[box] if patience < _GO_ON[box] else 1)
            if not answers:
                break
            count -= answers
            many = not box and answers == 1 and at_once < _AT_ONCE
            loops.append(Loop(window, answers, points if many else 1))
    return loops


def batches(loops: list[Loop]) -> Iterator[tuple[Tensor, int, int]]:
    """Windows int64 [B] of loops of equally many answers and first points, and how many."""
    alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for loop in loops:
        alike[loop.answers, loop.points].append(loop.window)
    for (answers, points), windows in sorted(alike.items()):
        for at in range(0, len(windows), _BATCH):
            yield torch.tensor(windows[at : at + _BATCH]), answers, points
