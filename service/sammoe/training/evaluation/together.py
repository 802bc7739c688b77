"""Several points of a target that are given at once."""

from typing import Final

import numpy as np

from sammoe.errors import OutsideWindow
from sammoe.segmentation import Point, Prompt
from sammoe.training.evaluation.metrics import Mask
from sammoe.training.evaluation.sessions import Scene
from sammoe.training.evaluation.users import anywhere

_TRIES: Final = 20  # to find a place that shares a window with the points before it


def points_together(scene: Scene, target: Mask, count: int, rng: np.random.Generator) -> Prompt:
    """Positive points anywhere in a target that one window holds together.

    Parameters
    ----------
    target
        bool [i, j, k] on the volume's grid.
    count
        How many are wanted; of a small target there are fewer, each voxel counting once.
    """
    points = [Point(*anywhere(target, rng))]
    near = target & scene.reachable(scene.plan(Prompt(points=tuple(points))).window)
    for _ in range(_TRIES * count):
        if len(points) == count:
            break
        tried = (*points, Point(*anywhere(near, rng)))
        try:
            scene.plan(Prompt(points=tried))
        except OutsideWindow:
            continue
        points = list(dict.fromkeys(tried))
    return Prompt(points=tuple(points))
