"""How long users go on in a window, and which of them are simulated together."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MOST_ANSWERS = 6
_BATCH = 8  # loops at once: with more, a processor's caches overflow
_LONG = {False: MOST_ANSWERS, True: 3}  # answers of those who go on, by whether there is a box
_GO_ON = {
    False: 0.4,
    True: 0.3,
}  # their share; kinds of prompt are then 8 box : 5 click : 10 clicks


class Loop(NamedTuple):
    """A window (its index), and how many answers are asked for in it."""

    window: int
    answers: int


def draw_loops(boxed: Tensor, count: int, generator: torch.Generator) -> list[Loop]:
    """Loops of ``count`` prompts in all (each answer is one), over all windows evenly.

    Parameters
    ----------
    boxed
        bool [W], W >= 1: which windows' prompts begin with a box.
    """
    loops: list[Loop] = []
    while count:
        order = torch.randperm(len(boxed), generator=generator)
        for window, draw in zip(
            order.tolist(), torch.rand(len(boxed), generator=generator).tolist(), strict=True
        ):
            box = bool(boxed[window])
            answers = min(count, _LONG[box] if draw < _GO_ON[box] else 1)
            count -= answers
            if answers:
                loops.append(Loop(window, answers))
    return loops


def batches(loops: list[Loop]) -> Iterator[tuple[Tensor, int]]:
    """Windows int64 [B] of loops of equally many answers, and how many."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for loop in loops:
        by_length[loop.answers].append(loop.window)
    for answers, windows in sorted(by_length.items()):
        for at in range(0, len(windows), _BATCH):
            yield torch.tensor(windows[at : at + _BATCH]), answers
