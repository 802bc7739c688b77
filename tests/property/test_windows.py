"""A place in the patient stays the same place on the way to the window and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sammoe.volume.crop import resample_window
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import paste
from sammoe.volume.volume import Modality
from sammoe.volume.window import (
    Window,
    WindowRule,
    model_grid,
    source_to_window,
    window_at,
    window_for_box,
    window_for_point,
)
from tests.property.geometries import RULE, SPACINGS, UNIT, geometries
from tests.windows import window_to_source

PLACE = st.tuples(UNIT, UNIT, UNIT)


def index_in(geometry: Geometry, place: tuple[float, float, float]) -> list[float]:
    """A source index within the volume, outer voxels' halves included."""
    return [part * n - 0.5 for part, n in zip(place, geometry.shape, strict=True)]


def window_around(geometry: Geometry, place: tuple[float, float, float], spacing: float) -> Window:
    grid = model_grid(geometry, spacing)
    x, y, z = grid.to_model(np.array([index_in(geometry, place)]))[0]
    return window_at(grid.shape, (x, y, z), spacing, RULE)


@given(geometries(), PLACE)
def test_a_point_in_mm_comes_back_to_its_voxel(
    geometry: Geometry, place: tuple[float, float, float]
) -> None:
    index = np.clip(np.round(index_in(geometry, place)), 0, np.array(geometry.shape) - 1)
    mm = geometry.index_to_ras(index[None])
    window = window_for_point(geometry, index.tolist(), Modality.MR, RULE)
    voxel = source_to_window(geometry, window, geometry.ras_to_index(mm))
    assert voxel.min() >= -0.5 - 1e-6
    assert voxel.max() <= window.side - 0.5 + 1e-6
    back = window_to_source(geometry, window, voxel)
    assert np.array_equal(np.round(back[0]), index)
    # The voxel that the network sees is at most half a model voxel off, along each axis.
    seen = window_to_source(geometry, window, np.round(voxel))
    off = np.abs(seen - index)[0] * geometry.spacing
    assert off.max() <= window.spacing / 2 + 1e-6


