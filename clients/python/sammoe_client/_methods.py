"""Methods made of steps, whose types follow how a client works.

Of a client that blocks a method returns its value or an iterator; of one that awaits, a coroutine
or an async iterator. Names, parameters and docstrings are those of the steps.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from sammoe_client._effects import Giving, Steps
from sammoe_client._modes import Async, Mode, Sync
from sammoe_client._settings import Retries

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Mode)
H = TypeVar("H", bound="Handle[Any]")


@dataclass(frozen=True)
class Context(Generic[M]):
    """What all handles of one client share."""

    mode: M
    retries: Retries


class Handle(Generic[M]):
    """Something at the service."""

    def __init__(self, context: Context[M]) -> None:
        self._context = context


class call(Generic[H, P, T]):  # noqa: N801
    """Decorator: a method that returns what its steps return."""

    def __init__(self, steps: Callable[Concatenate[H, P], Steps[T]]) -> None:
        self.steps = steps
        update_wrapper(cast(Any, self), steps)

    @overload
    def __get__(self, handle: None, kind: type[object]) -> "call[H, P, T]": ...
    @overload
    def __get__(self, handle: Handle[Sync], kind: type[object]) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, handle: Handle[Async], kind: type[object]
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, handle: Handle[Any] | None, kind: type[object]) -> Any:
        return self if handle is None else _bound(handle._context.mode.run, self.steps, handle)


class iterate(Generic[H, P, T]):  # noqa: N801
    """Decorator: a method that returns an iterator over what its steps give."""

    def __init__(self, steps: Callable[Concatenate[H, P], Giving[T]]) -> None:
        self.steps = steps
        update_wrapper(cast(Any, self), steps)

    @overload
    def __get__(self, handle: None, kind: type[object]) -> "iterate[H, P, T]": ...
    @overload
    def __get__(self, handle: Handle[Sync], kind: type[object]) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(
        self, handle: Handle[Async], kind: type[object]
    ) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, handle: Handle[Any] | None, kind: type[object]) -> Any:
        return self if handle is None else _bound(handle._context.mode.iterate, self.steps, handle)


def _bound(take: Callable[[Any], Any], steps: Callable[..., Any], handle: Handle[Any]) -> Any:
    def method(*args: Any, **kwargs: Any) -> Any:
        return take(steps(handle, *args, **kwargs))

    update_wrapper(method, steps)
    return method
