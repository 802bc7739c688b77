import numpy as np
import pytest

from sammoe.training.data.labelmap import LabelMap, Tissue
from sammoe.training.sampling import LabelMapSampler, box_of, click_in, occupancy, reorient
from tests.unit.training.small import CELLS, RULE, SIDE


def ball(side: int = 48, radius: float = 12.0) -> np.ndarray:
    grid = np.indices((side,) * 3) - (side - 1) / 2
    return np.asarray(np.square(grid).sum(0) < radius**2)


@pytest.fixture
def labels() -> LabelMap:
    field = np.ones((48, 48, 48), np.uint8)
    field[ball()] = 2
    tissue = {1: Tissue(-90, 5), 2: Tissue(60, 5)}
    return LabelMap(field, 2.5, {2: "ball"}, {2: 1.0}, tissue=tissue, kind="torso")


def test_samples_show_the_structure_where_click_and_box_say(labels: LabelMap) -> None:
    sampler, rng = LabelMapSampler([labels], RULE, prompts=2), np.random.default_rng(0)
    drawn = [s for s in (sampler.draw(rng) for _ in range(30)) if s is not None]
    assert len(drawn) > 10
    for sample in drawn:
        assert sample.image.shape == (SIDE,) * 3
        assert np.isfinite(sample.image).all()
        assert sample.targets.shape == (2, CELLS, CELLS, CELLS)
        for target, click, box in zip(sample.targets, sample.clicks, sample.boxes, strict=True):
            cell = np.clip((click + 0.5) * CELLS / SIDE, 0, CELLS - 1).astype(int)
            assert target[tuple(cell)] > 0
            assert (click >= box[:3] - 0.5).all()
            assert (click <= box[3:] + 0.5).all()


def test_windows_come_from_the_serving_lattice_so_targets_are_off_centre(labels: LabelMap) -> None:
    sampler, rng = LabelMapSampler([labels], RULE, prompts=1), np.random.default_rng(1)
    drawn = [s for s in (sampler.draw(rng) for _ in range(40)) if s is not None]
    middles = np.array([(s.boxes[0, :3] + s.boxes[0, 3:]) / 2 - (SIDE - 1) / 2 for s in drawn])
    assert np.abs(middles).max() > 1.5


def test_occupancy_is_the_share_of_each_cell() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[:4, :4, :2] = True
    mask[4, 4, 4] = True
    share = occupancy(mask, 2)
    assert share.shape == (2, 2, 2)
    assert share[0, 0, 0] == 0.5
    assert share[1, 1, 1] == pytest.approx(1 / 64)
    assert share.sum() * 64 == pytest.approx(mask.sum())


def test_box_holds_first_and_last_voxel() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[1:3, 2:7, 5] = True
    assert box_of(mask).tolist() == [1, 2, 5, 2, 6, 5]


def test_first_clicks_are_inside(labels: LabelMap) -> None:
    mask, rng = ball(), np.random.default_rng(0)
    for _ in range(20):
        assert mask[tuple(np.rint(click_in(mask, rng)).astype(int))]


def test_reorienting_keeps_cubes_together() -> None:
    cube, rng = np.arange(27).reshape(3, 3, 3), np.random.default_rng(0)
    for _ in range(10):
        first, second = reorient([cube, cube + 100], rng)
        assert (second - first == 100).all()
        assert sorted(first.ravel()) == list(range(27))
