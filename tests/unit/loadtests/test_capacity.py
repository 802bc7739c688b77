"""The capacity model: formula and simulation agree, and both with what is known."""

import pytest

from loadtests.capacity import Station, analysed, replicas, simulated
from loadtests.load import figures_of, phases
from loadtests.ratios.ratio import Ratio, table


@pytest.mark.parametrize("users", [1, 4, 12, 40])
@pytest.mark.parametrize("cores", [1, 2, 4])
def test_formula_and_simulation_agree(users: int, cores: int) -> None:
    station = Station(cores, 0.3)
    formula, simulation = (way(station, users, 2.0) for way in (analysed, simulated))
    assert simulation.rate == pytest.approx(formula.rate, rel=0.06)
    assert simulation.busy == pytest.approx(formula.busy, rel=0.06)
    # Of several cores the formula is an approximation.
    assert simulation.seconds == pytest.approx(formula.seconds, rel=0.05 if cores == 1 else 0.25)


def test_one_user_waits_for_nobody() -> None:
    met = analysed(Station(4, 0.3), 1, 2.0)
    assert met.seconds == pytest.approx(0.3)
    assert met.rate == pytest.approx(1 / 2.3)


def test_a_full_machine_gives_what_its_cores_can() -> None:
    met = analysed(Station(2, 0.5), 200, 1.0)
    assert met.rate == pytest.approx(4.0, rel=0.01)
    assert met.busy == pytest.approx(1.0, rel=0.01)


def test_more_users_need_more_front_ends() -> None:
    station = Station(4, 0.3)
    counts = [replicas(station, users, 8.0) for users in (1, 40, 100, 200)]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] > counts[1]


def test_the_phases_of_a_click_are_read() -> None:
    timing = 'queue;dur=0.10, decode;dur=20.5, cache;desc="hit", total;dur=22.00'
    assert list(phases(timing)) == [("queue", 0.1), ("decode", 20.5), ("total", 22.0)]


def test_a_ratio_is_judged_by_its_goals_and_its_condition() -> None:
    least = Ratio("P1", "a / b", 250.0, 200, 400, "250 / 1", at_most=False)
    most = Ratio("P3", "c / d", 1.2, 1.15, 1.08, "12 / 10")
    void = Ratio("P5", "e / f", 0.1, 0.3, 0.15, "1 / 10", holds=False)
    assert [one.verdict for one in (least, most, void)] == ["floor", "MISSED", "VOID"]
    assert table([least]).splitlines()[-1] == (
        "| P1 | a / b | ≥ 200 | ≥ 400 | 250 (250 / 1) | floor |"
    )


def test_answers_are_sorted_into_good_refused_and_failed() -> None:
    def answer(status: int, ms: float) -> dict[str, object]:
        return {"at": 0.0, "what": "click", "ms": ms, "status": status, "timing": ""}

    from loadtests.load import Sample

    samples = [Sample(float(n), 100, 10, 0, 0, {"sammoe_encodes_total": n}) for n in range(2)]
    answers = [answer(201, 10), answer(201, 5000), answer(503, 1), answer(500, 1), answer(0, 1)]
    told = {"seconds": 10.0, "cpu_seconds": 1.0, "answers": answers}
    figures = figures_of(told, samples, users=1, think_seconds=1.0)
    assert (figures.good, figures.refused) == (1, 1)
    assert figures.failed == {"click: 500": 1, "click: no answer": 1}
    assert figures.encodes == 1