@given(geometries(), PLACE, SPACINGS)
def test_the_window_holds_its_centre_and_overhangs_only_small_volumes(
    geometry: Geometry, place: tuple[float, float, float], spacing: float
) -> None:
    window = window_around(geometry, place, spacing)
    inside = source_to_window(geometry, window, np.array([index_in(geometry, place)]))
    assert inside.min() >= -0.5 - 1e-6
    assert inside.max() <= window.side - 0.5 + 1e-6
    for start, size in zip(window.start, model_grid(geometry, spacing).shape, strict=True):
        if size >= window.side:
            assert 0 <= start <= size - window.side
            assert start % RULE.step(spacing) == 0 or start == size - window.side
        else:
            assert start == -((window.side - size) // 2)


@given(geometries(), PLACE, PLACE)
def test_a_box_is_held_or_at_the_largest_spacing(
    geometry: Geometry, one: tuple[float, float, float], other: tuple[float, float, float]
) -> None:
    lo, hi = index_in(geometry, one), index_in(geometry, other)
    window = window_for_box(geometry, lo, hi, Modality.MR, RULE)
    inside = source_to_window(geometry, window, np.array([lo, hi]))
    held = inside.min() >= -0.5 and inside.max() <= window.side - 0.5
    assert held or window.spacing == RULE.spacings[-1]


@given(geometries(), PLACE, SPACINGS)
def test_the_crop_shows_what_is_at_its_place(
    geometry: Geometry, place: tuple[float, float, float], spacing: float
) -> None:
    # Intensities that are the canonical index tell where each window voxel was read.
    window = window_around(geometry, place, spacing)
    axes = geometry.canonical()
    index = np.indices((window.side,) * 3).reshape(3, -1).T
    source = window_to_source(geometry, window, index.astype(np.float64))
    ends = np.array(geometry.shape) - 1
    outside = ((source < -0.5 - 1e-9) | (source > ends + 0.5 + 1e-9)).any(axis=1)
    within = ((source >= 0) & (source <= ends)).all(axis=1)
    for axis in range(3):
        ramp = np.indices(geometry.shape)[axes.axes[axis]].astype(np.float32) + 7
        got = resample_window(ramp, geometry, window).reshape(-1)
        np.testing.assert_allclose(got[within], source[within, axes.axes[axis]] + 7, atol=1e-4)
        assert not got[outside].any()


@given(geometries(), PLACE, SPACINGS, st.integers(0, 2), st.floats(1.0, 22.0))
def test_the_paste_shows_what_is_at_its_place(
    geometry: Geometry,
    place: tuple[float, float, float],
    spacing: float,
    axis: int,
    cut: float,
) -> None:
    # Logits that grow along one axis: the mask is all that lies beyond the cut on it.
    window = window_around(geometry, place, spacing)
    ramp = (np.arange(RULE.cells) + 0.5) * window.side / RULE.cells - 0.5 - cut
    logits = np.moveaxis(np.broadcast_to(ramp, (RULE.cells,) * 3), 2, axis).astype(np.float32)
    got = paste(logits, window, geometry).full(geometry.shape).astype(np.bool_)
    index = np.indices(geometry.shape).reshape(3, -1).T
    inside = source_to_window(geometry, window, index.astype(np.float64))
    within = ((inside >= -0.5) & (inside <= window.side - 0.5)).all(axis=1)
    # In the outermost half cells the upsampling repeats the edge; cuts there are not drawn.
    expected = within & (inside[:, axis] > cut)
    sure = np.abs(inside[:, axis] - cut) > 1e-4
    assert np.array_equal(got.reshape(-1)[sure], expected[sure])


@given(st.data(), geometries(), PLACE, SPACINGS)
def test_storing_a_scan_in_another_order_changes_nothing(
    data: st.DataObject,
    geometry: Geometry,
    place: tuple[float, float, float],
    spacing: float,
) -> None:
    order = data.draw(st.permutations(range(3)))
    flips = data.draw(st.tuples(*[st.booleans()] * 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    voxels = rng.integers(0, 1000, geometry.shape).astype(np.int16)
    stored = voxels.transpose(order)
    move = np.eye(4)[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            stored = np.flip(stored, axis)
            undo = np.eye(4)
            undo[axis, axis], undo[axis, 3] = -1, stored.shape[axis] - 1
            move = move @ undo
    a, b, c = stored.shape
    other = Geometry((a, b, c), geometry.affine @ move)
    window = window_around(geometry, place, spacing)
    there = other.ras_to_index(geometry.index_to_ras(np.array([index_in(geometry, place)])))
    np.testing.assert_allclose(
        source_to_window(other, window, there),
        source_to_window(geometry, window, np.array([index_in(geometry, place)])),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        resample_window(stored, other, window), resample_window(voxels, geometry, window), atol=0.01
    )
    logits = rng.normal(size=(RULE.cells,) * 3).astype(np.float32)
    mask = paste(logits, window, geometry).full(geometry.shape).transpose(order)
    again = paste(logits, window, other).full(other.shape)
    for axis, flip in enumerate(flips):
        again = np.flip(again, axis) if flip else again
    # A logit within rounding of 0 may fall on either side.
    assert np.count_nonzero(again != mask) <= 2 + mask.size // 20000


@given(
    st.floats(-50, 200), st.floats(-50, 200), st.integers(24, 120), st.sampled_from((24, 32, 48))
)
def test_windows_of_near_clicks_are_equal_or_a_step_apart(
    one: float, other: float, size: int, side: int
) -> None:
    rule = WindowRule(side, 8, (1.5,), {"CT": 1.5, "MR": 1.5, "unknown": 1.5})
    starts = [window_at((size,) * 3, (c, c, c), 1.5, rule).start[0] for c in (one, other)]
    apart = abs(starts[0] - starts[1])
    assert apart <= abs(one - other) + rule.step(1.5)
