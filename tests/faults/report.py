"""Which tests show which cases, and the page that says so: ``docs/reliability.md``.

``pytest --reliability`` writes the page from what was seen in that run; `make reliability` runs the
tests that are marked. A test may say in words what it saw, by the fixture ``seen``.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.faults.cases import CASES, Case

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
TESTS: Final = Path(__file__).resolve().parents[1]

KEPT: Final = Path(__file__).with_name("seen.json")
"""What was seen last, test by test."""

_CASE: Final = "fault"
_SEEN: Final = "seen"

_HEAD: Final = """# Reliability

What may go wrong, what the service shall do, and what it did: written by `make reliability`, which
runs the tests named here, against real servers (Redis, Triton, Orthanc, S3) that are killed, held
up, filled and cut off for it. Cases F are parts that fail; cases S are what clients send. A test of
the project fails where this page no longer names the tests that there are.
"""


@dataclass(frozen=True)
class Sight:
    """How one test ended, and what it said that it saw."""

    outcome: str
    words: tuple[str, ...] = ()


class Reliability:
    """Pytest plugin: collects what tests show of cases; writes the page where it is told to.

    What was seen is kept in `KEPT`, so that the tests may be run in parts, as where some are new.
    """

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._sights: dict[str, Sight] = {}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let the test's reports carry its cases."""
        for case in cases_of(item):
            item.user_properties.append((_CASE, case))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended."""
        properties = report.user_properties
        if (report.when == "call" or report.outcome != "passed") and _CASE in dict(properties):
            words = tuple(str(value) for key, value in properties if key == _SEEN)
            self._sights[report.nodeid] = Sight(report.outcome, words)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the page at the end of a run."""
        yield
        if self._write and self._sights and not hasattr(session.config, "workerinput"):
            sights = {**kept(), **self._sights}
            text = {name: [sight.outcome, *sight.words] for name, sight in sights.items()}
            KEPT.write_text(json.dumps(text, indent=1, sort_keys=True))
            PAGE.write_text(page(sights, marked()))


def kept() -> dict[str, Sight]:
    """What was seen in earlier runs."""
    if not KEPT.exists():
        return {}
    return {
        name: Sight(outcome, tuple(words))
        for name, (outcome, *words) in json.loads(KEPT.read_text()).items()
    }


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


def page(sights: Mapping[str, Sight], tests: Mapping[str, Collection[str]]) -> str:
    """The page: of what was seen, by test, and of the tests of each case."""
    by_test: dict[str, list[Sight]] = defaultdict(list)
    for name, sight in sights.items():
        by_test[name.partition("[")[0]].append(sight)
    shown = sum(_is_good(by_test, tests.get(case, ())) for case in CASES)
    lines = [_HEAD, f"**{shown} of {len(CASES)} cases ran and were as expected.**", ""]
    for letter, title in (("F", "Parts that fail"), ("S", "What clients send")):
        lines += [f"## {title}", ""]
        lines += ["| | case | expected | seen | tests |", "|---|---|---|---|---|"]
        for number, case in CASES.items():
            if number.startswith(letter):
                names = sorted(tests.get(number, ()))
                words = [case.what, case.expected, _seen(case, by_test, names)]
                words.append(", ".join(_named(name, by_test) for name in names))
                lines.append(f"| {number} | {' | '.join(words)} |")
        lines.append("")
    return "\n".join(lines)


def _is_good(by_test: Mapping[str, list[Sight]], names: Collection[str]) -> bool:
    """Whether every test ran and passed."""
    outcomes = [{sight.outcome for sight in by_test.get(name, ())} for name in names]
    return bool(outcomes) and all(each == {"passed"} for each in outcomes)


def _seen(case: Case, by_test: Mapping[str, list[Sight]], names: Collection[str]) -> str:
    sights = [sight for name in names for sight in by_test.get(name, ())]
    if _is_good(by_test, names):
        said = ["as expected"]
    elif {sight.outcome for sight in sights} - {"passed"}:
        said = ["**not as expected**"]
    else:
        said = ["not run"]
    said += dict.fromkeys(words for sight in sights for words in sight.words)
    if case.missing:
        said.append(case.missing)
    return "; ".join(said)


def _named(name: str, by_test: Mapping[str, list[Sight]]) -> str:
    count = len(by_test.get(name, ()))
    return f"`{name.removeprefix('tests/')}`" + (f" ({count})" if count > 1 else "")
