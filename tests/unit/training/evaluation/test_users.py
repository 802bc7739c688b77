import numpy as np
import pytest

from sammoe.training.evaluation.metrics import Mask
from sammoe.training.evaluation.users import (
    Index,
    User,
    anywhere,
    bounding_box,
    box_score,
    draw_box,
    filled_box_score,
    interact,
    next_click,
    rng_of,
)

SHAPE = (20, 20, 20)


def target() -> Mask:
    mask = np.zeros(SHAPE, bool)
    mask[4:14, 5:15, 6:16] = True
    return mask


class Painter:
    """A session that paints or wipes a cube around each click, and remembers the clicks."""

    def __init__(self, reach: int = 3) -> None:
        self.shown = np.zeros(SHAPE, bool)
        self.clicks: list[tuple[Index, bool]] = []
        self.reach = reach
        self.within: Mask | None = None

    async def click(self, index: Index, positive: bool) -> Mask:
        self.clicks.append((index, positive))
        around = tuple(slice(max(0, int(i) - self.reach), int(i) + self.reach + 1) for i in index)
        self.shown[around] = positive
        return self.shown.copy()

    async def box(self, lo: Index, hi: Index) -> Mask:
        inside = tuple(slice(int(a), int(b) + 1) for a, b in zip(lo, hi, strict=True))
        self.shown[inside] = True
        return self.shown.copy()

    def reachable(self, shape: tuple[int, ...]) -> Mask:
        return np.ones(shape, bool) if self.within is None else self.within


@pytest.mark.parametrize("careful", [True, False])
async def test_clicks_correct_what_is_shown(careful: bool) -> None:
    session, wanted = Painter(), target()
    scores = await interact(
        session, wanted, (1, 1, 1), User(careful, clicks=6), np.random.default_rng(0)
    )
    assert len(scores) == 6
    assert scores[-1] > scores[0]
    assert all(positive == wanted[tuple(map(int, i))] for i, positive in session.clicks)


async def test_a_careful_user_starts_in_the_middle_in_millimetres() -> None:
    session, wanted = Painter(), np.zeros(SHAPE, bool)
    wanted[2:7, 2:7, 2:7] = True
    wanted[12:16, 12:16, 2:19] = True
    rng = np.random.default_rng(0)
    await interact(session, wanted, (4.0, 4.0, 0.5), User(True, clicks=1), rng)
    await interact(session, wanted, (1.0, 1.0, 4.0), User(True, clicks=1), rng)
    (first, _), (second, _) = session.clicks
    assert wanted[tuple(map(int, first))]
    assert first[0] >= 12
    assert second[0] <= 7


async def test_a_perfect_mask_gets_one_more_click_inside() -> None:
    session, wanted = Painter(reach=0), np.zeros(SHAPE, bool)
    wanted[3, 3, 3] = True
    scores = await interact(session, wanted, (1, 1, 1), User(True, 2), np.random.default_rng(0))
    assert scores == [1, 1]
    assert session.clicks == [((3.0, 3.0, 3.0), True)] * 2


async def test_boxes() -> None:
    wanted = target()
    assert bounding_box(wanted) == ((4, 5, 6), (13, 14, 15))
    assert await box_score(Painter(), wanted) == filled_box_score(wanted) == 1


@pytest.mark.parametrize("careful", [True, False])
async def test_clicks_stay_where_the_session_takes_them(careful: bool) -> None:
    session, wanted = Painter(reach=0), target()
    session.within = np.zeros(SHAPE, bool)
    session.within[:8] = True
    await interact(session, wanted, (1, 1, 1), User(careful, 4), np.random.default_rng(0))
    assert all(session.within[tuple(map(int, i))] for i, _ in session.clicks)


def test_boxes_are_drawn_as_asked() -> None:
    wanted = np.zeros((60, 60, 60), bool)
    wanted[20:40, 10:30, 15:45] = True
    exact = np.array(bounding_box(wanted))
    side = np.array([20, 20, 30])
    assert draw_box(wanted, "box", rng_of(0)) == bounding_box(wanted)
    drawn = [np.array(draw_box(wanted, "jitter", rng_of(n))) for n in range(50)]
    off = (drawn - exact) / side
    assert np.abs(off).max() <= 0.1
    assert off.min() < -0.08
    assert off.max() > 0.08
    drawn = [np.array(draw_box(wanted, "loose", rng_of(n))) for n in range(50)]
    outwards = (drawn - exact) * np.array([[[-1]], [[1]]]).reshape(2, 1) / side
    assert outwards.min() >= 0
    assert outwards.max() <= 0.2
    assert outwards.mean() == pytest.approx(0.1, abs=0.02)


def test_drawn_boxes_stay_in_the_volume_and_have_their_corners_in_order() -> None:
    wanted = np.zeros((5, 30, 30), bool)
    wanted[:, 3, 0:30] = True
    for number in range(30):
        lo, hi = np.array(draw_box(wanted, "jitter", rng_of(number)))
        assert (lo <= hi).all()
        assert (lo >= -0.5).all()
        assert (hi <= np.array(wanted.shape) - 0.5).all()


def test_random_numbers_are_a_function_of_words() -> None:
    assert rng_of("a", 1).random() == rng_of("a", 1).random()
    assert rng_of("a", 1).random() != rng_of("a", 2).random()


def test_anywhere_reaches_every_voxel() -> None:
    places = np.zeros(SHAPE, bool)
    places[3:5, 7, 9:11] = True
    found = {anywhere(places, rng_of(number)) for number in range(60)}
    assert found == {(x, 7.0, z) for x in (3.0, 4.0) for z in (9.0, 10.0)}


@pytest.mark.parametrize("careful", [True, False])
@pytest.mark.parametrize("shown", [np.zeros(SHAPE, bool), target()])
def test_a_user_whose_window_was_led_away_clicks_the_target_elsewhere(
    careful: bool, shown: Mask
) -> None:
    reach = np.zeros(SHAPE, bool)
    reach[0:2, 0:2, 0:2] = True
    index, positive = next_click(
        shown, target(), reach, (1.0, 1.0, 1.0), rng_of("none in reach"), careful=careful
    )
    assert target()[tuple(int(i) for i in index)]
    assert positive
