"""Fields of several windows: no order matters, no seam shows, nothing that was confirmed flips."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sammoe.volume.blending import Answer, confirmed, joined
from sammoe.volume.field import Field, aligned
from sammoe.volume.geometry import Geometry
from sammoe.volume.paste import paste
from sammoe.volume.window import Window, WindowRule, model_grid
from tests.property.geometries import RULE, SPACINGS, geometries

CELLS = RULE.cells
SEEDS = st.integers(0, 2**32 - 1)
STARTS = st.lists(st.tuples(*[st.integers(-3, 4)] * 3), min_size=1, max_size=6, unique=True)


def answers(starts: list[tuple[int, int, int]], seed: int, spacing: float = 1.5) -> list[Answer]:
    """Noise in windows a few cells apart."""
    rng = np.random.default_rng(seed)
    cell = RULE.side // CELLS
    return [
        (
            Window(spacing, (cell * 2 * a, cell * 2 * b, cell * 2 * c), RULE.side),
            rng.normal(size=(CELLS, CELLS, CELLS)).astype(np.float32),
        )
        for a, b, c in starts
    ]


@given(STARTS, SEEDS, st.randoms(use_true_random=False), st.booleans())
def test_windows_may_come_in_any_order(
    starts: list[tuple[int, int, int]], seed: int, random: object, over: bool
) -> None:
    made = answers(starts, seed)
    earlier = joined(answers([(0, 0, 0), (1, 2, 0)], seed + 1)) if over else None
    one = joined(made, earlier)
    shuffled = list(made)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = joined(shuffled, earlier)
    assert one.start == other.start
    assert one.values.tobytes() == other.values.tobytes()


@given(STARTS, SEEDS)
def test_joined_is_between_what_its_windows_say(
    starts: list[tuple[int, int, int]], seed: int
) -> None:
    made = answers(starts, seed)
    field = joined(made)
    low = np.full(field.values.shape, np.inf, np.float32)
    high, count = -low, np.zeros(low.shape, int)
    for window, logits in made:
        part = field.region(window)
        low[part], high[part] = np.minimum(low[part], logits), np.maximum(high[part], logits)
        count[part] += 1
    np.testing.assert_array_equal(field.known, count > 0)
    known = field.values[field.known]
    assert (known >= low[field.known] - 1e-5).all()
    assert (known <= high[field.known] + 1e-5).all()
    # What one window alone says is kept to the bit.
    np.testing.assert_array_equal(field.values[count == 1], low[count == 1])


@given(SEEDS)
def test_no_step_where_a_window_ends(seed: int) -> None:
    # Two flat answers: from one to the other the field goes by small steps.
    flat = [
        (window, np.full_like(logits, value))
        for (window, logits), value in zip(
            answers([(0, 0, 0), (3, 0, 0)], seed), (-1.0, 1.0), strict=True
        )
    ]
    steps = np.abs(np.diff(joined(flat).values, axis=0))
    assert np.nanmax(steps) <= 2 / (CELLS // 2) + 1e-6
    over = joined(flat[1:], joined(flat[:1]))
    assert np.nanmax(np.abs(np.diff(over.values, axis=0))) <= 2


@given(SEEDS)
def test_same_window_replaces_its_field_to_the_bit(seed: int) -> None:
    (old,), (new,) = answers([(0, 1, 0)], seed), answers([(0, 1, 0)], seed + 1)
    assert joined([new], joined([old])).values.tobytes() == new[1].tobytes()


@settings(max_examples=40)
@given(SEEDS, st.lists(st.tuples(*[st.floats(-0.5, 40)] * 3), min_size=1, max_size=5))
@example(1445, [(3.75, 2.0, 23.0)])  # beside cells that only the later field knows
def test_what_was_confirmed_stays(seed: int, places: list[tuple[float, float, float]]) -> None:
    before = joined(answers([(0, 0, 0), (2, 1, 0)], seed))
    after = joined(answers([(1, 1, 1), (3, 1, 2)], seed + 1), before)
    index = np.array(places)
    labels = [int(before.at(place) > 0) for place in index]
    kept = confirmed(before, after, index, labels)
    flipped = [
        place
        for place, label in zip(index, labels, strict=True)
        if not np.isnan(before.at(place)) and (kept.at(place) > 0) != bool(label)
    ]
    # Clicks a few cells apart share cells: then one of them may win over the other.
    apart = np.abs(index[:, None] - index[None]).max(axis=-1) + 99 * np.eye(len(index))
    if apart.min() > 12:
        assert flipped == []


@settings(max_examples=40)
@given(geometries(), SPACINGS, SEEDS)
def test_one_window_pastes_as_ever(geometry: Geometry, spacing: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(CELLS,) * 3).astype(np.float32)
    window = Window(spacing, (0, 0, 0), RULE.side)
    one, other = Field.of_window(window, logits).paste(geometry), paste(logits, window, geometry)
    assert one.offset == other.offset
    np.testing.assert_array_equal(one.mask, other.mask)


@settings(max_examples=40)
@given(geometries(), SPACINGS, SEEDS)
def test_no_voxel_where_nothing_is_known(geometry: Geometry, spacing: float, seed: int) -> None:
    size = model_grid(geometry, spacing).shape
    like = Window(spacing, (0, 0, 0), RULE.side)
    windows = [aligned(start, like, RULE.patch, size) for start in ([0, 0, 0], [30, 12, 40])]
    field = joined([(w, np.ones((CELLS,) * 3, np.float32)) for w in windows])
    mask = field.paste(geometry).full(geometry.shape).astype(bool)
    grid = model_grid(geometry, spacing)
    index = np.indices(geometry.shape).reshape(3, -1).T
    model = grid.to_model(index)
    known = np.zeros(len(index), bool)
    sure = np.ones(len(index), bool)
    for window in windows:
        gap = model - window.start
        known |= ((gap >= -0.5) & (gap < RULE.side - 0.5)).all(axis=1)
        for face in (-0.5, RULE.side - 0.5):
            sure &= (np.abs(gap - face) > 1e-6).all(axis=1)
    np.testing.assert_array_equal(mask.ravel()[sure], known[sure])


@given(st.sampled_from([1.5, 3.0, 4.5]), st.tuples(*[st.integers(-2, 9)] * 3))
def test_prior_at_another_spacing_is_at_the_same_place(
    spacing: float, start: tuple[int, int, int]
) -> None:
    # A plane: linear interpolation and averages keep it, but for the cells at its ends.
    along = np.arange(40, dtype=np.float32)[:, None, None]
    values = np.broadcast_to(along, (40, 24, 24)).copy()
    values[:6] = np.nan
    field = Field(3.0, 4, (0, 0, 0), values)
    prior = field.within(Window(spacing, start, 24), 24)
    cell = (start[0] + (np.arange(24) + 0.5)) * spacing / 3.0 - 0.5
    wanted = np.broadcast_to(cell[:, None, None], prior.shape)
    inner = ((cell > 7) & (cell < 38))[:, None, None] & ~np.isnan(prior)
    # Coarser cells average finer ones as blocks, which is a tenth off at worst.
    np.testing.assert_allclose(prior[inner], wanted[inner], atol=0.1)
    assert np.isnan(prior[cell < 4.5]).all()


RULES = st.sampled_from(
    [
        RULE,
        WindowRule(
            side=24,
            patch=6,
            spacings=(1.5,),
            default_spacing=dict.fromkeys(("CT", "MR", "unknown"), 1.5),
        ),
        WindowRule(
            side=16,
            patch=2,
            spacings=(1.5,),
            default_spacing=dict.fromkeys(("CT", "MR", "unknown"), 1.5),
        ),
    ]
)


@given(RULES, st.tuples(*[st.integers(1, 90)] * 3), st.tuples(*[st.integers(-50, 120)] * 3))
def test_aligned_windows_share_cells_and_cover_the_volume(
    rule: WindowRule, size: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    phase = tuple(
        max(0, n - rule.side) if n >= rule.side else -((rule.side - n) // 2) for n in size
    )
    like = Window(1.5, phase, rule.side)  # type: ignore[arg-type]
    field = Field.of_window(like, np.zeros((rule.cells,) * 3, np.float32))
    window = aligned(wanted, like, rule.patch, size)
    assert field.holds(window)
    for start, n in zip(window.start, size, strict=True):
        if n > rule.side:
            assert -rule.patch < start < n - rule.side + rule.patch
    ends = aligned((10**6,) * 3, like, rule.patch, size)
    assert all(s + rule.side >= n for s, n in zip(ends.start, size, strict=True))
    begin = aligned((-(10**6),) * 3, like, rule.patch, size)
    assert all(s <= 0 for s in begin.start)
