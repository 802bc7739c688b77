import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.measure import Measures, measure
from sammoe.volume.paste import cut
from tests.unit.volume.shapes import AXIS_ORDERS, axis_affine, grid_of

GEOMETRY = Geometry((60, 50, 40), np.diag([0.8, 0.7, 1.5, 1.0]))


def measured(mask: NDArray[np.bool_], geometry: Geometry = GEOMETRY) -> Measures:
    return measure(cut(mask), geometry)


def lengths(mask: NDArray[np.bool_], geometry: Geometry = GEOMETRY) -> tuple[float, float]:
    found = measured(mask, geometry).diameters
    assert found is not None
    return found.longest_mm, found.perpendicular_mm


def nothing() -> NDArray[np.bool_]:
    return np.zeros(GEOMETRY.shape, dtype=np.bool_)


def test_an_empty_mask_has_no_diameters_and_no_box() -> None:
    assert measured(nothing()) == Measures(0, 0.0, None, None)


def test_one_voxel() -> None:
    mask = nothing()
    mask[3, 4, 5] = True
    got = measured(mask)
    assert got.voxels == 1
    assert got.ml == pytest.approx(0.8 * 0.7 * 1.5 / 1000)
    assert got.box == ((3, 4, 5), (3, 4, 5))
    assert got.diameters is not None
    assert (got.diameters.slice_axis, got.diameters.slice_index) == (2, 5)
    assert lengths(mask) == pytest.approx((0.8, 0.7))


def test_an_ellipsoid_has_its_axes() -> None:
    index = grid_of(GEOMETRY) - (30, 25, 20)
    inside = (((index * GEOMETRY.spacing) / (20, 12, 25)) ** 2).sum(axis=-1) <= 1
    got = measured(inside)
    assert got.ml == pytest.approx(4 / 3 * math.pi * 20 * 12 * 25 / 1000, rel=0.01)
    assert lengths(inside) == pytest.approx((40, 24), abs=0.9)
    assert got.diameters is not None
    assert abs(got.diameters.slice_index - 20) <= 2
    assert got.box == ((5, 8, 4), (55, 42, 36))


def test_a_diagonal_bar_is_measured_along_itself() -> None:
    mask = nothing()
    for step in range(30):
        mask[5 + step, 5 + step, 7] = True
    longest, perpendicular = lengths(mask)
    assert longest == pytest.approx(math.hypot(30 * 0.8, 29 * 0.7))
    assert perpendicular < 1.1


def test_the_slice_with_the_longest_diameter_is_chosen() -> None:
    mask = nothing()
    mask[10:14, 10:14, 3] = True
    mask[10:40, 10:12, 8] = True
    mask[10:30, 10:30, 12] = True
    got = measured(mask).diameters
    assert got is not None
    assert got.slice_index == 8
    assert got.longest_mm == pytest.approx(24, abs=0.1)
    assert got.perpendicular_mm == pytest.approx(1.4, abs=0.1)


def test_the_perpendicular_bridges_a_dent() -> None:
    mask = nothing()
    mask[5:45, 5:9, 2] = True
    mask[5:9, 5:25, 2] = mask[41:45, 5:25, 2] = True
    longest, perpendicular = lengths(mask)
    assert longest > 32
    assert perpendicular > 14


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_slices_are_axial_whatever_the_axis_order(order: tuple[int, int, int]) -> None:
    spacing = [(0.8, 0.7, 1.5)[axis] for axis in order]
    geometry = Geometry((40, 40, 40), axis_affine(order, (1, -1, -1), spacing))
    mask = np.zeros((40, 40, 40), dtype=np.bool_)
    # 20 voxels along x, 10 along y, 35 along z.
    extent = [(20, 10, 35)[axis] for axis in order]
    mask[tuple(slice(2, 2 + n) for n in extent)] = True
    got = measured(mask, geometry).diameters
    assert got is not None
    assert got.slice_axis == order.index(2)
    assert got.longest_mm == pytest.approx(math.hypot(16, 7), abs=0.9)


def test_lengths_are_in_mm_on_a_tilted_plane() -> None:
    affine = np.eye(4)
    affine[:3, 0] = (0, 1, 0)
    affine[:3, 1] = (np.sin(0.3), 0, -np.cos(0.3))
    affine[:3, 2] = (1, 0, 0)
    geometry = Geometry((30, 30, 30), affine)
    mask = np.zeros((30, 30, 30), dtype=np.bool_)
    # The slice axis is the one nearest to head-feet, the second; a slice spans axes 1 and 3.
    mask[5:15, 3, 5:25] = True
    assert lengths(mask, geometry)[0] == pytest.approx(math.hypot(9, 20), abs=0.5)
