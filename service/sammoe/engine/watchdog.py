"""Keeps a bundle's models loaded on a Triton server, and heals those whose process has died.

Triton 24.10 never starts a dead process of a model again and goes on calling the model ready; what
helps is to unload and load it. So those who see a model fail report it here.

Several services may watch one server, and all of them see a death. The first to unload heals; the
others find that the model is gone, or that it counts its runs anew, and leave it alone. To unload
twice, where two find out within milliseconds, costs one more load and no more.
"""

import asyncio
import logging
import random
import time
from collections.abc import Collection
from typing import Final

from sammoe.engine.triton_connection import Connection, ServerGone
from sammoe.errors import EngineError

WATCH_SECONDS: Final = 1.0
"""Between two looks at which models are loaded."""

RETRY_SECONDS: Final = 5.0
"""Between two tries to load a model that can not be loaded."""

SPREAD_SECONDS: Final = 0.2
"""Over which services that see the same death spread their attempts to heal."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Watches the models of one bundle; make it where an event loop runs.

    Parameters
    ----------
    connection
        To the server; used, not owned.
    models
        Names of the models' folders.
    """

    def __init__(self, connection: Connection, models: Collection[str]) -> None:
        self._connection = connection
        self._models = frozenset(models)
        self._missing: frozenset[str] = frozenset()
        self._gone = False
        self._dead: set[str] = set()
        self._healing: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, int] = {}
        self._healed = dict.fromkeys(models, 0.0)
        self._tried = dict.fromkeys(models, 0.0)
        self._watch = asyncio.create_task(self._look())

    @property
    def models(self) -> frozenset[str]:
        """Names of the folders that are watched."""
        return self._models

    @property
    def gone(self) -> bool:
        """Whether the server could not be reached at the last look."""
        return self._gone

    @property
    def down(self) -> frozenset[str]:
        """Models that do not answer, as far as is known."""
        return self._missing | self._dead

    def report(self, model: str, *, dead: bool, since: float) -> None:
        """A call that began at ``since`` (`time.monotonic`) found the model out: heal it.

        A model that was healed after the call began is left alone: it was another life that failed.
        """
        if model in self._models and since > self._healed[model]:
            if dead:
                self._dead.add(model)
            else:
                self._missing |= {model}
            self._heal(model)

    async def healed(self, model: str) -> bool:
        """Wait while the model is being healed; whether it can be asked now."""
        if task := self._healing.get(model):
            await asyncio.shield(task)
        return model not in self.down

    async def close(self) -> None:
        """Stop watching."""
        tasks = [self._watch, *self._healing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            try:
                ready = await self._connection.ready_models()
                await self._count()
            except ServerGone:
                self._gone = True
                self._dead.clear()  # with their server: the next one has processes of its own
            except EngineError as error:
                _log.debug("Triton does not tell its models: %s", error)
            else:
                self._gone = False
                self._missing = self._models - ready
                for model in self.down:
                    if time.monotonic() - self._tried[model] > RETRY_SECONDS:
                        self._heal(model)
            await asyncio.sleep(WATCH_SECONDS)

    async def _count(self) -> None:
        """A model that has run less often than before has been loaded again, whoever did it."""
        runs = await self._connection.runs()
        for model in self._models & runs.keys():
            if runs[model] < self._runs.get(model, 0):
                self._healed[model] = time.monotonic()
                self._dead.discard(model)
        self._runs = runs

    async def _somebody_else_heals(self, model: str) -> bool:
        known = self._runs.get(model, 0)
        await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))
        return (await self._connection.runs()).get(model, -1) < known

    def _heal(self, model: str) -> None:
        if model not in self._healing:
            self._tried[model] = time.monotonic()
            self._healing[model] = asyncio.create_task(self._reload(model))

    async def _reload(self, model: str) -> None:
        try:
            if model in self._dead and not await self._somebody_else_heals(model):
                _log.warning("%s has died on Triton: it is loaded again", model)
                await self._connection.unload(model)
            await self._connection.load(model)
        except ServerGone:
            self._dead.discard(model)
        except EngineError as error:
            _log.warning("%s can not be loaded: %s", model, error)
        else:
            self._healed[model] = time.monotonic()
            self._dead.discard(model)
            self._missing -= {model}
        finally:
            del self._healing[model]
