"""Heads that hold a real hippocampus: image and labels stay together."""

import numpy as np
import pytest

from sammoe.training.data import brain_labels
from sammoe.training.data.labelmap import LabelMap
from studies.heads import HEAD_CLASSES, head_with_crop

_LEFT_HIPPOCAMPUS, _RIGHT_HIPPOCAMPUS, _THALAMUS, _WHITE = 17, 53, 10, 2


@pytest.fixture
def brain() -> LabelMap:
    labels = np.full((64, 64, 48), brain_labels.code(_WHITE), np.uint8)
    labels[12:18, 20:40, 14:20] = brain_labels.code(_LEFT_HIPPOCAMPUS)
    labels[46:52, 20:40, 14:20] = brain_labels.code(_RIGHT_HIPPOCAMPUS)
    labels[26:31, 26:36, 30:36] = brain_labels.code(_THALAMUS)
    return LabelMap(labels, 1.5, brain_labels.names(), brain_labels.weights(), kind="brain")


def crop() -> tuple[np.ndarray, np.ndarray]:
    """A bright bar of 8 x 24 x 8 mm in a dark box, its front third anterior."""
    image, human = np.full((30, 44, 30), 20, np.float32), np.zeros((30, 44, 30), np.uint8)
    human[11:19, 10:26, 11:19] = 2
    human[11:19, 26:34, 11:19] = 1
    image[human > 0] = 200
    return image, human


def test_pasted_labels_lie_at_a_hippocampus_and_keep_their_size(brain: LabelMap) -> None:
    image, human = crop()
    head, marked = head_with_crop(brain, image, human, np.random.default_rng(0))
    assert head.shape == marked.shape == brain.labels.shape
    for value in (1, 2):
        ml = (marked == value).sum() * 1.5**3
        assert ml == pytest.approx((human == value).sum(), rel=0.25)
    places = np.argwhere((marked == 1) | (marked == 2)).mean(0)
    old = brain.labels == brain_labels.code(_LEFT_HIPPOCAMPUS)
    if places[0] > 32:
        old = brain.labels == brain_labels.code(_RIGHT_HIPPOCAMPUS)
    assert np.abs(places - np.argwhere(old).mean(0)).max() < 2
    assert np.argwhere(marked == 1)[:, 1].min() > np.argwhere(marked == 2)[:, 1].mean()


def test_what_was_pasted_is_seen_in_the_image(brain: LabelMap) -> None:
    image, human = crop()
    head, marked = head_with_crop(brain, image, human, np.random.default_rng(1))
    inside = (marked == 1) | (marked == 2)
    around = np.zeros_like(inside)
    spans = [slice(i.min() - 3, i.max() + 4) for i in np.nonzero(inside)]
    around[tuple(spans)] = True
    assert head[inside].mean() > head[around & ~inside].mean() + head[around].std() / 2


def test_general_structures_keep_their_labels_where_nothing_was_pasted(brain: LabelMap) -> None:
    image, human = crop()
    _, marked = head_with_crop(brain, image, human, np.random.default_rng(2))
    thalamus = 10 + list(HEAD_CLASSES.values()).index(_THALAMUS)
    np.testing.assert_array_equal(marked == thalamus, brain.labels == brain_labels.code(_THALAMUS))


def test_a_hippocampus_at_the_border_is_cut_not_wrapped(brain: LabelMap) -> None:
    labels = np.roll(brain.labels, -10, axis=0)
    edge = LabelMap(labels, 1.5, brain.names, brain.weights, kind="brain")
    image, human = crop()
    for seed in range(4):
        _, marked = head_with_crop(edge, image, human, np.random.default_rng(seed))
        assert not ((marked[-6:] == 1) | (marked[-6:] == 2)).any()
