import math
from dataclasses import replace

import numpy as np
import pytest

from sammoe.bundle import PROMPT_KINDS, PromptKind
from sammoe.errors import DataSetInvalid
from sammoe.training.calibration.fitting import TAUS, Bench, Setting, benches, choose, grid
from sammoe.training.calibration.samples import Sample, Way
from tests.unit.training.calibration.samples import population, sample


def test_a_setting_is_measured_as_serving_would_answer() -> None:
    samples = [
        sample("cord", s_top=0.9),
        sample("cord", s_top=0.5),  # does not exceed .5
        sample("vein", s_top=0.6, misfits=(0.1, 0.3)),  # .2 worse
        sample("liver", s_top=0.7, misfits=(math.inf, math.inf)),  # both empty
        sample("liver", s_top=0.7, misfits=(0.1, math.inf)),  # the expert's is
        sample("liver", s_top=0.7, misfits=(math.inf, 0.1)),  # the general one is
        sample("spleen", s_top=0.1),
    ]
    bench = Bench(samples, "box")
    checked = bench.measure(0.5, 0.05)
    assert checked.own == pytest.approx((0.5 + 0.3) / 2)
    assert checked.general == pytest.approx(((0.8 + 0.8 + 0.2) / 3 + 0.8) / 2)
    assert checked.loss == pytest.approx(0.1)
    free = bench.measure(0.5, None)
    assert free.own == pytest.approx((0.5 + 0.7) / 2)
    assert free.loss == pytest.approx(0.3)
    assert bench.measure(1.0, None).loss == 0
    assert bench.measure(0.5, 0.25).own == free.own


@pytest.mark.parametrize("kind", PROMPT_KINDS)
def test_the_check_saves_what_tau_would_lose(kind: PromptKind) -> None:
    bench = Bench(population(kind), kind)
    chosen = choose(grid(bench), budget=0.01)
    # The check alone keeps general prompts out: nothing is lost, and tau can stay where it was.
    assert chosen.own == pytest.approx(0.7)
    assert chosen.loss == 0
    assert chosen.tau == 0.5
    assert chosen.slack == 0
    without = choose([s for s in grid(bench) if s.slack is None], budget=0.01)
    assert without.tau > 0.6
    assert without.own < 0.7
    assert without.loss <= 0.01


def test_a_budget_buys_dice_on_own_classes() -> None:
    samples = [replace(s, misfits=(0.1, 0.1)) for s in population()]  # the check sees nothing
    settings = grid(Bench(samples, "box"))
    own = [choose(settings, budget).own for budget in (0.0, 0.02, 0.06, 1.0)]
    assert own == sorted(own)
    assert own[0] < own[-1]
    for budget in (0.0, 0.02, 0.06):
        assert choose(settings, budget).loss <= budget


def test_what_one_way_of_asking_gains_pays_for_no_other() -> None:
    def asked(way: Way, general: float, fused: float) -> Sample:
        return sample("liver", kind="clicks", way=way, general=general, fused=fused)

    samples = [
        sample("cord", kind="clicks", way="loop"),
        asked("loop", 0.8, 0.7),
        asked("loop", 0.8, 0.76),
        asked("at_once", 0.4, 0.6),
    ]
    found = Bench(samples, "clicks").measure(0.5, None)
    assert found.loss == pytest.approx((0.1 + 0.04) / 2)
    assert found.general == pytest.approx((0.7 + 0.76 + 0.6) / 3)


def test_what_one_prompt_gains_pays_for_no_other() -> None:
    samples = [
        sample("cord"),
        sample("liver", general=0.8, fused=0.7),
        sample("liver", general=0.5, fused=0.9),
        sample("spleen", general=0.4, fused=0.9),
    ]
    found = Bench(samples, "box").measure(0.5, None)
    assert found.loss == pytest.approx((0.1 / 2 + 0) / 2)
    assert choose(grid(Bench(samples, "box")), budget=0.01).own == pytest.approx(0.3)


def test_equal_settings_go_to_the_middle_and_to_the_smaller_slack() -> None:
    def setting(tau: float, slack: float | None, own: float, loss: float = 0.0) -> Setting:
        return Setting("box", tau, slack, own, 0.8, loss)

    settings = [
        setting(0.1, 0.0, 0.6995),
        setting(0.45, None, 0.6999),
        setting(0.45, 0.1, 0.6992),
        setting(0.6, 0.0, 0.7),
        setting(0.5, 0.0, 0.698),
        setting(0.5, 0.3, 0.9, loss=0.02),
    ]
    assert choose(settings, 0.01) == settings[2]


def test_both_groups_are_needed() -> None:
    with pytest.raises(DataSetInvalid, match="on a general class"):
        Bench([sample("cord")], "box")
    with pytest.raises(DataSetInvalid, match="on a class of an expert"):
        Bench([sample("liver")], "box")
    with pytest.raises(DataSetInvalid, match="'click' on a class of an expert"):
        Bench(population("box"), "click")


def test_one_bench_for_each_kind_that_there_is() -> None:
    samples = [*population("clicks"), *population("box")]
    assert [bench.kind for bench in benches(samples)] == ["box", "clicks"]
    assert np.isclose(benches(samples)[0].weights.sum(), 2)
    assert max(TAUS) == 1
