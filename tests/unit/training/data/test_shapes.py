"""Random shapes: many structures, nested ones with their wholes."""

import numpy as np

from sammoe.training.data.shapes import shapes


def test_shapes_are_the_seeds_and_many() -> None:
    one, same = shapes(np.random.default_rng(4)), shapes(np.random.default_rng(4))
    assert np.array_equal(one.labels, same.labels)
    assert one.labels.shape == (96, 96, 96)
    assert one.spacing_mm == 1.5
    assert 8 <= len(np.unique(one.labels)) <= 40
    assert one.tissue is None


def test_a_whole_holds_what_is_nested_in_it() -> None:
    seen = 0
    for seed in range(12):
        source = shapes(np.random.default_rng(seed))
        assert set(np.unique(source.labels).tolist()) <= set(source.weights) | {0}
        for whole, (outer, inner) in source.unions.items():
            total = source.mask(source.labels, whole).sum()
            parts = [source.mask(source.labels, k).sum() for k in (outer, inner)]
            assert total == sum(parts)
            seen += int(all(parts))
    assert seen > 5


def test_some_maps_have_background_and_some_are_full() -> None:
    empty = [(shapes(np.random.default_rng(s)).labels == 0).mean() for s in range(12)]
    assert min(empty) == 0
    assert max(empty) > 0.1
