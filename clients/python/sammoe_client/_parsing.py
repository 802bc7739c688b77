"""JSON to value objects, by the types of their fields.

Members that a value object does not have are left out, so that a newer service is understood; one
that is missing and has no default, or is of another type, is an `UnexpectedAnswer`.
"""

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from sammoe_client.errors import UnexpectedAnswer

T = TypeVar("T")


def parsed(kind: type[T], content: bytes) -> T:
    """A value object of a body.

    Raises
    ------
    UnexpectedAnswer
        The body is no JSON, or not that of such an object.
    """
    try:
        value: T = _value(kind, json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnexpectedAnswer(f"The answer is no {kind.__name__} of this API.") from None
    return value


def _value(kind: Any, given: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (wanted,) = (one for one in arguments if one is not NoneType)
        return None if given is None else _value(wanted, given)
    if origin is tuple:
        return _tuple(arguments, given)
    if origin is dict:
        return {str(name): _value(arguments[1], each) for name, each in given.items()}
    if kind in (date, datetime):
        return kind.fromisoformat(given)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        there = [f.name for f in fields(kind) if f.name in given]
        return kind(**{name: _value(hints[name], given[name]) for name in there})
    if kind is float and type(given) is int:
        return float(given)
    if type(given) is not kind:
        raise TypeError
    return given


def _tuple(arguments: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list):
        raise TypeError
    if arguments[1:] == (...,):
        return tuple(_value(arguments[0], each) for each in given)
    return tuple(_value(one, each) for one, each in zip(arguments, given, strict=True))
