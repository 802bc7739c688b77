"""Where a mask goes on beyond the windows that were looked at."""

import numpy as np
import pytest

from sammoe.segmentation.following import TOUCHING, agrees, goes_on, lacks, neighbours
from sammoe.volume.field import Field
from sammoe.volume.window import Window, WindowRule

RULE = WindowRule(
    side=32,
    patch=8,
    spacings=(1.5,),
    default_spacing={"CT": 1.5, "MR": 1.5, "unknown": 1.5},
)
GRID = (128, 128, 128)
WINDOW = Window(1.5, (48, 48, 48), 32)
CELLS = RULE.cells


def field_with(*boxes: tuple[slice, slice, slice], sure: float = 3.0) -> Field:
    """One window's field with these cells in the mask."""
    logits = np.full((CELLS,) * 3, -1.0, np.float32)
    for box in boxes:
        logits[box] = sure
    return Field.of_window(WINDOW, logits)


THREE, MIDST = slice(7, 10), slice(6, 10)


def test_mask_within_the_window_asks_for_nothing() -> None:
    assert neighbours(field_with((MIDST, MIDST, MIDST)), [WINDOW], GRID, RULE) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [-1, 1])
def test_mask_at_a_face_asks_for_the_window_half_beyond(axis: int, step: int) -> None:
    box = [THREE, THREE, THREE]
    box[axis] = slice(8, None) if step > 0 else slice(None, 8)
    (found,) = neighbours(field_with((box[0], box[1], box[2])), [WINDOW], GRID, RULE)
    start = [48, 48, 48]
    start[axis] += step * 16
    assert found.window == Window(1.5, (start[0], start[1], start[2]), 32)
    assert found.size == 9
    # The middle of the contact is clicked, which is on the neighbour's middle plane.
    hint = [16.5, 16.5, 16.5]
    hint[axis] = 15.5
    np.testing.assert_allclose(found.hints, [hint])


def test_unsure_contact_is_not_clicked() -> None:
    (found,) = neighbours(
        field_with((slice(8, None), THREE, THREE), sure=0.1), [WINDOW], GRID, RULE
    )
    assert found.hints.shape == (0, 3)


def test_small_contact_is_none() -> None:
    few = (slice(8, None), slice(8, 8 + TOUCHING), slice(8, 9))
    assert neighbours(field_with(few), [WINDOW], GRID, RULE) == []


def test_neighbour_moves_towards_the_contact_and_each_contact_has_its_own() -> None:
    low, high = (slice(8, None), slice(0, 3), MIDST), (slice(8, None), slice(13, 16), MIDST)
    found = neighbours(field_with(low, high), [WINDOW], GRID, RULE)
    assert [one.window.start for one in found if one.window.start[0] == 64] == [
        (64, 40, 48),
        (64, 56, 48),
    ]


def test_the_largest_contact_comes_first() -> None:
    small, large = (slice(8, None), THREE, THREE), (THREE, slice(None, 8), MIDST)
    found = neighbours(field_with(small, large), [WINDOW], GRID, RULE)
    assert [one.size for one in found] == [12, 9]


def test_no_window_beyond_the_volume() -> None:
    field = field_with((slice(8, None), THREE, THREE))
    assert neighbours(field, [WINDOW], (80, 128, 128), RULE) == []
    # Half a window is not there: the last one ends where the volume does.
    (found,) = neighbours(field, [WINDOW], (85, 128, 128), RULE)
    assert found.window.start == (54, 48, 48)


def test_what_is_known_is_not_asked_for() -> None:
    field = field_with((slice(8, None), THREE, THREE))
    beyond = Window(1.5, (64, 48, 48), 32)
    wide = field.covering([field.region(beyond)])
    wide.values[field.region(beyond)] = np.where(
        np.isnan(wide.values[field.region(beyond)]), -1, wide.values[field.region(beyond)]
    )
    assert neighbours(wide, [WINDOW], GRID, RULE) == []
    assert not goes_on(wide, GRID)
    assert goes_on(field, GRID)
    assert not goes_on(field, (80, 128, 128))


def test_box_asks_for_what_it_covers_and_for_nothing_else() -> None:
    field = field_with((slice(8, None), THREE, THREE), (THREE, slice(8, None), THREE))
    lo, hi = np.array([50.0, 50.0, 30.0]), np.array([90.0, 79.0, 79.0])
    found = neighbours(field, [WINDOW], GRID, RULE, (lo, hi))
    assert {one.window.start: one.size for one in found} == {(64, 48, 48): 9, (48, 48, 32): 0}
    assert lacks(field, GRID, lo, hi)
    assert not lacks(field, GRID, np.array([50.0, 50, 50]), np.array([79.0, 79, 79]))


def test_neighbour_must_agree_where_it_overlaps() -> None:
    field = field_with((slice(8, None), MIDST, MIDST))
    beyond = Window(1.5, (64, 48, 48), 32)
    same = np.full((CELLS,) * 3, -1.0, np.float32)
    same[:8, MIDST, MIDST] = 1
    assert agrees(field, beyond, same)
    assert not agrees(field, beyond, -same)
    assert not agrees(field, beyond, np.full_like(same, -1))
    assert agrees(field_with(), beyond, np.full_like(same, -1))
