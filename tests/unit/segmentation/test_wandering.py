"""Which windows a request begins in."""

from dataclasses import replace

import numpy as np
import pytest

from sammoe.errors import InvalidInput, OnlyNegative, OutsideWindow, TooLarge
from sammoe.segmentation import Point, Prompt
from sammoe.segmentation.planning import Parent
from sammoe.segmentation.prompt import merge
from sammoe.segmentation.wandering import first_windows, zoomed
from sammoe.store import LocalStore, PromptRecord, VolumeRecord
from sammoe.volume.field import Field
from sammoe.volume.window import Window, WindowRule
from tests.records import volume_record

RULE = WindowRule(
    side=32,
    patch=8,
    spacings=(1.5, 3.0),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
)
START = (40, 40, 40)
MIDDLE = 84.0
"""Source index along each axis of the middle of the parent's window: its 48 mm begin at 60 mm."""


@pytest.fixture
def volume(store: LocalStore) -> VolumeRecord:
    """A large MR volume of 1 mm."""
    return volume_record(store, shape=(200, 180, 160))


@pytest.fixture
def parent() -> Parent:
    """A segmentation with one click in a window of 48 mm, all of it in the mask."""
    window = Window(1.5, START, 32)
    prompt = PromptRecord(points=((MIDDLE,) * 3,), labels=(1,))
    return Parent(prompt, window, Field.of_window(window, np.ones((RULE.cells,) * 3, np.float32)))


def windows(
    volume: VolumeRecord, parent: Parent | None, prompt: Prompt, limit: int = 8
) -> list[Window]:
    new = prompt.to_index(volume.geometry)
    together = merge(parent.prompt if parent else None, new)
    return first_windows(volume, parent, new, together, RULE, limit)


def click(x: float, y: float = MIDDLE, z: float = MIDDLE, *, positive: bool = True) -> Prompt:
    return Prompt((Point(x, y, z, positive=positive),))


@pytest.mark.parametrize("x", [66.1, 84.0, 101.4])
def test_click_well_inside_stays(volume: VolumeRecord, parent: Parent, x: float) -> None:
    assert windows(volume, parent, click(x)) == [parent.window]


@pytest.mark.parametrize(
    ("x", "start"), [(65.0, 24), (60.0, 24), (103.0, 56), (107.4, 56), (150.0, 88), (20.0, 0)]
)
def test_click_in_the_outer_quarter_or_beyond_takes_another_window(
    volume: VolumeRecord, parent: Parent, x: float, start: int
) -> None:
    # On the other axes it stays where it was.
    assert windows(volume, parent, click(x)) == [Window(1.5, (start, 40, 40), 32)]


def test_where_the_volume_ends_there_is_no_other_window(volume: VolumeRecord) -> None:
    window = Window(1.5, (0, 40, 40), 32)
    field = Field.of_window(window, np.ones((RULE.cells,) * 3, np.float32))
    at_the_end = Parent(PromptRecord(), window, field)
    assert windows(volume, at_the_end, click(1.0)) == [window]


def test_other_windows_lie_on_the_cells_of_the_first(volume: VolumeRecord) -> None:
    window = Window(1.5, (101, 40, 40), 32)
    field = Field.of_window(window, np.ones((RULE.cells,) * 3, np.float32))
    (found,) = windows(volume, Parent(PromptRecord(), window, field), click(70.0))
    assert found.start == (33, 40, 40)
    assert field.holds(found)


def test_points_that_no_window_holds_take_several(volume: VolumeRecord) -> None:
    apart = Prompt((Point(30, 80, 80), Point(170, 80, 80)))
    found = windows(volume, None, apart)
    assert len(found) == 3
    assert [window.start[0] for window in found] == [48, 8, 96]
    with pytest.raises(OutsideWindow, match="more than 2 windows") as caught:
        windows(volume, None, apart, limit=2)
    assert caught.value.pointer == "/points/1"


def test_negative_points_of_a_first_prompt_take_none(volume: VolumeRecord) -> None:
    here, there = Point(30, 80, 80), Point(170, 80, 80, positive=False)
    assert len(windows(volume, None, Prompt((here, there)))) == 1


def test_negative_click_far_from_the_mask_is_refused(volume: VolumeRecord, parent: Parent) -> None:
    assert windows(volume, parent, click(115.0, positive=False))
    with pytest.raises(OnlyNegative, match="nothing to take away"):
        windows(volume, parent, click(170.0, positive=False))


def test_refinement_without_a_new_prompt_stays(volume: VolumeRecord, parent: Parent) -> None:
    assert windows(volume, parent, Prompt()) == [parent.window]


def test_box_within_the_window_stays_and_another_moves_it(
    volume: VolumeRecord, parent: Parent
) -> None:
    inside = Prompt(box=((61.0, 70.0, 70.0), (106.0, 90.0, 90.0)))
    assert windows(volume, parent, inside) == [parent.window]
    (moved,) = windows(volume, parent, Prompt(box=((90.0, 70.0, 70.0), (130.0, 90.0, 90.0))))
    assert moved.start == (56, 40, 40)


def test_spacing_may_be_said_with_a_first_prompt(volume: VolumeRecord) -> None:
    new = Prompt(box=((90.0, 70.0, 70.0), (100.0, 90.0, 90.0))).to_index(volume.geometry)
    (window,) = first_windows(volume, None, new, new, RULE, 8, 3.0)
    assert window.spacing == 3.0
    rule = replace(RULE, snap_mm=(12.0, 6.0))
    (window,) = first_windows(volume, None, new, new, rule, 8, 3.0)
    assert window.start[0] % 2 == 0
    with pytest.raises(InvalidInput, match=r"1\.5, 3 mm") as caught:
        first_windows(volume, None, new, new, RULE, 8, 2.0)
    assert caught.value.pointer == "/spacing"


def test_large_segmentation_is_not_refined_on_fine_cells(volume: VolumeRecord) -> None:
    window = Window(3.0, (0, 0, 0), 32)
    field = Field(3.0, 8, (0, 0, 0), np.broadcast_to(np.float32(1), (200,) * 3))
    parent = Parent(PromptRecord(), window, field)
    assert zoomed(volume, parent, 3.0, RULE) is parent
    with pytest.raises(TooLarge, match="take a larger spacing"):
        zoomed(volume, parent, 1.5, RULE)
