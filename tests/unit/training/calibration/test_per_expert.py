import numpy as np
import pytest

from sammoe.training.calibration.fitting import Bench, choose, grid
from sammoe.training.calibration.per_expert import compare, fit
from sammoe.training.calibration.samples import Sample
from tests.unit.training.calibration.samples import population, sample, softer


def two_scales() -> list[Sample]:
    """Heads on two scales: cord is sure of its own from .9 on, vein from .3 on."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(40):
        for structure, top, low, high in (
            ("cord", "cord", 0.9, 0.96),
            ("vein", "vein", 0.3, 0.45),
            ("liver", "cord", 0.5, 0.8),
            ("spleen", "vein", 0.0, 0.2),
        ):
            s_top = float(rng.uniform(low, high))
            found.append(sample(structure, patient=f"p{number}", top=top, s_top=s_top))
    return found


def test_every_expert_gets_the_tau_that_it_needs() -> None:
    bench = Bench(two_scales(), "box")
    taus = fit(bench, bench.measure(0.5, None), 0.0)
    assert 0.8 <= taus["cord"] < 0.9
    assert 0.2 <= taus["vein"] <= 0.3


def test_many_taus_are_told_on_patients_that_they_were_not_fitted_on() -> None:
    told = compare(two_scales(), Bench(two_scales(), "box").measure(0.5, None), 0.0)
    assert told is not None
    assert told.many == pytest.approx((0.7, 0.0))
    assert told.one == pytest.approx((0.5, 0.0))
    same = compare(population(), Bench(population(), "box").measure(0.5, 0.0), 0.01)
    assert same is not None
    assert same.one == same.many == pytest.approx((0.7, 0.0))


def test_a_common_budget_is_kept() -> None:
    samples = [
        sample(s.structure, patient=s.patient, top=s.top, s_top=s.s_top) for s in population()
    ]
    bench = Bench(samples, "box")
    assert choose(grid(bench), 0.02).own < 0.7
    taus = fit(bench, bench.measure(0.5, None), 0.02)
    answers = bench.answers(np.array([taus[s.top] for s in bench.samples]), None)
    lost = bench.general_dice(bench.general) - bench.general_dice(bench.dice(answers))
    assert lost <= 0.02 + 1e-12


def test_too_few_patients() -> None:
    setting = Bench(population(), "box").measure(0.5, 0.0)
    assert compare([s for s in population() if s.patient == "p0"], setting, 0.01) is None


def test_taus_are_compared_beside_the_slacks_of_experts() -> None:
    setting = Bench(softer(), "clicks").measure(0.5, 0.0, {"cord": 0.5})
    told = compare(softer(), setting, 0.01)
    assert told is not None
    assert told.one == told.many == pytest.approx((0.7, 0.0))
