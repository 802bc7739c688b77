import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import Pasted, cut, paste, upsampling
from sammoe.volume.window import Window, source_to_window
from tests.unit.volume.shapes import AXIS_ORDERS, FLIPS, axis_affine, grid_of

RNG = np.random.default_rng(5)
SIDE, CELLS = 24, 12


def blobs(seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(CELLS,) * 3)
    return gaussian_filter(noise, 1.5).astype(np.float32)


def pasted_by_scipy(
    logits: NDArray[np.float32], window: Window, geometry: Geometry, threshold: float
) -> NDArray[np.bool_]:
    """The definition in two plain steps: upsample to the window, then look up each voxel."""
    position = (np.arange(SIDE) + 0.5) * CELLS / SIDE - 0.5
    places = np.stack(np.meshgrid(position, position, position, indexing="ij"))
    upsampled = map_coordinates(logits.astype(np.float64), places, order=1, mode="nearest")
    inside = source_to_window(geometry, window, grid_of(geometry).reshape(-1, 3))
    values = map_coordinates(upsampled, inside.T, order=1, mode="nearest")
    within = ((inside >= -0.5) & (inside <= SIDE - 0.5)).all(axis=1)
    return np.asarray((values > threshold) & within).reshape(geometry.shape)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_paste_is_upsampling_then_interpolation(order: tuple[int, int, int]) -> None:
    for number, flips in enumerate(FLIPS):
        geometry = Geometry((30, 36, 12), axis_affine(order, flips, (1.0, 0.7, 2.3)))
        window = Window(1.5, (-4, 1, 2), SIDE)
        logits = blobs(number)
        for threshold in (0.0, 0.05, -0.1):
            got = paste(logits, window, geometry, threshold).full(geometry.shape)
            expected = pasted_by_scipy(logits, window, geometry, threshold)
            # A logit within rounding of the threshold may fall on either side.
            assert np.count_nonzero(got != expected) <= 2
            assert expected.any()


def test_a_paste_has_the_box_of_its_mask_and_i_runs_fastest() -> None:
    geometry = Geometry((50, 60, 40), np.eye(4))
    logits = np.full((CELLS,) * 3, -1, dtype=np.float32)
    logits[3:6, 4:9, 5] = 1
    pasted = paste(logits, Window(1.5, (0, 0, 0), SIDE), geometry)
    assert pasted.mask.flags.f_contiguous
    for axis in range(3):
        assert pasted.mask.take(0, axis=axis).any()
        assert pasted.mask.take(-1, axis=axis).any()
    whole = pasted.full(geometry.shape)
    assert whole.dtype == np.uint8
    assert whole.shape == geometry.shape
    box = tuple(slice(o, o + n) for o, n in zip(pasted.offset, pasted.mask.shape, strict=True))
    assert whole[box].sum() == whole.sum() == pasted.mask.sum() > 0


def test_outside_of_the_window_no_voxel_is_set_whatever_the_threshold() -> None:
    geometry = Geometry((60, 60, 60), np.eye(4))
    window = Window(1.5, (2, 3, 4), SIDE)
    for level, threshold in ((1.0, 0.0), (-1.0, -2.0)):
        logits = np.full((CELLS,) * 3, level, dtype=np.float32)
        pasted = paste(logits, window, geometry, threshold)
        # The window spans 3 .. 39, 4.5 .. 40.5 and 6 .. 42 mm from the volume's first edge.
        assert pasted.offset == (3, 4, 6)
        assert pasted.mask.shape == (36, 37, 36)
        assert pasted.mask.all()


@pytest.mark.parametrize(
    ("logits", "window"),
    [
        (np.zeros((CELLS,) * 3, dtype=np.float32), Window(1.5, (0, 0, 0), SIDE)),
        (np.full((CELLS,) * 3, -3, dtype=np.float32), Window(1.5, (0, 0, 0), SIDE)),
        (np.ones((CELLS,) * 3, dtype=np.float32), Window(1.5, (100, 0, 0), SIDE)),
    ],
)
def test_nothing_above_the_threshold_is_an_empty_mask(
    logits: NDArray[np.float32], window: Window
) -> None:
    pasted = paste(logits, window, Geometry((20, 20, 20), np.eye(4)))
    assert pasted.mask.shape == (0, 0, 0)
    assert pasted.offset == (0, 0, 0)
    assert not pasted.full((20, 20, 20)).any()


def test_cells_that_touch_no_voxel_s_threshold_leave_an_empty_mask() -> None:
    # One cell barely above 0 among strong negatives: no voxel's interpolation gets there.
    logits = np.full((CELLS,) * 3, -10, dtype=np.float32)
    logits[5, 5, 5] = 0.01
    pasted = paste(logits, Window(1.5, (0, 0, 0), SIDE), Geometry((30, 30, 30), np.eye(4)))
    assert pasted.mask.size == 0


def test_one_slice_is_enough() -> None:
    geometry = Geometry((40, 40, 1), np.diag([1.0, 1.0, 8.0, 1.0]))
    logits = np.full((CELLS,) * 3, 1, dtype=np.float32)
    pasted = paste(logits, Window(1.5, (0, 0, -9), SIDE), geometry)
    assert pasted.mask.shape == (36, 36, 1)


def test_cutting_finds_the_box_and_keeps_the_origin() -> None:
    mask = np.zeros((9, 8, 7), dtype=np.bool_)
    mask[2, 3, 4] = mask[5, 3, 6] = True
    pasted = cut(mask, (10, 20, 30))
    assert pasted.offset == (12, 23, 34)
    assert pasted.mask.shape == (4, 1, 3)
    assert np.array_equal(cut(mask).full(mask.shape).astype(np.bool_), mask)
    assert cut(np.zeros((3, 3, 3), dtype=np.bool_), (1, 1, 1)).offset == (0, 0, 0)


def test_full_puts_a_mask_where_it_was() -> None:
    mask = RNG.random((3, 4, 5)) > 0.5
    whole = Pasted(mask, (1, 2, 3)).full((6, 7, 9))
    assert np.array_equal(whole[1:4, 2:6, 3:8], mask)
    assert whole.sum() == mask.sum()


@pytest.mark.parametrize(("cells", "side"), [(32, 128), (24, 48), (12, 12), (4, 10)])
def test_upsampling_is_linear_with_half_pixel_centres(cells: int, side: int) -> None:
    line = RNG.normal(size=cells)
    position = (np.arange(side) + 0.5) * cells / side - 0.5
    expected = np.interp(position, np.arange(cells), line)
    assert upsampling(cells, side) @ line == pytest.approx(expected, abs=1e-6)


def test_a_mask_is_the_same_however_many_slabs_are_done_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geometry = Geometry((30, 36, 41), np.eye(4))
    window = Window(1.5, (0, 0, 0), SIDE)
    for seed in range(5):
        pasted = paste(blobs(seed), window, geometry)
        for together in (1, 30 * 36 * 7):
            monkeypatch.setattr("sammoe.volume.paste._TOGETHER", together)
            again = paste(blobs(seed), window, geometry)
            assert again.offset == pasted.offset
            assert np.array_equal(again.mask, pasted.mask)
        monkeypatch.undo()
