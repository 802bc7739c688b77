from dataclasses import replace

import numpy as np
import pytest

from sammoe.training.calibration.each import PATIENTS, fit_each
from sammoe.training.calibration.fitting import Bench, choose, grid
from sammoe.training.calibration.sharing import Options, share
from tests.unit.training.calibration.samples import softer


def test_every_expert_gets_the_slack_that_it_needs() -> None:
    bench = Bench(softer(), "clicks")
    common = choose(grid(bench), 0.01)
    assert common.own == pytest.approx(0.5)  # to keep the spleen costs the cord

    each = fit_each(bench, grid(bench), 0.01)

    assert each.own == pytest.approx(0.7)
    assert each.loss == 0
    assert each.own_slack == {"cord": 0.5, "vein": 0.0}
    assert each == bench.measure(each.tau, each.slack, each.own_slack)


def test_few_patients_are_no_reason_for_a_slack_of_its_own() -> None:
    few = [
        s for s in softer() if s.expert != "cord" or int(s.patient.removeprefix("p")) < PATIENTS - 1
    ]
    bench = Bench(few, "clicks")

    each = fit_each(bench, grid(bench), 0.01)

    assert "cord" not in each.own_slack


def test_who_comes_later_keeps_the_budget() -> None:
    bench = Bench(softer(), "clicks")
    for budget in (0.0, 0.01, 0.05, 0.1, 0.2):
        each = fit_each(bench, grid(bench), budget)
        assert each.loss <= budget
        assert bench.measure(each.tau, each.slack).loss <= budget


def test_what_gains_nothing_stays_as_it_is() -> None:
    samples = [replace(s, misfits=(0.2, 0.2)) for s in softer()]  # the check sees nothing
    bench = Bench(samples, "clicks")
    common = choose(grid(bench), 0.01)
    assert fit_each(bench, grid(bench), 0.01).own == common.own


def test_a_budget_goes_where_it_buys_most() -> None:
    experts = {
        "cheap": Options(np.array([0.0, 0.3]), np.array([[0.0, 0.0], [0.01, 0.005]])),
        "dear": Options(np.array([0.0, 0.2]), np.array([[0.0, 0.0], [0.004, 0.02]])),
    }
    assert share(experts, 0.0) == {"cheap": 0, "dear": 0}
    assert share(experts, 0.01) == {"cheap": 1, "dear": 0}
    assert share(experts, 0.024) == {"cheap": 1, "dear": 0}
    assert share(experts, 0.025) == {"cheap": 1, "dear": 1}
