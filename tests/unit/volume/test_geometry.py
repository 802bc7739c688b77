from typing import Any

import numpy as np
import pytest
from nibabel import orientations
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sammoe.errors import AffineInvalid, HeaderInvalid
from sammoe.volume.geometry import AxisMap, Geometry
from tests.unit.volume.shapes import AXIS_ORDERS, FLIPS, axis_affine

Affine = NDArray[np.float64]
nibabel: Any = orientations


def tilted(degrees: float, second: float = 0.0) -> Affine:
    """1 mm RAS affine, its third axis tilted in the yz-plane, its second in the xy-plane."""
    affine = np.eye(4)
    a, b = np.radians(degrees), np.radians(second)
    affine[:3, 2] = (0, np.sin(a), np.cos(a))
    affine[:3, 1] = (np.sin(b), np.cos(b), 0)
    return affine


def test_spacing_is_the_length_of_each_axis() -> None:
    turn = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag((0.7, 0.8, 2.5))
    geometry = Geometry((4, 5, 6), affine)
    assert geometry.spacing == pytest.approx((0.7, 0.8, 2.5))
    assert geometry.voxel_ml == pytest.approx(0.0014)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_orientation_and_canonical_agree_with_nibabel(order: tuple[int, int, int]) -> None:
    for flips in FLIPS:
        geometry = Geometry((4, 5, 6), axis_affine(order, flips, (1, 2, 3)))
        assert geometry.orientation == "".join(nibabel.aff2axcodes(geometry.affine))
        canonical = geometry.canonical()
        for source, (target, sign) in enumerate(nibabel.io_orientation(geometry.affine)):
            assert canonical.axes[int(target)] == source
            assert canonical.flips[int(target)] == (sign < 0)


def test_a_dicom_like_volume_is_lps() -> None:
    geometry = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert geometry.orientation == "LPS"
    assert geometry.canonical() == AxisMap((0, 1, 2), (True, True, False))


def test_index_and_ras_undo_each_other() -> None:
    affine = tilted(20)
    affine[:3, :3] *= (0.7, 0.9, 3.0)
    affine[:3, 3] = (-100, 50, 20)
    geometry = Geometry((40, 50, 60), affine)
    index = np.array([[0, 0, 0], [39, 49, 59], [1.25, 2.5, 3.75]])
    mm = geometry.index_to_ras(index)
    assert mm[0] == pytest.approx((-100, 50, 20))
    assert geometry.ras_to_index(mm) == pytest.approx(index)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_a_turn_that_leaves_a_diagonal_where_it_is_moves_voxels(
    order: tuple[int, int, int],
) -> None:
    straight = Geometry((11, 11, 11), axis_affine((0, 1, 2), (1, 1, 1), (2, 2, 2)))
    turned = Geometry((11, 11, 11), axis_affine(order, (1, 1, 1), (2, 2, 2)))
    assert turned.apart(straight) == straight.apart(turned) == (0 if order == (0, 1, 2) else 20)


def test_grids_that_differ_in_a_spacing_are_apart_at_the_far_end() -> None:
    grid = Geometry((11, 1, 5), np.diag([1.0, 1.0, 3.0, 1.0]))
    assert grid.apart(Geometry((11, 1, 5), np.diag([1.0, 7.0, 3.5, 1.0]))) == pytest.approx(2)


def test_the_affine_is_a_private_read_only_copy() -> None:
    mine = np.eye(4)
    geometry = Geometry((1, 1, 1), mine)
    mine[0, 0] = 5
    assert geometry.spacing[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 2


@pytest.mark.parametrize("shape", [(0, 1, 1), (4, 4), (4, 4, 4, 4), (-1, 3, 3)])
def test_impossible_shapes_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(HeaderInvalid, match="three sizes"):
        Geometry(shape, np.eye(4))


def changed(row: int, column: int, value: float) -> Affine:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.fault("S09")
@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), "4x4"),
        (changed(0, 0, np.nan), "NaN or Inf"),
        (changed(1, 3, np.inf), "NaN or Inf"),
        (changed(3, 3, 2.0), "last row"),
        (changed(0, 3, 1e7), "origin"),
        (changed(2, 2, 0.0), "singular"),
        (changed(2, 2, 1e-5), "singular"),
        (changed(2, 2, 1e5), "wider"),
        (changed(1, 0, 100.0), "sheared"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (tilted(50), "gantry tilt"),
        (tilted(20, 20), "gantry tilt"),
    ],
)
def test_unusable_affines_are_refused(affine: Affine, message: str) -> None:
    with pytest.raises(AffineInvalid, match=message):
        Geometry((4, 4, 4), affine)


@pytest.mark.fault("S09")
@pytest.mark.parametrize("affine", [tilted(30), tilted(44.9), tilted(30, 4.9), tilted(-30)])
def test_a_gantry_tilt_is_accepted(affine: Affine) -> None:
    geometry = Geometry((4, 4, 4), affine)
    assert geometry.orientation == "RAS"
    assert geometry.spacing == pytest.approx((1, 1, 1))
