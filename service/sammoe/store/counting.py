"""Counters that are values: who reads them sees all of one moment."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


def counted(counters: C, **changes: int) -> C:
    """The counters after some of them have changed by so much."""
    now = asdict(counters)
    return replace(counters, **{name: now[name] + change for name, change in changes.items()})
