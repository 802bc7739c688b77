"""Lists, page by page."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sammoe_client._effects import Give, Giving
from sammoe_client._parsing import parsed
from sammoe_client._requests import get
from sammoe_client._sending import send
from sammoe_client._settings import Retries

T = TypeVar("T")
I_co = TypeVar("I_co", covariant=True)


class Page(Protocol[I_co]):
    """Some items; ``next`` is the cursor of more, None at the end."""

    @property
    def items(self) -> tuple[I_co, ...]: ...
    @property
    def next(self) -> str | None: ...


def paged(
    kind: type[Page[I_co]],
    path: str,
    retries: Retries,
    make: Callable[[I_co], T],
    project: str | None = None,
) -> Giving[T]:
    """What ``make`` makes of each item of a list, asked for as it is needed."""
    cursor: str | None = None
    while True:
        answer = yield from send(get(path, cursor=cursor, project=project), retries)
        page = parsed(kind, answer.content)
        for item in page.items:
            yield Give(make(item))
        if (cursor := page.next) is None:
            return
