"""What changes between two masks, written over the first, makes the second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sammoe.errors import AffineInvalid, HeaderInvalid, NoForeground
from sammoe.volume.arrays import AxisOrder, changed, region, volume_from_array
from sammoe.volume.paste import cut

SHAPE = (4, 3, 5)
MASKS = hnp.arrays(np.bool_, SHAPE)


@given(MASKS, MASKS, st.sampled_from(["kji", "ijk"]))
def test_a_change_leads_from_one_mask_to_the_other(
    before: np.ndarray, after: np.ndarray, order: AxisOrder
) -> None:
    part = changed(cut(before), cut(after))
    if part is None:
        np.testing.assert_array_equal(before, after)
        return
    values, ranges = region(part, order)
    view = before.copy()
    buffer = view.T if order == "kji" else view
    box = tuple(slice(lo, hi) for lo, hi in ranges)
    differs = (before != after).T if order == "kji" else before != after
    assert all(
        differs[box].any(axis=tuple(a for a in range(3) if a != axis))[[0, -1]].all()
        for axis in range(3)
    )
    buffer[box] = values
    np.testing.assert_array_equal(view, after)


@pytest.mark.parametrize("order", ["kji", "ijk"])
def test_an_array_lies_as_its_order_says(order: AxisOrder) -> None:
    array = np.arange(60, dtype=np.int16).reshape(SHAPE)
    volume = volume_from_array(array, (1.0, 2.0, 3.0), order)
    assert volume.geometry.orientation == "LPS"
    if order == "kji":
        assert volume.voxels[4, 2, 1] == array[1, 2, 4]
        assert volume.geometry.spacing == (3.0, 2.0, 1.0)
    else:
        assert volume.voxels[1, 2, 4] == array[1, 2, 4]
        assert volume.geometry.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SLA"])
def test_an_array_runs_where_it_is_declared_to_run(orientation: str) -> None:
    array = np.arange(60, dtype=np.int16).reshape(SHAPE)
    geometry = volume_from_array(array, (1.0, 2.0, 3.0), "ijk", orientation).geometry
    assert geometry.orientation == orientation
    assert geometry.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("declared", ["LPS", "RAS", "LAI"])
def test_an_axis_whose_spacing_has_a_minus_runs_to_the_right_front_or_head(declared: str) -> None:
    array = np.arange(60, dtype=np.int16).reshape(SHAPE)
    geometry = volume_from_array(array, (-1.0, -2.0, -3.0), "kji", declared).geometry
    assert geometry.orientation == "RAS"
    assert geometry.spacing == (3.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int32", "int32"),
        ("int64", "float32"),
        ("float16", "float32"),
        ("float64", "float32"),
    ],
)
def test_dtypes_of_arrays(given: str, kept: str) -> None:
    array = (np.arange(60).reshape(SHAPE) % 2).astype(given)
    volume = volume_from_array(array, (1.0, 1.0, 1.0), "ijk")
    assert volume.voxels.dtype == kept
    np.testing.assert_array_equal(volume.voxels, array)


def test_impossible_arrays_are_refused() -> None:
    array = np.ones(SHAPE, np.float32)
    with pytest.raises(NoForeground):
        volume_from_array(array, (1.0, 1.0, 1.0), "kji")
    array[0, 0, 0] = 2
    with pytest.raises(HeaderInvalid):
        volume_from_array(array[0], (1.0, 1.0, 1.0), "kji")
    with pytest.raises(HeaderInvalid):
        volume_from_array(array, (1.0, 1.0), "kji")
    for spacing in ((0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0)):
        with pytest.raises(AffineInvalid):
            volume_from_array(array, spacing, "kji")
