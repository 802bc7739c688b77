"""Spans of a request, for whoever collects traces; without one they cost a look at a variable.

What collects is a `Tracer`, which `tracing` sets for what runs within it: coroutines, their tasks,
and the threads of worker pools, which inherit their caller's context.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol

Attribute = str | int | float | bool


class Span(Protocol):
    """One piece of work."""

    def name(self, name: str) -> None:
        """Give it another name."""
        ...

    def note(self, **attributes: Attribute) -> None:
        """Add what is known by now."""
        ...

    def fail(self, kind: str) -> None:
        """It failed; ``kind`` is a type or a code, never a message."""
        ...


class Tracer(Protocol):
    """Collects spans."""

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Span]:
        """The span of a request, a child of the one that its headers name (W3C Trace Context)."""
        ...

    def span(self, name: str, attributes: dict[str, Attribute]) -> AbstractContextManager[Span]:
        """A child of the span that is under way."""
        ...

    def carrier(self) -> dict[str, str]:
        """Headers that tell another server which span asks it."""
        ...

    def trace_id(self) -> str | None:
        """Of the span that is under way: 32 hexadecimal digits."""
        ...


class _Unseen:
    """A span that nobody collects."""

    def name(self, name: str) -> None:
        """See `Span.name`."""

    def note(self, **attributes: Attribute) -> None:
        """See `Span.note`."""

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""


_UNSEEN: Final = nullcontext[Span](_Unseen())

_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextmanager
def tracing(tracer: Tracer | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> Iterator[Span]:
    """Collect the spans of one request; without a tracer, of none."""
    if tracer is None:
        yield _UNSEEN.enter_result
        return
    token = _tracer.set(tracer)
    try:
        with tracer.request(headers) as span:
            yield span
    finally:
        _tracer.reset(token)


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
    """A piece of the request's work, while the context lasts; an exception out of it fails it."""
    tracer = _tracer.get()
    return _UNSEEN if tracer is None else tracer.span(name, attributes)


def carrier() -> dict[str, str]:
    """Headers for a server that is asked on behalf of the request; empty where nobody traces."""
    tracer = _tracer.get()
    return {} if tracer is None else tracer.carrier()


def trace_id() -> str | None:
    """Of the request's trace, if there is one."""
    tracer = _tracer.get()
    return None if tracer is None else tracer.trace_id()
