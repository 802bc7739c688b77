"""What a click says."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

Space = Literal["voxel", "ras", "lps"]
"""What coordinates are: voxel index (i, j, k), 0 being the centre of the first voxel; or mm."""

CandidateName = Literal["fused", "general", "expert", "rival"]
"""Which mask of a segmentation; ``fused`` is the answer, whatever it was made of."""


class Place(TypedDict, total=False):
    """Where the structure is.

    Members
    -------
    points
        [n, 3] coordinates of clicks, or one click.
    label
        1: the points are on the structure, 0: beside it; or one such number for each. Default 1.
    box
        [2, 3]: first and last corner, both inside.
    space
        What coordinates are; default ``voxel``.
    spacing
        mm, one of those in the capabilities: at which scale the networks look.
    """

    points: ArrayLike
    label: ArrayLike
    box: ArrayLike
    space: Space
    spacing: float


class Click(Place, total=False):
    """Where the structure is, and how to answer.

    Members
    -------
    expert
        ``auto`` (default): the mixture decides; ``general``, or an expert's name: that one alone.
    tau
        The gate's threshold, in place of the bundle's.
    extend
        Whether the mask is followed where it goes on beyond a window; default True.
    max_windows
        How many windows may be looked at; default 8.
    zoom
        Whether a first prompt of points that outgrows its windows may be looked at at a coarser
        spacing, too; default False.
    """

    expert: str
    tau: float
    extend: bool
    max_windows: int
    zoom: bool


def members(click: Mapping[str, Any]) -> dict[str, Any]:
    """A click as the API takes it.

    Raises
    ------
    ValueError
        Coordinates are not threes of numbers, labels are not 0 or 1, or do not fit the points.
    """
    given = {**click}
    label, space = given.pop("label", 1), given.pop("space", "voxel")
    if "points" in given:
        places = _coordinates(given["points"], "points")
        given["points"] = [
            {"position": place, "label": one}
            for place, one in zip(places, _labels(label, len(places)), strict=True)
        ]
    if "box" in given:
        given["box"] = _coordinates(given["box"], "box")
    if given.keys() & {"points", "box"}:
        given["space"] = space
    return given


def _labels(given: ArrayLike, points: int) -> list[int]:
    """One label for each point: one number is that of all."""
    array = np.asarray(given, np.float64)
    if array.ndim > 1 or not np.isin(array, (0, 1)).all():
        raise ValueError("a label is 1 or 0, on the structure or beside it")
    if array.ndim == 0:
        array = np.full(points, array)
    if len(array) != points:
        raise ValueError(f"there are {points} points and {len(array)} labels")
    return [int(one) for one in array]


def _coordinates(given: ArrayLike, name: str) -> list[list[float]]:
    array = np.atleast_2d(np.asarray(given, np.float64))
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise ValueError(f"{name} are threes of finite numbers")
    rows: list[list[float]] = array.tolist()
    return rows
