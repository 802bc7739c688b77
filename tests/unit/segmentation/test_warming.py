"""Which windows are worth embedding before anybody clicks."""

from dataclasses import replace

import numpy as np
import pytest

from sammoe.segmentation.warming import body, warm_up
from sammoe.store import LocalStore
from sammoe.volume.volume import Modality
from sammoe.volume.window import WindowRule, window_for_point
from tests.records import volume_record

RULE = WindowRule(
    side=32,
    patch=8,
    spacings=(1.5, 3.0),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
)
SHAPE = (200, 180, 160)


def test_empty_corners_cost_nothing_and_the_rule_decides(store: LocalStore) -> None:
    volume = volume_record(store, shape=SHAPE, modality=Modality.CT)
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[20:180, 100:170, 20:140] = 40
    planned = warm_up(volume, voxels, RULE, 8)
    assert planned.size == 8 * len(planned.windows)
    assert len({*planned.windows}) == len(planned.windows)
    assert planned.covered > 0.9
    inside = np.argwhere(voxels > 0)
    clicks = np.random.default_rng(0).permutation(inside)[:200].tolist()
    taken = [window_for_point(volume.geometry, click, Modality.CT, RULE) for click in clicks]
    assert sum(window in planned.windows for window in taken) > 180
    coarse = warm_up(volume, voxels, replace(RULE, coarse=0.25), 8)
    assert len(coarse.windows) < len(planned.windows) / 2
    whole = warm_up(volume, np.full(SHAPE, 40, np.int16), RULE, 8)
    assert len(whole.windows) > len(planned.windows)


def test_scan_without_a_body_needs_no_window(store: LocalStore) -> None:
    volume = volume_record(store, shape=SHAPE, modality=Modality.CT)
    planned = warm_up(volume, np.full(SHAPE, -1000, np.int16), RULE, 8)
    assert (planned.windows, planned.covered) == ((), 0.0)


def test_body_of_another_modality_is_what_is_bright() -> None:
    voxels = np.array([0, 0, 5, 100, 100, 100])
    assert body(voxels, Modality.MR).tolist() == [False] * 3 + [True] * 3
    assert not body(np.zeros(4), Modality.UNKNOWN).any()


@pytest.mark.parametrize("coarse", [0.0, 0.1875, 0.25])
def test_coarse_windows_serve_clicks_well_inside(store: LocalStore, coarse: float) -> None:
    rule, geometry = replace(RULE, coarse=coarse), volume_record(store, shape=SHAPE).geometry
    clicks = np.random.default_rng(1).uniform(40, 120, (300, 3)).tolist()
    fine = [window_for_point(geometry, click, Modality.MR, RULE) for click in clicks]
    found = [window_for_point(geometry, click, Modality.MR, rule) for click in clicks]
    for click, one, other in zip(clicks, found, fine, strict=True):
        middle = (np.array(one.start) + 16) * 1.5
        off = np.abs((np.array(click) + 0.5) - middle) / 48
        assert one == other or (off <= coarse + 1e-6).all()
    assert len({*found}) <= len({*fine})
    assert coarse < 0.25 or all(n % 16 == 0 for window in found for n in window.start)


def test_coarse_must_be_a_quarter_at_most() -> None:
    with pytest.raises(ValueError, match="coarse"):
        replace(RULE, coarse=0.3)
