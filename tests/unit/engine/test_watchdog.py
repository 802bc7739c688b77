"""Several services watch one server: a model that has died is loaded again once."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest

from sammoe.engine.triton_connection import Connection
from sammoe.engine.watchdog import WATCH_SECONDS, Watchdog

MODEL = "decoder"


class Server:
    """What a connection tells of one model: loading takes a while, runs count from 1."""

    def __init__(self) -> None:
        self.loaded = True
        self.count = 50
        self.unloads = self.loads = 0

    async def ready_models(self) -> set[str]:
        return {MODEL} if self.loaded else set()

    async def runs(self) -> dict[str, int]:
        return {MODEL: self.count} if self.loaded else {}

    async def unload(self, model: str) -> None:
        self.unloads += 1
        self.loaded = False

    async def load(self, model: str) -> None:
        if not self.loaded:
            await asyncio.sleep(0.3)
        if not self.loaded:
            self.loads += 1
            self.loaded, self.count = True, 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def watchdogs(server: Server) -> AsyncIterator[list[Watchdog]]:
    """Three that have looked at the server."""
    made = [Watchdog(cast(Connection, server), [MODEL]) for _ in range(3)]
    await asyncio.sleep(0.05)
    yield made
    await asyncio.gather(*(watchdog.close() for watchdog in made))


async def test_the_first_heals_and_the_others_find_it_done(
    server: Server, watchdogs: list[Watchdog], monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = iter((0.0, 0.1, 0.2))
    monkeypatch.setattr("random.uniform", lambda low, high: next(spread))
    began = time.monotonic()
    for watchdog in watchdogs:
        watchdog.report(MODEL, dead=True, since=began)
    assert all(MODEL in watchdog.down for watchdog in watchdogs)

    assert await asyncio.gather(*(watchdog.healed(MODEL) for watchdog in watchdogs)) == [True] * 3

    assert (server.unloads, server.loads) == (1, 1)


async def test_who_hears_late_of_a_death_leaves_the_model_alone(
    server: Server, watchdogs: list[Watchdog]
) -> None:
    began = time.monotonic()
    watchdogs[0].report(MODEL, dead=True, since=began)
    assert await watchdogs[0].healed(MODEL)
    server.count = 3

    # A call that failed in the model's former life, told before and after the next look.
    watchdogs[1].report(MODEL, dead=True, since=began)
    assert await watchdogs[1].healed(MODEL)
    await asyncio.sleep(WATCH_SECONDS + 0.1)
    watchdogs[2].report(MODEL, dead=True, since=began)
    assert MODEL not in watchdogs[2].down

    assert (server.unloads, server.loads) == (1, 1)


async def test_a_second_death_is_healed_as_well(server: Server, watchdogs: list[Watchdog]) -> None:
    for lives in (1, 2):
        watchdogs[0].report(MODEL, dead=True, since=time.monotonic())
        assert await watchdogs[0].healed(MODEL)
        assert (server.unloads, server.loads) == (lives, lives)
        server.count = 20
        await asyncio.sleep(WATCH_SECONDS + 0.1)
