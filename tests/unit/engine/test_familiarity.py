"""Distance of prompts from what was seen."""

import numpy as np
import pytest

from sammoe.bundle.features import ReferenceFeatures
from sammoe.engine.familiarity import Familiarity


def reference() -> ReferenceFeatures:
    rng = np.random.default_rng(3)
    features = rng.normal(2, 3, (200, 10)).astype(np.float32)
    return ReferenceFeatures.of(features, ("CT",), np.zeros(200, np.int64))


def raw(known: ReferenceFeatures, standard: np.ndarray) -> np.ndarray:
    return (standard * known.deviation + known.mean).astype(np.float32)


def test_known_prompt_is_near() -> None:
    known = reference()
    found = Familiarity(known).distances(raw(known, known.standard[:5]))
    np.testing.assert_allclose(found, 0, atol=2e-3)


def test_distance_is_that_of_the_nearest_by_plain_arithmetic() -> None:
    known = reference()
    asked = np.random.default_rng(4).normal(0, 1.5, (7, 10))
    apart = asked[:, None] - known.standard
    expected = np.sqrt((apart**2).mean(axis=2)).min(axis=1)
    np.testing.assert_allclose(Familiarity(known).distances(raw(known, asked)), expected, rtol=1e-3)


def test_one_deviation_on_every_feature_is_a_distance_of_one() -> None:
    standard = np.zeros((1, 6), np.float32)
    ones = np.ones(6, np.float32)
    known = ReferenceFeatures(0 * ones, 2 * ones, standard, ("MR",), np.zeros(1, np.int64))
    assert Familiarity(known).distances(2 * ones[None])[0] == pytest.approx(1)


def test_no_single_feature_decides_alone() -> None:
    known = reference()
    standard = known.standard[:1].copy()
    standard[0, 0] = 1e6
    (found,) = Familiarity(known).distances(raw(known, standard))
    assert found < 16 / np.sqrt(10)
