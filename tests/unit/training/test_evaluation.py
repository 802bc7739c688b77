import numpy as np
import pytest

from sammoe.training.evaluation import (
    Index,
    Mask,
    User,
    bounding_box,
    box_score,
    dice,
    filled_box_score,
    interact,
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


def test_dice_and_its_edges() -> None:
    mask = target()
    assert dice(mask, mask) == 1
    assert dice(mask, ~mask) == 0
    assert np.isnan(dice(np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)))


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
