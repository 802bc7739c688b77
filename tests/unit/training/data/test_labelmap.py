"""Label maps: unions, and targets drawn by weight and size."""

import numpy as np
import pytest

from sammoe.training.data.labelmap import LabelMap


@pytest.fixture
def source() -> LabelMap:
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:5] = 1
    labels[5:8] = 2
    labels[9, 9, 9] = 3
    weights = {1: 1.0, 2: 3.0, 3: 5.0, 200: 0.0}
    return LabelMap(labels, 2.0, {1: "a", 2: "b", 3: "c", 200: "ab"}, weights, {200: (1, 2)})


def test_a_union_is_the_sum_of_its_labels(source: LabelMap) -> None:
    assert source.mask(source.labels, 200).sum() == 800
    assert source.mask(source.labels, 2).sum() == 300
    assert source.members(200) == (1, 2)
    assert source.members(1) == (1,)
    assert source.targets == (1, 2, 3, 200)


def test_targets_come_by_weight_and_not_when_too_small_or_too_large(source: LabelMap) -> None:
    rng = np.random.default_rng(0)
    drawn = [source.draw_target(source.labels, rng) for _ in range(400)]
    assert set(drawn) == {1, 2}
    assert 0.68 < drawn.count(2) / 400 < 0.82
    assert source.draw_target(source.labels, rng, largest=0.4) == 2


def test_no_target_in_an_empty_window(source: LabelMap) -> None:
    rng = np.random.default_rng(0)
    assert source.draw_target(np.zeros((4, 4, 4), np.uint8), rng) is None
