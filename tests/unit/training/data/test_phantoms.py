"""Torsos: the organs are there, where they belong and about as large as in people."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.training.data import anatomy
from sammoe.training.data.anatomy import Part
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.phantoms import torso
from sammoe.training.data.tissues import TISSUE

_SEEDS = (1, 2, 3)
_LITRE = 1e6


@pytest.fixture(scope="module")
def torsos() -> list[LabelMap]:
    return [torso(np.random.default_rng(s)) for s in _SEEDS]


def _centre(source: LabelMap, target: int) -> NDArray[np.float64]:
    return np.asarray(np.argwhere(source.mask(source.labels, target)).mean(0))


def _litres(source: LabelMap, target: int) -> float:
    return float(source.mask(source.labels, target).sum() * source.spacing_mm**3 / _LITRE)


def _target(source: LabelMap, name: str) -> int:
    return next(k for k, v in source.names.items() if v == name)


def test_a_seed_gives_one_torso(torsos: list[LabelMap]) -> None:
    again = torso(np.random.default_rng(_SEEDS[0]))
    assert np.array_equal(again.labels, torsos[0].labels)
    assert torsos[0].labels.shape != torsos[1].labels.shape


def test_the_field_of_view_is_a_scanners(torsos: list[LabelMap]) -> None:
    for source in torsos:
        size = np.array(source.labels.shape) * source.spacing_mm
        assert (size >= (345, 245, 345)).all()
        assert (size <= (425, 325, 405)).all()
        assert source.labels.dtype == np.uint8


def test_every_label_has_a_name_and_a_tissue(torsos: list[LabelMap]) -> None:
    for source in torsos:
        assert source.tissue is not None
        present = set(np.unique(source.labels).tolist())
        assert present <= set(source.names)
        assert present <= set(source.tissue)
        assert len(present) > 60


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("liver", 0.4, 3.2), ("spleen", 0.04, 0.7), ("kidney left", 0.04, 0.4)],
)
def test_organs_are_as_large_as_in_people(
    torsos: list[LabelMap], name: str, low: float, high: float
) -> None:
    for source in torsos:
        assert low < _litres(source, _target(source, name)) < high


def test_organs_lie_where_they_belong(torsos: list[LabelMap]) -> None:
    # None of these seeds is mirrored.
    for source in torsos:
        liver, spleen = (_centre(source, _target(source, n)) for n in ("liver", "spleen"))
        right, left = (_centre(source, _target(source, f"kidney {s}")) for s in ("right", "left"))
        assert liver[0] > spleen[0] + 30
        assert right[0] > left[0] + 30
        assert liver[2] > right[2]
        assert spleen[1] < liver[1]
        assert _centre(source, Part.LUNG_R)[2] > liver[2]
        assert _centre(source, Part.CORD)[1] < _centre(source, Part.AORTA)[1]


def test_organs_touch_each_other(torsos: list[LabelMap]) -> None:
    source = torsos[0]
    pairs = set()
    for axis in range(3):
        a = source.labels.take(range(source.labels.shape[axis] - 1), axis).astype(int)
        b = source.labels.take(range(1, source.labels.shape[axis]), axis)
        pairs |= set(np.unique(a * 256 + b).tolist())
    touching = [(p // 256, p % 256) for p in pairs]
    solid = {Part.LIVER, Part.SPLEEN, Part.CORTEX_L, Part.CORTEX_R, Part.STOMACH_WALL, Part.CAVA}
    assert sum(1 for a, b in touching if a in solid and b in solid and a != b) >= 4


def test_structures_of_later_tasks_are_rare_targets() -> None:
    weights = anatomy.weights()
    rare = [Part.OESOPHAGUS, Part.CORD, Part.PANCREAS, Part.LIVER_LESION, Part.KIDNEY_LESION]
    assert {weights[p] for p in rare} == {anatomy.RARE}
    assert weights[_by_name("liver")] > 20 * anatomy.RARE
    for parts in anatomy.unions().values():
        assert not {Part.OESOPHAGUS, Part.CORD, Part.PANCREAS} & set(parts)


def _by_name(name: str) -> int:
    return next(k for k, v in anatomy.names().items() if v == name)


def test_every_target_is_named_and_unions_collide_with_no_label() -> None:
    assert set(anatomy.weights()) <= set(anatomy.names())
    assert not set(anatomy.unions()) & set(TISSUE)
    assert max(anatomy.names()) < 256
