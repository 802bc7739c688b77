"""From a prompt and its history to a window and the decoder's inputs."""

from dataclasses import replace

import numpy as np
import pytest

from sammoe.engine import LOGIT_LIMIT, Route
from sammoe.errors import Conflict, InvalidInput, OutsideWindow
from sammoe.segmentation import Point, Prompt
from sammoe.segmentation.mapped_boxes import box_as_click_and_prior
from sammoe.segmentation.planning import Parent, answer, plan, window_to_warm
from sammoe.store import LocalStore, VolumeRecord
from sammoe.volume.field import Field
from sammoe.volume.volume import Modality
from sammoe.volume.window import Window, WindowRule, window_for_box
from tests.records import volume_record

RULE = WindowRule(
    side=32,
    patch=8,
    spacings=(1.5, 3.0),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
)
CELLS = RULE.cells
SHAPE = (200, 180, 160)


@pytest.fixture
def volume(store: LocalStore) -> VolumeRecord:
    """A large MR volume of 1 mm."""
    return volume_record(store, shape=SHAPE)


@pytest.fixture
def parent(volume: VolumeRecord) -> Parent:
    """A segmentation with one click in a window of 48 mm."""
    window = Window(1.5, (40, 40, 40), 32)
    prompt = Prompt((Point(80, 80, 80),)).to_index(volume.geometry)
    block = np.full((CELLS, CELLS, CELLS), 50.0, np.float32)
    return Parent(prompt, window, Field.of_window(window, block))


def test_first_click_takes_the_modality_s_spacing(volume: VolumeRecord) -> None:
    prompt = Prompt((Point(100, 90, 80),))
    planned = plan(volume, None, prompt, RULE, boxes=True)
    assert planned.window.spacing == 1.5
    ct = volume.model_copy(update={"modality": Modality.CT})
    assert plan(ct, None, prompt, RULE, boxes=True).window.spacing == 3.0


def test_decoder_sees_the_click_in_the_window(volume: VolumeRecord) -> None:
    planned = plan(volume, None, Prompt((Point(100, 90, 80),)), RULE, boxes=True)
    place = (np.array([100, 90, 80]) + 0.5) / 1.5 - 0.5 - planned.window.start
    np.testing.assert_allclose(planned.inputs.coords[0], np.stack([place, np.zeros(3)]), atol=1e-5)
    np.testing.assert_array_equal(planned.inputs.labels, [[1, -1]])
    assert not planned.inputs.mask.any()


def test_several_first_clicks_share_the_window_of_their_middle(volume: VolumeRecord) -> None:
    one = plan(volume, None, Prompt((Point(100, 90, 80),)), RULE, boxes=True)
    pair = (Point(90, 90, 80), Point(110, 90, 80), Point(100, 80, 80, positive=False))
    assert plan(volume, None, Prompt(pair), RULE, boxes=True).window == one.window


def test_first_click_outside_of_the_others_window_is_named(volume: VolumeRecord) -> None:
    points = (Point(100, 90, 80), Point(100, 90, 150, positive=False))
    with pytest.raises(OutsideWindow, match="48 mm window") as caught:
        plan(volume, None, Prompt(points), RULE, boxes=True)
    assert caught.value.pointer == "/points/1"


@pytest.mark.parametrize(("size", "spacing"), [(20, 1.5), (70, 3.0)])
def test_box_takes_the_smallest_window_that_holds_it(
    volume: VolumeRecord, size: int, spacing: float
) -> None:
    lo, hi = (50.0, 50.0, 50.0), (50.0 + size, 60.0, 60.0)
    planned = plan(volume, None, Prompt(box=(lo, hi)), RULE, boxes=True)
    expected = window_for_box(volume.geometry, lo, hi, volume.modality, RULE)
    assert planned.window == expected
    assert planned.window.spacing == spacing
    np.testing.assert_array_equal(planned.inputs.labels, [[2, 3]])


def test_box_corners_ascend_in_the_window_whatever_the_axes(store: LocalStore) -> None:
    affine = ((-1.0, 0.0, 0.0, 100.0), (0.0, 0.0, 1.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0, 0, 0, 1.0))
    volume = volume_record(store, shape=SHAPE, affine=affine)
    box = ((50.0, 51.0, 52.0), (60.0, 62.0, 64.0))
    lo, hi = plan(volume, None, Prompt(box=box), RULE, boxes=True).inputs.coords[0]
    np.testing.assert_allclose(hi - lo, np.array([10, 12, 11]) / 1.5, atol=1e-4)


def test_box_larger_than_every_window_is_clipped(volume: VolumeRecord) -> None:
    box = ((0.0, 0.0, 0.0), (199.0, 179.0, 159.0))
    planned = plan(volume, None, Prompt(box=box), RULE, boxes=True)
    assert planned.window.spacing == 3.0
    np.testing.assert_array_equal(planned.inputs.coords[0], [[-0.5] * 3, [31.5] * 3])


def test_box_is_mapped_for_decoders_that_know_none(volume: VolumeRecord) -> None:
    prompt = Prompt((Point(95, 90, 84, positive=False),), ((90.0, 84.0, 78.0), (105.0, 99.0, 93.0)))
    native = plan(volume, None, prompt, RULE, boxes=True)
    mapped = plan(volume, None, prompt, RULE, boxes=False)
    assert (mapped.window, mapped.prompt) == (native.window, native.prompt)
    np.testing.assert_array_equal(mapped.inputs.labels, [[0, 1, -1]])
    lo, hi = native.inputs.coords[0, 1:].astype(np.float64)
    click, prior = box_as_click_and_prior((lo, hi), RULE)
    np.testing.assert_allclose(mapped.inputs.coords[0, 1], click, atol=1e-5)
    np.testing.assert_allclose(mapped.inputs.mask[0, 0], prior, atol=1e-3)


