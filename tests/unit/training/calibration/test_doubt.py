import math
from dataclasses import replace

import numpy as np
import pytest

from sammoe.training.calibration.doubt import (
    Answered,
    agreement_limit,
    answered,
    distance_limit,
)
from sammoe.training.calibration.fitting import Bench, Setting
from tests.unit.training.calibration.samples import population, sample


def answers(**changes: object) -> Answered:
    """100 answers, a fifth of them bad: those disagree and are far off, but for a few."""
    bad = np.arange(100) < 20
    odd = np.arange(100) % 10 == 0
    values: dict[str, object] = {
        "dice": np.where(bad, 0.2, 0.8),
        "agreement": np.where(bad ^ odd, 0.31, 0.77),
        "distance": np.where(bad ^ odd, 2.0, 1.0) - np.arange(100) / 1000,
        "weights": np.ones(100),
    }
    return Answered(**values | changes)  # type: ignore[arg-type]


def test_the_limit_that_parts_bad_from_good() -> None:
    limit = agreement_limit(answers())
    assert limit is not None
    assert 0.31 < limit.value <= 0.77
    assert (limit.bad, limit.good) == (0.9, 0.1)
    assert limit.warned == pytest.approx(0.26)


def test_distances_are_cut_at_a_high_percentile() -> None:
    limit = distance_limit(answers())
    assert limit is not None
    assert limit.value == pytest.approx(1.99, abs=0.01)  # of 90 %: the lowest on offer
    assert limit.good < limit.bad


def test_classes_count_equally_by_their_weights() -> None:
    heavy = np.where(np.arange(100) < 20, 1.0, 0.001)
    limit = agreement_limit(answers(weights=heavy))
    assert limit is not None
    assert limit.warned > 0.85


def test_no_limit_where_none_helps() -> None:
    assert agreement_limit(answers(agreement=np.full(100, np.nan))) is None
    assert distance_limit(answers(distance=np.full(100, np.nan))) is None
    assert agreement_limit(answers(dice=np.full(100, 0.9))) is None
    assert agreement_limit(answers(dice=np.full(100, 0.1))) is None
    flipped = np.where(np.arange(100) < 20, 0.9, 0.1)
    assert agreement_limit(answers(agreement=flipped)) is None


def test_agreement_is_known_where_an_expert_was_asked() -> None:
    samples = [*population(), sample("cord", s_top=0.2), sample("liver", distance=math.nan)]
    bench = Bench(samples, "box")
    found = answered([bench], [Setting("box", 0.5, 0.0, 0, 0, 0)])
    assert np.array_equal(np.isfinite(found.agreement), bench.s_top > 0.5)
    assert np.isnan(found.distance[-1])
    assert found.dice[-2] == 0.3  # the general mask's
    shares: dict[str, float] = {}
    for one, weight in zip(samples, found.weights, strict=True):
        shares[one.structure] = shares.get(one.structure, 0) + weight
    assert all(share == pytest.approx(1) for share in shares.values())
    two = [bench, Bench([replace(s, kind="click") for s in samples], "click")]
    both = answered(two, [Setting(b.kind, 0.5, 0.0, 0, 0, 0) for b in two])
    assert len(both.dice) == 2 * len(samples)
