import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.errors import StructuresOverlap
from sammoe.volume.paste import Pasted, cut
from sammoe.volume.structures import MAX_LAYERS, Merge, label_map, layers, merged

SHAPE = (6, 5, 4)


def block(first: int, last: int) -> Pasted:
    """Planes i = first .. last."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[first : last + 1] = True
    return cut(mask)


EMPTY = cut(np.zeros(SHAPE, np.bool_))
CLAIMS = [block(0, 2), block(2, 4), block(4, 5)]


def planes(masks: list[Pasted]) -> list[list[int]]:
    return [np.flatnonzero(mask.full(SHAPE).any(axis=(1, 2))).tolist() for mask in masks]


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("overlap", [[0, 1, 2], [2, 3, 4], [4, 5]]),
        ("keep_existing", [[0, 1, 2], [3, 4], [5]]),
        ("overwrite", [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_shared_voxels_go_where_merge_says(merge: Merge, expected: list[list[int]]) -> None:
    assert planes(merged(CLAIMS, SHAPE, merge)) == expected
    assert planes(CLAIMS) == [[0, 1, 2], [2, 3, 4], [4, 5]]


@pytest.mark.parametrize("merge", ["keep_existing", "overwrite"])
def test_merged_masks_share_nothing_and_lose_nothing(merge: Merge) -> None:
    rng = np.random.default_rng(1)
    masks = [cut(rng.random(SHAPE) > 0.5) for _ in range(5)]
    settled: NDArray[np.int64] = np.sum([m.full(SHAPE) for m in merged(masks, SHAPE, merge)], 0)
    assert settled.max() == 1
    assert np.array_equal(settled > 0, np.any([m.full(SHAPE) for m in masks], 0))


def test_a_mask_may_lose_all() -> None:
    kept, lost = merged([block(0, 5), block(2, 3)], SHAPE, "keep_existing")
    assert kept.mask.all()
    assert (lost.mask.size, lost.offset) == (0, (0, 0, 0))


def test_a_label_map_numbers_in_order() -> None:
    numbers = label_map([block(0, 1), EMPTY, block(3, 3)], SHAPE)
    assert numbers.dtype == np.uint8
    assert numbers[:, 0, 0].tolist() == [1, 1, 0, 3, 0, 0]


def test_a_label_map_of_what_overlaps_is_refused() -> None:
    with pytest.raises(StructuresOverlap, match="Structures 2 and 3 share 20 voxels"):
        label_map([EMPTY, *CLAIMS[:2]], SHAPE)


def test_layers_are_as_few_as_can_be() -> None:
    maps, where = layers(CLAIMS, SHAPE)
    assert where == [0, 1, 0]
    assert maps[:, :, 0, 0].tolist() == [[1, 1, 1, 0, 3, 3], [0, 0, 2, 2, 2, 0]]


def test_there_are_not_more_layers_than_memory_for_them() -> None:
    layers([block(0, 1)] * MAX_LAYERS, SHAPE)
    with pytest.raises(StructuresOverlap, match="More than 8"):
        layers([block(0, 1)] * (MAX_LAYERS + 1), SHAPE)
