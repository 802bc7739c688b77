"""What a use case needs done: it yields these, and is sent what came of them.

A use case is a generator that does no input or output itself. So it is written once, and taken by
blocking or by awaiting, as a `Mode` does.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sammoe_client._requests import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send a request; what comes is its `Answer`, whole."""

    request: Request


@dataclass(frozen=True)
class Open:
    """Send a request; what comes is its `Answer` without content, which is read piece by piece."""

    request: Request


@dataclass(frozen=True)
class Read:
    """Read on; what comes is a piece of what was opened last, empty at the end."""


@dataclass(frozen=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Give(Generic[T]):
    """Give an item to who iterates."""

    item: T


Effect = Send | Open | Read | Sleep

Steps = Generator[Effect, Any, T]
"""A use case that ends with a T."""

Giving = Generator[Effect | Give[T], Any, None]
"""A use case that gives Ts."""
