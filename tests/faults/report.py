"""Which tests show which cases, and the page that says so: ``docs/reliability.md``.

``pytest --reliability`` writes the page from what was seen in that run; `make reliability` runs the
tests that are marked. A test may say in words what it saw, by the fixture ``seen``.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.faults.cases import CASES

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
TESTS: Final = Path(__file__).resolve().parents[1]

_CASE: Final = "fault"
_SEEN: Final = "seen"

_HEAD: Final = """# Reliability

What may go wrong, what the service shall do, and what it did: written by `make reliability`, which
runs the tests named here, against real servers (Redis, Triton, Orthanc, S3) that are killed, held
up, filled and cut off for it. Cases F are parts that fail; cases S are what clients send. A test of
the project fails where this page no longer names the tests that there are.
"""


@dataclass
class Sight:
    """What the tests of one case showed."""

    outcomes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    words: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all of them passed."""
        outcomes = [outcome for each in self.outcomes.values() for outcome in each]
        return bool(outcomes) and set(outcomes) == {"passed"}


class Reliability:
    """Pytest plugin: collects what tests show of cases; writes the page where it is told to."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._sights: dict[str, Sight] = defaultdict(Sight)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let the test's reports carry its cases."""
        for case in cases_of(item):
            item.user_properties.append((_CASE, case))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended."""
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.partition("[")[0]
        for case in [value for key, value in report.user_properties if key == _CASE]:
            self._sights[str(case)].outcomes[name].append(report.outcome)
            self._sights[str(case)].words += [
                str(value) for key, value in report.user_properties if key == _SEEN
            ]

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the page at the end of a whole run."""
        yield
        if self._write and not hasattr(session.config, "workerinput"):
            PAGE.write_text(page(self._sights))


def cases_of(item: pytest.Item) -> Iterator[str]:
    """The cases that a test is marked with.

    Raises
    ------
    pytest.UsageError
        There is no such case.
    """
    for mark in item.iter_markers(_CASE):
        for case in mark.args:
            if case not in CASES:
                raise pytest.UsageError(f"{item.nodeid}: there is no case {case}")
            yield case


def seeing(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What the fixture ``seen`` gives: says in words what a test saw."""
    return lambda words: request.node.user_properties.append((_SEEN, words))


def marked() -> dict[str, set[str]]:
    """Case -> tests that are marked with it, as the files have it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        place = path.relative_to(TESTS.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for case in _cases_in(node):
                    found[case].add(f"{place}::{node.name}")
    return found


def _cases_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield from (ast.literal_eval(argument) for argument in node.args)


def page(sights: dict[str, Sight]) -> str:
    """The page, of what was seen."""
    shown = sum(sights[case].good for case in CASES)
    lines = [_HEAD, f"**{shown} of {len(CASES)} cases ran and were as expected.**", ""]
    for letter, title in (("F", "Parts that fail"), ("S", "What clients send")):
        lines += [
            f"## {title}",
            "",
            "| | case | expected | seen | tests |",
            "|---|---|---|---|---|",
        ]
        for number, case in CASES.items():
            if number.startswith(letter):
                sight = sights[number]
                words = [case.what, case.expected, _seen(number, sight), _tests(sight)]
                lines.append(f"| {number} | {' | '.join(words)} |")
        lines.append("")
    return "\n".join(lines)


def _seen(number: str, sight: Sight) -> str:
    said = list(dict.fromkeys(sight.words))
    if not sight.outcomes:
        said.insert(0, "not run")
    else:
        said.insert(0, "as expected" if sight.good else "**not as expected**")
    if missing := CASES[number].missing:
        said.append(missing)
    return "; ".join(said)


def _tests(sight: Sight) -> str:
    return ", ".join(
        f"`{name.removeprefix('tests/')}`" + (f" ({len(ends)})" if len(ends) > 1 else "")
        for name, ends in sorted(sight.outcomes.items())
    )
