from typing import cast

import pytest

from tests.faults.cases import CASES
from tests.faults.report import PAGE, Sight, cases_of, marked, page


def test_every_case_has_a_test() -> None:
    shown = marked()
    assert shown.keys() == CASES.keys()


def test_the_page_is_of_these_cases_and_tests() -> None:
    """Where it is not: `make reliability`."""
    rows = {line.split(" | ")[0][2:]: line for line in PAGE.read_text().splitlines()}
    tests = marked()
    for number, case in CASES.items():
        row = rows[number]
        assert f"| {case.what} | {case.expected} |" in row
        named = set(row.split("`")[1::2])
        wanted = {name.removeprefix("tests/") for name in tests[number]}
        assert {name for name in named if "::" in name} == wanted, number


def test_all_must_pass_for_a_case_to_be_as_expected() -> None:
    tests = {
        "F01": {"tests/a.py::test_a"},
        "F02": {"tests/b.py::test_b"},
        "F03": {"tests/a.py::test_a", "tests/c.py::test_c"},
    }
    sights = {
        "tests/a.py::test_a[1]": Sight("passed", ("in 3 s",)),
        "tests/a.py::test_a[2]": Sight("passed", ("in 3 s",)),
        "tests/b.py::test_b[1]": Sight("passed"),
        "tests/b.py::test_b[2]": Sight("skipped"),
    }
    text = page(sights, tests)
    assert f"**1 of {len(CASES)} cases ran" in text
    rows = {line[2:5]: line for line in text.splitlines() if line.startswith("| F")}
    assert "| as expected; in 3 s | `a.py::test_a` (2) |" in rows["F01"]
    assert "**not as expected**" in rows["F02"]
    assert "| not run; in 3 s | `a.py::test_a` (2), `c.py::test_c` |" in rows["F03"]


def test_a_case_that_there_is_not_is_an_error() -> None:
    class Item:
        nodeid = "tests/test_a.py::test_a"

        def iter_markers(self, name: str) -> list[pytest.Mark]:
            return [getattr(pytest.mark, name)("F01", "F99").mark]

    found = cases_of(cast(pytest.Item, Item()))
    assert next(found) == "F01"
    with pytest.raises(pytest.UsageError, match="no case F99"):
        next(found)