def test_mapped_box_is_the_prior_only_in_the_request_that_brings_it(
    volume: VolumeRecord, parent: Parent
) -> None:
    box = ((70.0, 70.0, 70.0), (85.0, 85.0, 85.0))
    brought = plan(volume, parent, Prompt(box=box), RULE, boxes=False)
    assert brought.inputs.mask.min() < 0
    np.testing.assert_array_equal(brought.inputs.labels, [[1, 1, -1]])
    boxed = replace(parent, prompt=brought.prompt)
    later = plan(volume, boxed, Prompt((Point(75, 75, 75),)), RULE, boxes=False)
    np.testing.assert_array_equal(later.inputs.mask, LOGIT_LIMIT)
    np.testing.assert_array_equal(later.inputs.labels, [[1, 1, 1, -1]])
    np.testing.assert_array_equal(later.inputs.coords[0, 2], brought.inputs.coords[0, 1])


def test_refinement_stays_in_the_window_with_all_clicks(
    volume: VolumeRecord, parent: Parent
) -> None:
    more = Prompt((Point(95, 95, 95, positive=False),))
    planned = plan(volume, parent, more, RULE, boxes=True)
    assert planned.window == parent.window
    assert planned.prompt.points == ((80, 80, 80), (95, 95, 95))
    np.testing.assert_array_equal(planned.inputs.labels, [[1, 0, -1]])


def test_prior_is_the_parent_s_answer_clipped(volume: VolumeRecord, parent: Parent) -> None:
    planned = plan(volume, parent, Prompt(), RULE, boxes=True)
    np.testing.assert_array_equal(planned.inputs.mask, LOGIT_LIMIT)


@pytest.mark.parametrize(
    ("prompt", "pointer"),
    [
        (Prompt((Point(80, 80, 81), Point(120, 80, 80))), "/points/1"),
        (Prompt(box=((120.0, 80.0, 80.0), (130.0, 90.0, 90.0))), "/box"),
        (Prompt(box=((10.0, 80.0, 80.0), (50.0, 90.0, 90.0))), "/box"),
    ],
)
def test_refinement_outside_of_the_window_is_named(
    volume: VolumeRecord, parent: Parent, prompt: Prompt, pointer: str
) -> None:
    with pytest.raises(OutsideWindow, match="start a new segmentation") as caught:
        plan(volume, parent, prompt, RULE, boxes=True)
    assert caught.value.pointer == pointer


def test_box_across_the_window_s_face_is_clipped(volume: VolumeRecord, parent: Parent) -> None:
    box = Prompt(box=((80.0, 80.0, 80.0), (150.0, 90.0, 90.0)))
    planned = plan(volume, parent, box, RULE, boxes=True)
    assert planned.inputs.coords[0, -1, 0] == 31.5


@pytest.mark.parametrize(
    ("window", "cells"),
    [
        (Window(2.0, (40, 40, 40), 32), CELLS),
        (Window(1.5, (40, 40, 40), 48), CELLS),
        (Window(1.5, (40, 40, 40), 32), CELLS // 2),
    ],
)
def test_parent_of_another_bundle_is_a_conflict(
    volume: VolumeRecord, parent: Parent, window: Window, cells: int
) -> None:
    field = Field.of_window(window, np.zeros((cells, cells, cells), np.float32))
    other = Parent(parent.prompt, window, field)
    with pytest.raises(Conflict) as caught:
        plan(volume, other, Prompt(), RULE, boxes=True)
    assert caught.value.pointer == "/parent"


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (Route(used="cord", fused=True), "fused"),
        (Route(used="cord"), "expert"),
        (Route(used="general"), "general"),
        (Route(used="general", top="cord", check="rejected"), "general"),
    ],
)
def test_answer_is_what_the_route_says(route: Route, name: str) -> None:
    names = ("general", "expert", "fused")
    candidates = {n: np.full((2, 2, 2), i, np.float32) for i, n in enumerate(names)}
    assert answer(candidates, route) is candidates[name]


def test_middle_is_warmed_without_a_prompt(volume: VolumeRecord) -> None:
    middle = plan(volume, None, Prompt((Point(99.5, 89.5, 79.5),)), RULE, boxes=True)
    assert window_to_warm(volume, None, None, RULE) == middle.window
    assert window_to_warm(volume, None, 3.0, RULE).spacing == 3.0


def test_window_of_the_click_is_warmed(volume: VolumeRecord) -> None:
    prompt = Prompt((Point(30, 40, 50),))
    assert window_to_warm(volume, prompt, None, RULE) == (
        plan(volume, None, prompt, RULE, boxes=True).window
    )
    assert window_to_warm(volume, prompt, 3.0, RULE).spacing == 3.0


@pytest.mark.parametrize(
    ("prompt", "spacing"), [(None, 2.0), (Prompt(box=((1.0, 1, 1), (9.0, 9, 9))), 2.0)]
)
def test_spacing_must_be_the_bundle_s_and_not_beside_a_box(
    volume: VolumeRecord, prompt: Prompt | None, spacing: float
) -> None:
    with pytest.raises(InvalidInput, match=r"1\.5, 3 mm") as caught:
        window_to_warm(volume, prompt, spacing, RULE)
    assert caught.value.pointer == "/spacing"
