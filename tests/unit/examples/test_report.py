from pathlib import Path

import numpy as np
import pytest

from examples.demo.report import Click, recorded_dice, table
from examples.demo.service import Answer, read_server_timing


def click(milliseconds: float, phases: dict[str, float], *, cached: bool, dice: float) -> Click:
    answer = Answer("id", np.zeros((2, 2, 2), dtype=bool), milliseconds, phases, cached)
    return Click((10.0, -18.5, 8.0), not cached, answer, dice)


def test_the_table_shows_each_click_with_its_phases() -> None:
    first = click(812.3, {"encode": 690.04, "decode": 44.0}, cached=False, dice=0.71)
    second = click(71.2, {"decode": 45.5}, cached=True, dice=0.8254)

    head, rule, *rows = table([first, second]).splitlines()

    assert head.split()[:2] == ["click", "at"]
    assert set(rule) == {"─", " "}
    assert len({len(line) for line in (head, rule, *rows)}) == 1
    assert rows[0].split() == [
        *("1", "+", "10,", "-18.5,", "8", "0.710", "812", "ms", "690.0", "44.0", "made")
    ]
    assert rows[1].split() == [
        *("2", "-", "10,", "-18.5,", "8", "0.825", "71", "ms", "45.5", "cached")
    ]


def test_server_timing_is_read() -> None:
    header = 'queue;dur=0.10, encode;dur=690.04, cache;desc="miss", total;dur=812.00'

    assert read_server_timing(header) == ({"queue": 0.1, "encode": 690.04, "total": 812.0}, False)
    assert read_server_timing('decode;dur=4.00, cache;desc="hit"') == ({"decode": 4.0}, True)


@pytest.mark.parametrize(
    ("structure", "clicks", "expected"),
    [("putamen", 3, 0.873), ("thalamus", 3, 0.81), ("thalamus", 2, None), ("brain", 3, None)],
)
def test_the_recorded_dice_is_that_of_structure_and_clicks(
    structure: str, clicks: int, expected: float | None, tmp_path: Path
) -> None:
    results = tmp_path / "results.md"
    results.write_text("```\ndemo: putamen, 3 clicks, 0.873\ndemo: thalamus, 3 clicks, 0.81\n```\n")

    assert recorded_dice(results, structure, clicks) == expected
