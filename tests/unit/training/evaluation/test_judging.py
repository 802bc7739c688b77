import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.training.evaluation.judging import Judge
from sammoe.training.evaluation.metrics import dice, surface_dice
from sammoe.training.evaluation.protocol import dice_in_crop
from sammoe.training.evaluation.users import next_click, rng_of
from sammoe.volume.field import Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import paste
from sammoe.volume.window import Window, source_to_window
from tests.windows import window_to_source

SHAPE = (30, 34, 26)
AFFINE = np.array([[0, -1.2, 0, 5], [1.5, 0, 0, -9], [0, 0, 2.0, 3], [0, 0, 0, 1]])
GEOMETRY = Geometry(SHAPE, AFFINE)
WINDOW = Window(3.0, (-4, -6, -3), 32)
CELLS = 32


def ball(radius_mm: float = 14.0) -> NDArray[np.bool_]:
    places = np.indices(SHAPE).reshape(3, -1).T
    off = (places - (15, 16, 12)) * GEOMETRY.spacing
    inside: NDArray[np.bool_] = np.linalg.norm(off, axis=1) < radius_mm
    return inside.reshape(SHAPE)


def logits(radius_mm: float = 14.0) -> NDArray[np.float32]:
    """Of the same ball, by its depth in voxels of the window."""
    axis = (np.arange(CELLS) + 0.5) * WINDOW.side / CELLS - 0.5
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    middle = source_to_window(GEOMETRY, WINDOW, np.array([[15.0, 16.0, 12.0]]))
    away: NDArray[np.float32] = np.linalg.norm(cells - middle, axis=-1).astype(np.float32)
    return np.float32(radius_mm / WINDOW.spacing) - away


def test_scores_are_those_of_the_whole_mask_and_made_once() -> None:
    judge = Judge(ball(), GEOMETRY)
    judged = judge(Field.of_window(WINDOW, logits(11.0)))
    mask = paste(logits(11.0), WINDOW, GEOMETRY).full(SHAPE).astype(bool)
    assert np.array_equal(judged.shown, mask[judged.region])
    assert (mask | ball()).sum() == (mask | ball())[judged.region].sum()
    assert judged.dice == dice(mask, ball())
    assert 0.4 < judged.dice < 1
    assert judged.nsd == surface_dice(mask, ball(), GEOMETRY.spacing)
    assert judge(Field.of_window(WINDOW, logits(11.0).copy())) is judged
    assert judge(Field.of_window(WINDOW, logits(12.0))) is not judged
    assert judge(Field.of_window(Window(3.0, (0, 0, 0), 32), logits(11.0))) is not judged


def test_nothing_found_is_worth_nothing() -> None:
    judged = Judge(ball(), GEOMETRY)(Field.of_window(WINDOW, np.full((CELLS,) * 3, -1, np.float32)))
    assert judged.dice == judged.nsd == judged.dice_crop(WINDOW) == 0


def test_dice_in_the_crop_at_one_and_a_half_millimetres() -> None:
    places = np.indices((64,) * 3).reshape(3, -1).T * 0.5 - 0.25
    source = np.rint(window_to_source(GEOMETRY, WINDOW, places)).astype(int)
    there = ((source >= 0) & (source < SHAPE)).all(1)
    wanted = np.zeros(len(places), bool)
    wanted[there] = ball()[tuple(source[there].T)]
    middle = source_to_window(GEOMETRY, WINDOW, np.array([[15.0, 16.0, 12.0]]))
    for radius in (12.0, 14.0, 17.0):
        # Against 0.5, not 0: the ball is half a window voxel smaller.
        found = np.linalg.norm(places - middle, axis=1) < radius / WINDOW.spacing - 0.5
        expected = dice(found, wanted)
        measured = dice_in_crop(logits(radius), WINDOW, GEOMETRY, ball())
        assert measured == pytest.approx(expected, abs=0.04)
    assert dice_in_crop(logits(17.0), WINDOW, GEOMETRY, ball()) > dice_in_crop(
        logits(12.0), WINDOW, GEOMETRY, ball()
    )


def test_what_lies_outside_of_the_crop_is_not_missed() -> None:
    half = Window(1.5, (0, 0, 0), 8)
    everywhere = np.ones((4, 4, 4), np.float32)
    assert dice_in_crop(everywhere, half, GEOMETRY, np.ones(SHAPE, bool)) == 1


def test_clicks_are_those_on_the_whole_volume() -> None:
    judge, everywhere = Judge(ball(), GEOMETRY), np.ones(SHAPE, bool)
    reach = everywhere.copy()
    reach[:14] = False
    nothing = judge(Field.of_window(WINDOW, np.full((CELLS,) * 3, -1, np.float32)))
    for judged in (
        None,
        nothing,
        judge(Field.of_window(WINDOW, logits(11.0))),
        judge(Field.of_window(WINDOW, logits(19.0))),
    ):
        shown = np.zeros(SHAPE, bool)
        if judged is not None:
            shown[judged.region] = judged.shown
        for careful in (True, False):
            for within in (everywhere, reach):
                found = judge.next_click(judged, within, rng_of(1), careful=careful)
                assert found == next_click(
                    shown, ball(), within, GEOMETRY.spacing, rng_of(1), careful=careful
                )
