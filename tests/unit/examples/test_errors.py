import numpy as np
import pytest
from numpy.typing import NDArray

from examples.demo.errors import deepest_error, dice


def cube(low: int, high: int) -> NDArray[np.bool_]:
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[low:high, low:high, low:high] = True
    return mask


def test_dice_by_hand() -> None:
    assert dice(cube(2, 6), cube(2, 6)) == 1
    assert dice(cube(2, 6), cube(10, 14)) == 0
    assert dice(cube(0, 4), cube(0, 8)) == pytest.approx(2 * 64 / (64 + 512))
    assert dice(cube(0, 0), cube(0, 0)) == 1


def test_equal_masks_have_no_error() -> None:
    assert deepest_error(cube(3, 9), cube(3, 9)) is None


def test_what_was_missed_is_clicked_in_its_middle() -> None:
    place, positive = deepest_error(cube(0, 0), cube(5, 10)) or pytest.fail("an error is there")

    assert place.tolist() == [7, 7, 7]
    assert positive


def test_surplus_is_clicked_away_where_it_is_thickest() -> None:
    reference = cube(5, 8)
    answer = reference.copy()
    answer[12:19, 12:19, 12:19] = True
    answer[4, 5:8, 5:8] = True

    place, positive = deepest_error(answer, reference) or pytest.fail("an error is there")

    assert place.tolist() == [15, 15, 15]
    assert not positive


def test_missed_and_surplus_that_touch_are_two_regions() -> None:
    reference, answer = np.zeros((2, 20, 9, 9), dtype=bool)
    reference[1:6, 2:7, 2:7] = True
    answer[6:13, 1:8, 1:8] = True

    place, positive = deepest_error(answer, reference) or pytest.fail("an error is there")

    assert place.tolist() == [9, 4, 4]
    assert not positive


def test_an_error_at_the_edge_of_the_volume_counts_that_edge_as_a_border() -> None:
    place, _ = deepest_error(cube(0, 0), cube(15, 20)) or pytest.fail("an error is there")

    assert place.tolist() == [17, 17, 17]
