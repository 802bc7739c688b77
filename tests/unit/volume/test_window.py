from typing import Any

import numpy as np
import pytest

from sammoe.volume.geometry import Geometry
from sammoe.volume.volume import Modality
from sammoe.volume.window import (
    Window,
    model_grid,
    source_to_window,
    window_at,
    window_for_box,
    window_for_point,
)
from tests.unit.volume.shapes import axis_affine, rule
from tests.windows import window_to_source

BIG = Geometry((400, 400, 400), np.eye(4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 20}, "multiple"),
        ({"side": 0}, "multiple"),
        ({"patch": 0}, "multiple"),
        ({"spacings": ()}, "ascend"),
        ({"spacings": (3.0, 1.5)}, "ascend"),
        ({"spacings": (1.5, 1.5)}, "ascend"),
        ({"spacings": (-1.0, 1.5, 3.0)}, "positive"),
        ({"default_spacing": {"CT": 3.0, "MR": 1.5}}, "unknown"),
        ({"default_spacing": {"CT": 2.0, "MR": 1.5, "unknown": 1.5}}, "CT"),
        ({"snap_mm": (9.0,)}, "snap_mm"),
        ({"snap_mm": (9.0, 9.0, 0.0)}, "snap_mm"),
        ({"ct_clamp": (1000.0, -1000.0)}, "ct_clamp"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rule(**changes)


def test_cells_are_four_a_patch() -> None:
    assert rule(128, 16).cells == 32
    assert rule(48, 8).cells == 24
    assert rule(64, 4).cells == 64


def test_step_is_a_quarter_of_the_window_unless_told() -> None:
    assert rule(48).step(4.5) == 12
    told = rule(48, snap_mm=(9.0, 9.0, 1.0))
    assert [told.step(spacing) for spacing in told.spacings] == [6, 3, 1]
    assert rule(2, 1).step(1.5) == 1


def test_windows_sit_on_the_lattice_and_stay_inside() -> None:
    plain = rule(24)
    for centre in np.linspace(-5, 105, 111):
        start = window_at((100, 24, 100), (centre, 12, 50), 1.5, plain).start[0]
        assert 0 <= start <= 76
        assert start % 6 == 0 or start == 76
        if 12 <= centre <= 85:
            assert abs(start + 11.5 - centre) <= 3.5


def test_clicks_near_each_other_share_a_window() -> None:
    plain = rule(24)
    keys = {window_at((100,) * 3, (c, 50, 50), 1.5, plain).key() for c in range(51, 56)}
    assert len(keys) == 1


def test_a_volume_smaller_than_the_window_is_centred_in_it() -> None:
    window = window_at((10, 23, 1), (0, 22, 0), 1.5, rule(24))
    assert window.start == (-7, 0, -11)


def test_keys_tell_windows_apart() -> None:
    windows = [
        Window(1.5, (1, 2, 3), 24),
        Window(3.0, (1, 2, 3), 24),
        Window(1.5, (1, 2, 33), 24),
        Window(1.5, (1, 23, 3), 24),
        Window(1.5, (-1, 2, 3), 24),
        Window(1.5, (1, 2, 3), 48),
    ]
    assert len({window.key() for window in windows}) == len(windows)


def test_the_model_grid_covers_every_voxel_centre() -> None:
    grid = model_grid(Geometry((100, 7, 1), np.diag([0.7, 1.5, 9.0, 1.0])), 1.5)
    assert grid.shape == (47, 7, 6)
    last = grid.to_model(np.array([[99, 6, 0]]))[0]
    assert (last <= np.array(grid.shape) - 0.5).all()


def test_model_and_source_share_the_edge_of_their_first_voxels() -> None:
    # Index -0.5 is the outer edge of a first voxel, on either grid; flipped axes end there.
    geometry = Geometry((10, 12, 14), axis_affine((2, 0, 1), (1, -1, 1), (0.5, 2.0, 1.25)))
    grid = model_grid(geometry, 1.5)
    edges = grid.to_source(np.full((1, 3), -0.5))[0]
    assert edges == pytest.approx((-0.5, 11.5, -0.5))
    one_on = grid.to_source(np.array([[0.5, -0.5, -0.5]]))[0]
    assert one_on == pytest.approx((-0.5, 11.5 - 1.5 / 2.0, -0.5))


def test_a_point_takes_its_modality_s_spacing() -> None:
    for modality, spacing in (("CT", 3.0), ("MR", 1.5), ("unknown", 1.5)):
        window = window_for_point(BIG, (200, 200, 200), Modality(modality), rule())
        assert window.spacing == spacing
        inside = source_to_window(BIG, window, np.array([[200, 200, 200]]))
        assert (np.abs(inside - 11.5) <= 3.5).all()


@pytest.mark.parametrize(
    ("half", "spacing"), [(5, 1.5), (12, 1.5), (20, 3.0), (25, 3.0), (40, 4.5), (150, 4.5)]
)
def test_a_box_takes_the_smallest_spacing_that_holds_it(half: int, spacing: float) -> None:
    lo, hi = [201.5 - half] * 3, [201.5 + half] * 3
    window = window_for_box(BIG, lo, hi, Modality.MR, rule())
    assert window.spacing == spacing
    inside = source_to_window(BIG, window, np.array([lo, hi]))
    held = bool(inside.min() >= -0.5 and inside.max() <= 23.5)
    assert held == (half < 100)


def test_a_box_near_the_lattice_s_worst_place_goes_one_spacing_up() -> None:
    # 34 mm fit into 36 mm only if the window is centred, and the lattice is 9 mm wide.
    spacings = set()
    for shift in range(9):
        lo, hi = [180.0 + shift] * 3, [214.0 + shift] * 3
        window = window_for_box(BIG, lo, hi, Modality.MR, rule())
        inside = source_to_window(BIG, window, np.array([lo, hi]))
        assert inside.min() >= -0.5
        assert inside.max() <= 23.5
        spacings.add(window.spacing)
    assert spacings == {1.5, 3.0}


def test_corners_of_a_box_may_come_in_any_order() -> None:
    ordered = window_for_box(BIG, (190, 180, 170), (200, 190, 180), Modality.MR, rule())
    mixed = window_for_box(BIG, (200, 180, 180), (190, 190, 170), Modality.MR, rule())
    assert mixed == ordered


def test_window_coordinates_go_there_and_back() -> None:
    geometry = Geometry((40, 50, 60), axis_affine((1, 2, 0), (-1, 1, -1), (0.7, 2.0, 1.0)))
    window = Window(1.5, (-3, 10, 4), 24)
    index = np.array([[0, 0, 0], [39, 49, 59], [3.3, 4.4, 5.5]])
    there = source_to_window(geometry, window, index)
    assert window_to_source(geometry, window, there) == pytest.approx(index)
