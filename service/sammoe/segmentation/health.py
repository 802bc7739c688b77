"""Whether clicks can be answered: asked before traffic is sent here, and told in metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sammoe.engine import Engine
from sammoe.errors import DeadlineExceeded, EngineError, SammoeError, StoreUnavailable
from sammoe.store import Store

_SECONDS: Final = 5.0
"""How long engine and store may take to say that they can answer and be written."""


class Health:
    """Looks at the engine and the store.

    Parameters
    ----------
    engine
        Returns the one that answers now.

    Attributes
    ----------
    engine, store
        Whether they were fit for clicks when that was last looked at.
    """

    def __init__(self, engine: Callable[[], Engine], store: Store) -> None:
        self.engine = self.store = True
        self._engine = engine
        self._store = store
        self._looking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return when clicks can be answered: the engine is ready, and the store can be written.

        Those who ask at once share one look.

        Raises
        ------
        StoreUnavailable, EngineError
            They can not be; or the one or the other does not say so in time.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(_seen)
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        engine, store = await asyncio.gather(
            _failure(self._engine_answers()), _failure(self._store_answers())
        )
        self.engine, self.store = engine is None, store is None
        if failure := engine or store:
            raise failure

    async def _engine_answers(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._engine().check_ready()
        except (TimeoutError, DeadlineExceeded):
            raise EngineError("The engine does not answer in time.") from None

    async def _store_answers(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.to_thread(self._store.check)
        except TimeoutError:
            raise StoreUnavailable("The store does not answer in time.") from None


async def _failure(check: Awaitable[None]) -> SammoeError | None:
    try:
        await check
    except SammoeError as error:
        return error
    return None


def _seen(task: asyncio.Task[None]) -> None:
    """Look at a failure that nobody may be left to see, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()
