import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sammoe.volume.dicom.contours import Polygon, outlines

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def filled(polygon: Polygon, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels [column, row] whose centres are inside, by the even-odd rule."""
    x, y = np.indices(shape).astype(float)
    inside = np.zeros(shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def areas(mask: NDArray[np.bool_]) -> float:
    """Area within all outlines."""
    total = 0.0
    for polygon in outlines(mask):
        x, y = polygon.T
        total += float(np.roll(x, 1) @ y - x @ np.roll(y, 1)) / 2
    return total


@given(MASKS)
def test_filling_gives_the_mask_back(mask: NDArray[np.bool_]) -> None:
    drawn = [filled(polygon, mask.shape) for polygon in outlines(mask)]
    assert np.array_equal(np.logical_xor.reduce([*drawn, np.zeros_like(mask)]), mask)
    # Parts are apart, and each is one polygon with its holes.
    assert np.sum(drawn, axis=0).max(initial=0) <= 1


@given(MASKS)
def test_an_outline_is_within_half_a_pixel_of_the_edge(mask: NDArray[np.bool_]) -> None:
    inside = np.pad(mask, 1)
    for polygon in outlines(mask):
        # Each vertex lies half-way between a pixel of the mask and a neighbour outside.
        for a, b in zip(np.floor(polygon), np.ceil(polygon), strict=True):
            assert np.abs(b - a).sum() == 1
            one, other = tuple(a.astype(int) + 1), tuple(b.astype(int) + 1)
            assert inside[one] != inside[other]


def test_a_pixel_is_a_diamond() -> None:
    mask = np.zeros((5, 4), np.bool_)
    mask[3, 1] = True
    (polygon,) = outlines(mask)
    assert sorted(polygon.tolist()) == [[2.5, 1], [3, 0.5], [3, 1.5], [3.5, 1]]


def test_straight_sides_have_no_points_between() -> None:
    mask = np.ones((6, 5), np.bool_)
    (polygon,) = outlines(mask)
    assert len(polygon) == 8
    assert areas(mask) == pytest.approx(6 * 5 - 4 / 8)


def test_holes_are_joined_to_what_is_around_them() -> None:
    mask = np.ones((20, 20), np.bool_)
    mask[3:6, 4:9] = mask[10:15, 3:5] = mask[9:12, 14:17] = False
    mask[10, 15] = True
    ring, island = sorted(outlines(mask), key=len, reverse=True)
    assert np.array_equal(filled(ring, mask.shape) | filled(island, mask.shape), mask)
    assert len(island) == 4
    # A channel of no width is walked twice: in and out.
    sides = [tuple(map(tuple, side)) for side in zip(ring, np.roll(ring, -1, 0), strict=True)]
    back = {(b, a) for a, b in sides}
    assert len(back & set(sides)) == 2 * 3


def test_an_empty_slice_has_no_outline() -> None:
    assert outlines(np.zeros((4, 3), np.bool_)) == []
