"""The tree of the client's errors is that of the service."""

import json
import re
from collections.abc import Iterator

import pytest

from sammoe import errors as service
from sammoe_client import errors

NEVER_SENT = {
    # Of a bundle, a data set or a setting, or of the protocols of other people's viewers.
    *("bundle_invalid", "checkpoint_invalid", "export_mismatch", "data_set_invalid"),
    *("settings_invalid", "lease_gone", "no_lease_free", "not_supported"),
}


def below(kind: type[service.SammoeError]) -> Iterator[type[service.SammoeError]]:
    for child in kind.__subclasses__():
        if child.__module__ == service.__name__:
            yield child
            yield from below(child)


SENT = [kind for kind in below(service.SammoeError) if kind.code not in NEVER_SENT]


@pytest.mark.parametrize("kind", SENT, ids=lambda kind: kind.code)
def test_every_code_has_a_class_of_the_same_name_and_place(
    kind: type[service.SammoeError],
) -> None:
    own = getattr(errors, kind.__name__, None)
    assert own is not None, f"add a class for {kind.code} to sammoe_client/errors.py"
    assert own.code == kind.code
    parent = kind.__mro__[1]
    assert own.__mro__[1] is (
        errors.Refused if parent is service.SammoeError else getattr(errors, parent.__name__)
    )


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for depth, name in re.findall(r"^    ([ │]*)[├└]── (\w+)", errors.__doc__ or "", re.M):
        path[len(depth) // 4 :] = [name]
        drawn[name] = path[-2] if len(path) > 1 else "ClientError"

    def tree(kind: type[errors.ClientError]) -> dict[str, str]:
        return {child.__name__: kind.__name__ for child in kind.__subclasses__()} | {
            name: parent for child in kind.__subclasses__() for name, parent in tree(child).items()
        }

    assert drawn == tree(errors.ClientError)


def test_a_problem_becomes_its_class() -> None:
    problem = {
        "code": "point_outside",
        "detail": "There.",
        "title": "A point lies outside of the volume.",
        "status": 422,
        "request_id": "r1",
        "errors": [
            {"pointer": "/points/0", "code": "point_outside", "detail": "There."},
            {"parameter": "limit", "code": "int_type", "detail": "No number."},
        ],
    }
    error = errors.refusal(422, json.dumps(problem).encode(), 2.0)
    assert isinstance(error, errors.PointOutside)
    assert isinstance(error, errors.InvalidInput)
    assert [fault.place for fault in error.faults] == ["/points/0", "limit"]
    assert (error.retry_after, error.request_id) == (2.0, "r1")
    assert repr(error) == "PointOutside(code='point_outside', detail='There.')"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((404, errors.NotFound), (409, errors.Conflict), (422, errors.InvalidInput)),
        *((429, errors.EngineBusy), (418, errors.Refused)),
    ],
)
def test_a_code_of_a_newer_service_is_the_nearest(status: int, kind: type[errors.Refused]) -> None:
    error = errors.refusal(status, b'{"code": "brand_new", "detail": "?"}')
    assert type(error) is kind
    assert isinstance(error, errors.Refused)
    assert error.code == "brand_new"


@pytest.mark.parametrize(
    "content", [b"<html>Bad gateway</html>", b"", b"[]", b"5", b'{"detail": "x"}', b"[" * 9999]
)
def test_what_is_no_problem_is_not_of_the_service(content: bytes) -> None:
    assert isinstance(errors.refusal(502, content), errors.UnexpectedAnswer)
