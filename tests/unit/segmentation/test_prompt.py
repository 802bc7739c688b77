"""Prompts: checked, brought to voxel index, and joined."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.errors import OnlyNegative, PointOutside, PromptEmpty, PromptInvalid, TooLarge
from sammoe.segmentation import MAX_POINTS, Point, Prompt, Space
from sammoe.segmentation.prompt import Triple, merge
from sammoe.store import PromptRecord
from sammoe.volume.geometry import Geometry

AFFINE: NDArray[np.float64] = np.array(
    [[0, -2.0, 0, 50], [1.5, 0, 0, -20], [0, 0, 3.0, 7], [0, 0, 0, 1]]
)
GEOMETRY = Geometry((10, 20, 30), AFFINE)


def clicks(*places: tuple[float, float, float], label: int = 1) -> PromptRecord:
    return PromptRecord(points=places, labels=(label,) * len(places))


@pytest.mark.parametrize("space", ["voxel", "ras", "lps"])
def test_every_space_names_the_same_voxel(space: Space) -> None:
    x, y, z = {"voxel": (3, 4, 5.5), "ras": (42, -15.5, 23.5), "lps": (-42, 15.5, 23.5)}[space]
    record = Prompt((Point(x, y, z), Point(x, y, z, positive=False)), space=space).to_index(
        GEOMETRY
    )
    np.testing.assert_allclose(record.points, [(3, 4, 5.5)] * 2)
    assert record.labels == (1, 0)


@pytest.mark.parametrize("place", [(-0.5, -0.5, -0.5), (9.5, 19.5, 29.5)])
def test_outer_faces_are_inside(place: tuple[float, float, float]) -> None:
    assert Prompt((Point(*place),)).to_index(GEOMETRY).points == (place,)


@pytest.mark.parametrize(
    "place",
    [(-0.51, 0, 0), (0, 19.6, 0), (0, 0, 30), (1e308, 0, 0), (0, -1e308, 1e308)],
)
@pytest.mark.parametrize("space", ["voxel", "ras", "lps"])
def test_point_outside_is_named(place: tuple[float, float, float], space: Space) -> None:
    if space != "voxel" and max(map(abs, place)) < 1e300:
        x, y, z = GEOMETRY.index_to_ras(np.array([place]))[0]
        place = (x, y, z) if space == "ras" else (-x, -y, z)
    inside = GEOMETRY.index_to_ras(np.array([[1, 1, 1]]))[0] * (-1, -1, 1)
    start = {"voxel": (1, 1, 1), "ras": inside * (-1, -1, 1), "lps": inside}[space]
    prompt = Prompt((Point(*start), Point(*place)), space=space)
    with pytest.raises(PointOutside) as caught:
        prompt.to_index(GEOMETRY)
    assert caught.value.pointer == "/points/1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_coordinates_must_be_finite(value: float) -> None:
    with pytest.raises(PromptInvalid, match="finite") as caught:
        Prompt((Point(1, 1, 1), Point(1, value, 1))).to_index(GEOMETRY)
    assert caught.value.pointer == "/points/1"
    with pytest.raises(PromptInvalid, match="finite") as caught:
        Prompt(box=((1, 1, 1), (2, 2, value))).to_index(GEOMETRY)
    assert caught.value.pointer == "/box/1"


def test_box_in_voxels_stays() -> None:
    assert Prompt(box=((1, 2, 3), (4, 5, 6))).to_index(GEOMETRY).box == ((1, 2, 3), (4, 5, 6))


def test_box_in_mm_is_the_one_around_it() -> None:
    lo, hi = np.sort(GEOMETRY.index_to_ras(np.array([[1, 2, 3], [4, 5, 6]])), axis=0).tolist()
    box = Prompt(box=(tuple(lo), tuple(hi)), space="ras").to_index(GEOMETRY).box
    assert box is not None
    np.testing.assert_allclose(box, [(1, 2, 3), (4, 5, 6)])


def test_oblique_box_is_cut_to_the_volume() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn
    geometry = Geometry((20, 20, 5), affine)
    lo, hi = (0.0, 1.0, 0.0), (0.1, 24.0, 4.0)
    box = Prompt(box=(lo, hi), space="ras").to_index(geometry).box
    assert box is not None
    np.testing.assert_allclose(box, [(0.6, 0.74, 0), (14.48, 19.2, 4)], atol=1e-9)


def test_corners_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(PromptInvalid, match="first corner") as caught:
        Prompt(box=((1, 2, 3), (4, 1, 6))).to_index(GEOMETRY)
    assert caught.value.pointer == "/box"


def test_corner_outside_is_named() -> None:
    with pytest.raises(PointOutside) as caught:
        Prompt(box=((1, 2, 3), (4, 5, 31))).to_index(GEOMETRY)
    assert caught.value.pointer == "/box/1"


def test_number_of_points_is_bounded() -> None:
    points = tuple(Point(1, 1, n / MAX_POINTS) for n in range(MAX_POINTS + 1))
    with pytest.raises(TooLarge) as caught:
        Prompt(points).to_index(GEOMETRY)
    assert caught.value.pointer == "/points"
    many = Prompt(points[:-1]).to_index(GEOMETRY)
    with pytest.raises(TooLarge):
        merge(many, clicks((2, 2, 2)))
    assert len(merge(many, clicks((1, 1, 0))).points) == MAX_POINTS


def test_clicks_are_joined_in_order() -> None:
    joined = merge(clicks((1, 1, 1), (2, 2, 2)), clicks((3, 3, 3), label=0))
    assert joined.points == ((1, 1, 1), (2, 2, 2), (3, 3, 3))
    assert joined.labels == (1, 1, 0)


@pytest.mark.fault("S16")
def test_click_at_the_same_place_replaces_the_earlier_one() -> None:
    joined = merge(clicks((1, 1, 1), (2, 2, 2)), clicks((1, 1, 1), label=0))
    assert joined.points == ((2, 2, 2), (1, 1, 1))
    assert joined.labels == (1, 0)
    assert merge(None, clicks((1, 1, 1), (1, 1, 1))) == clicks((1, 1, 1))


def test_new_box_replaces_the_old_one() -> None:
    old, new = ((1.0, 1.0, 1.0), (2.0, 2.0, 2.0)), ((3.0, 3.0, 3.0), (4.0, 4.0, 4.0))
    before = PromptRecord(box=old)
    assert merge(before, clicks((1, 1, 1))).box == old
    assert merge(before, PromptRecord(box=new)).box == new


def test_first_prompt_must_show_something() -> None:
    with pytest.raises(PromptEmpty):
        merge(None, PromptRecord())
    with pytest.raises(OnlyNegative):
        merge(None, clicks((1, 1, 1), label=0))
    with pytest.raises(OnlyNegative):
        merge(None, PromptRecord(points=((1, 1, 1), (1, 1, 1)), labels=(1, 0)))


def test_refinement_may_be_negative_or_nothing_at_all() -> None:
    before = clicks((1, 1, 1))
    assert merge(before, PromptRecord()) == before
    assert merge(before, clicks((2, 2, 2), label=0)).labels == (1, 0)


def test_negative_points_may_cut_a_box() -> None:
    box = ((1.0, 1.0, 1.0), (2.0, 2.0, 2.0))
    prompt = PromptRecord(points=((1, 1, 1),), labels=(0,), box=box)
    assert merge(None, prompt) == prompt


@pytest.mark.parametrize(
    ("box", "becomes"),
    [
        # 20 x 40 mm in a slice of 2 mm: 30 mm deep, that is 15 slices.
        (((10.0, 10.0, 20.0), (29.0, 49.0, 20.0)), ((10.0, 10.0, 13.0), (29.0, 49.0, 27.0))),
        (((10.0, 10.0, 3.0), (29.0, 49.0, 3.0)), ((10.0, 10.0, -0.5), (29.0, 49.0, 10.0))),
        (((30.0, 10.0, 10.0), (30.0, 19.0, 19.0)), ((23.0, 10.0, 10.0), (37.0, 19.0, 19.0))),
        (((10.0, 10.0, 20.0), (29.0, 49.0, 21.0)), ((10.0, 10.0, 20.0), (29.0, 49.0, 21.0))),
        (((10.0, 10.0, 20.0), (10.0, 10.0, 29.0)), ((10.0, 10.0, 20.0), (10.0, 10.0, 29.0))),
        (((10.0, 10.0, 20.0), (11.0, 11.0, 20.0)), ((10.0, 10.0, 20.0), (11.0, 11.0, 20.0))),
    ],
)
def test_a_box_drawn_in_one_slice_gets_a_depth(
    box: tuple[Triple, Triple], becomes: tuple[Triple, Triple]
) -> None:
    geometry = Geometry((60, 60, 60), np.diag([1.0, 1.0, 2.0, 1.0]))
    record = Prompt(box=box).to_index(geometry)
    assert record.box is not None
    np.testing.assert_allclose(np.array(record.box), np.array(becomes))
