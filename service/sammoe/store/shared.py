"""Embeddings that several processes share: the level behind the memory of each."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from sammoe.store.embeddings import Embedding


@dataclass(frozen=True)
class SharedCounters:
    """What one process asked of the shared level so far, and whether it is asked now.

    ``hits`` + ``misses`` = requests; ``joined``: misses that another process's encode answered, so
    ``misses - joined`` encodes were begun; ``damaged``: kept values that did not verify;
    ``errors``: operations that failed or took too long; ``full``: operations refused for want of
    memory; ``away``: whether it failed so often that it is left alone for a while.
    """

    hits: int = 0
    misses: int = 0
    joined: int = 0
    damaged: int = 0
    errors: int = 0
    full: int = 0
    away: bool = False


class SharedEmbeddings(Protocol):
    """Where an embedding is looked for that is not in memory. It may cost time, never an answer."""

    @property
    def counters(self) -> SharedCounters:
        """What happened so far."""
        ...

    async def get_or_encode(
        self, key: str, shape: tuple[int, ...], make: Callable[[], Awaitable[Embedding]]
    ) -> tuple[Embedding, bool]:
        """Return the embedding of ``key`` and whether it was kept (a hit).

        On a miss one process calls ``make`` and the others wait for it, within bounds. Only what
        ``make`` raises is raised.

        Parameters
        ----------
        key
            See `embedding_key`.
        shape
            [1, E, g, g, g]; anything else that is found is a miss.
        make
            Returns float16 of that shape.
        """
        ...

    async def forget(self, contents: Collection[str]) -> bool:
        """Remove all embeddings of some contents (see `content_key`); return whether it was done.

        If not, it has to be tried again; nothing is raised.
        """
        ...

    async def close(self) -> None:
        """Free the connections."""
        ...
