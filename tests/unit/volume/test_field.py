"""How large a field may become, and what a cell of it takes while it is worked on."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sammoe.errors import TooLarge
from sammoe.segmentation.zooming import boundary, finer
from sammoe.volume import field
from sammoe.volume.blending import Answer, joined
from sammoe.volume.field import MAX_CELLS, Field
from sammoe.volume.geometry import Geometry
from sammoe.volume.window import Window, WindowRule

RULE = WindowRule(
    side=64,
    patch=8,
    spacings=(1.5, 4.5),
    default_spacing={"CT": 4.5, "MR": 1.5, "unknown": 1.5},
)
BYTES_A_CELL = 20


def answer(start: tuple[int, int, int], spacing: float = 1.5) -> Answer:
    """Noise in a window of 32 cells a side."""
    noise = np.random.default_rng(sum(start)).normal(size=(RULE.cells,) * 3)
    return Window(spacing, start, RULE.side), noise.astype(np.float32)


def apart(cells: int) -> list[Answer]:
    """Two windows in opposite corners of a field of so many cells a side."""
    return [answer((0, 0, 0)), answer((2 * (cells - RULE.cells),) * 3)]


def peak(call: Callable[[], Any]) -> int:
    """The most bytes that a call has at a time."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_windows_too_far_apart_are_refused_before_memory_is_taken() -> None:
    # Two clicks in opposite corners of a scan of 3.6 m.
    made = apart(404)

    def refused() -> None:
        with pytest.raises(TooLarge, match="too far from each other"):
            joined(made)

    assert peak(refused) < 1 << 22


def test_a_whole_body_is_not() -> None:
    mm = (800, 800, 2000)
    assert np.prod([-(-side // 3) for side in mm]) < MAX_CELLS
    body = (slice(0, 200), slice(0, 134), slice(0, 667))
    whole = Field.of_window(*answer((0, 0, 0))).covering([body])
    assert whole.values.shape == (200, 134, 667)


def test_cells_too_small_for_what_is_known_are_refused_before_memory_is_taken() -> None:
    coarse = Field(4.5, 8, (0, 0, 0), np.broadcast_to(np.float32(1), (190,) * 3))

    def refused() -> None:
        with pytest.raises(TooLarge, match=r"1\.5 mm .* larger spacing"):
            finer(coarse, Window(1.5, (0, 0, 0), RULE.side), RULE.patch)

    assert peak(refused) < 1 << 20


@pytest.mark.parametrize("over", [False, True])
def test_joining_takes_few_bytes_a_cell(over: bool) -> None:
    made = apart(200)
    earlier = joined(made) if over else None
    assert peak(lambda: joined(made, earlier)) < BYTES_A_CELL * 200**3


def test_other_work_on_a_field_takes_few_bytes_a_cell() -> None:
    large = joined(apart(200))
    geometry = Geometry((50, 50, 50), np.diag([12.0, 12.0, 12.0, 1.0]))
    small = joined([answer((0, 0, 0), 4.5), answer((70, 70, 70), 4.5)])
    first = Window(1.5, (0, 0, 0), RULE.side)
    fine = finer(small, first, RULE.patch)
    for work, cells in (
        (lambda: large.paste(geometry), large.values.size),
        (lambda: finer(small, first, RULE.patch), fine.values.size),
        (lambda: boundary(large, [first], (400, 400, 400), RULE, 1), large.values.size),
    ):
        assert peak(work) < BYTES_A_CELL * cells


def test_nothing_depends_on_how_many_cells_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [answer(start) for start in ((0, 0, 0), (24, 8, 0), (48, 0, 30), (4, 60, 16))]
    earlier = joined([answer((12, 12, 12)), answer((60, 30, 10))])

    def everything() -> tuple[Field, Field]:
        over = joined(made, earlier)
        return over, over.resampled(4.5, RULE.patch, (-3, 2, 5), (20, 24, 22))

    whole = everything()
    monkeypatch.setattr(field, "_SLAB_CELLS", 3 * 60 * 60)
    for one, other in zip(whole, everything(), strict=True):
        assert one.values.tobytes() == other.values.tobytes()
