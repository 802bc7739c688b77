import json
from collections.abc import Iterator

import pytest

from sammoe import errors
from sammoe.api.problem_examples import PROBLEMS
from sammoe.api.problems import (
    MAX_ERRORS,
    MEDIA_TYPE,
    FieldProblem,
    InvalidFields,
    internal_problem,
    json_pointer,
    problem_response,
)


def family(kind: type[errors.SammoeError]) -> Iterator[type[errors.SammoeError]]:
    """The class and every one below it, in the product's own tree."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from family(child)


KINDS = list(family(errors.SammoeError))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_refusal_is_a_problem(kind: type[errors.SammoeError]) -> None:
    response = problem_response(kind("What to do.", pointer="/points/3"), "abc")
    assert response.status_code == kind.status
    assert response.headers["Content-Type"] == MEDIA_TYPE
    problem = json.loads(bytes(response.body))
    assert problem["type"] == f"urn:sammoe:problem:{kind.code}"
    assert problem["code"] == kind.code
    assert problem["detail"] == "What to do."
    assert problem["request_id"] == "abc"
    assert problem["title"].endswith(".")
    fault = {"pointer": "/points/3", "code": kind.code, "detail": "What to do."}
    assert problem["errors"] == [fault]


def test_codes_are_one_to_one() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        (errors.Unauthorized, "WWW-Authenticate", 'Bearer realm="sammoe"'),
        (errors.EngineBusy, "Retry-After", "1"),
        (errors.StoreUnavailable, "Retry-After", "1"),
        (errors.Overloaded, "Retry-After", "1"),
        (errors.TooLarge, "Connection", "close"),
        (errors.RequestTimeout, "Connection", "close"),
    ],
)
def test_a_status_has_its_header(kind: type[errors.SammoeError], header: str, value: str) -> None:
    assert problem_response(kind("."), "abc").headers[header] == value


def test_a_fault_of_ours_says_nothing_of_itself() -> None:
    problem = json.loads(bytes(internal_problem("abc").body))
    assert problem["code"] == "internal_server_error"
    assert problem["errors"] == []


def test_faults_are_listed_up_to_a_bound() -> None:
    faults = [FieldProblem(pointer=f"/{n}", code="odd", detail="Odd") for n in range(100)]
    assert InvalidFields(faults).faults == tuple(faults[:MAX_ERRORS])


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ((), ""),
        (("points", 3, "position", 0), "/points/3/position/0"),
        (("a/b~c",), "/a~1b~0c"),
        (("\x1b[31m\n",), "/[31m"),
        (("x" * 1000,), "/" + "x" * 64),
    ],
)
def test_pointers_are_escaped_and_harmless(path: tuple[str | int, ...], pointer: str) -> None:
    assert json_pointer(path) == pointer


def test_every_documented_status_has_an_example() -> None:
    for status, named in PROBLEMS.items():
        for code, problem in named.items():
            assert (problem["status"], problem["code"]) == (status, code)
