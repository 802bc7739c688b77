"""Whoever works beside whom, in whatever order: nobody sees what is another's.

``loadtests/bench_crosstalk.py`` plays ten thousand such schedules.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests import crosstalk
from loadtests.crosstalk import DIALECTS, PRINCIPALS, SCANS, VERBS, Log, Schedule, Seat
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Leases, Workspace, retelling
from sammoe.segmentation.drawing import Drawing
from tests.bundles import write_test_bundle

ENOUGH = 25
"""Schedules in which a planted fault must show."""

SEATS = st.builds(
    Seat,
    st.sampled_from(DIALECTS),
    st.sampled_from(PRINCIPALS),
    st.integers(0, SCANS - 1),
    st.lists(st.sampled_from(VERBS), min_size=1, max_size=8).map(tuple),
)
SCHEDULES = st.builds(
    Schedule, st.lists(SEATS, min_size=2, max_size=4).map(tuple), st.integers(0, 1 << 16)
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    bundle = write_test_bundle(tmp_path_factory.mktemp("bundle"), experts=["spleen"])
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


def seen(engine: LocalEngine, *schedules: Schedule, until_wrong: bool = False) -> Log:
    """What the users of schedules saw, one schedule after the other on one service."""

    async def play(folder: Path) -> Log:
        log = Log()
        async with (
            crosstalk.truth(engine, folder / "truth") as truth,
            crosstalk.service(engine, folder / "state") as http,
        ):
            for schedule in schedules:
                await crosstalk.play(http, truth, schedule, log)
                if until_wrong and log.wrong:
                    break
        return log

    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(play(Path(name)))


@settings(max_examples=12, deadline=None)
@given(SCHEDULES)
def test_users_at_once_see_what_they_would_see_alone(
    engine: LocalEngine, schedule: Schedule
) -> None:
    assert seen(engine, schedule).wrong == []


def test_many_schedules_on_one_service(engine: LocalEngine) -> None:
    log = seen(engine, *map(crosstalk.random_schedule, range(20)))
    assert log.wrong == []
    assert log.checks > 150


def newest_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """One session for all of a principal's viewers, as in a global."""
    find, newest = Leases.find, dict[str, str]()

    async def lose(self: Leases, principal: str, token: str) -> Any:
        newest.setdefault(principal, token)
        record = await find(self, principal, token)
        try:
            return await find(self, principal, newest[principal])
        except Exception:
            newest[principal] = token
            return record

    monkeypatch.setattr(Leases, "find", lose)


def memory_without_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told of one scan is taken as told of any other."""
    monkeypatch.setattr(retelling._Memory, "_key", lambda self, told: f"told {hash(told)}")


def last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask is that of whoever asked last, where two ask at the same time."""
    mask, asked = Workspace.mask, list[tuple[str, str]]()

    async def confuse(self: Workspace, principal: str, name: str, *args: Any) -> Any:
        asked.append((principal, name))
        await asyncio.sleep(0.005)
        return await mask(self, *asked[-1], *args)

    monkeypatch.setattr(Workspace, "mask", confuse)


def drawing_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask before a click is another viewer's, so that changes are not all told."""
    before, held = Drawing._mask, list[Any]()

    async def confuse(self: Drawing, lease: Any, drawn: Any) -> Any:
        held.append(await before(self, lease, drawn))
        return held[-2] if len(held) > 1 else held[-1]

    monkeypatch.setattr(Drawing, "_mask", confuse)


@pytest.mark.parametrize(
    "plant", [newest_lease, memory_without_volume, last_answer, drawing_of_another]
)
def test_a_planted_swap_is_found(
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    plant(monkeypatch)
    schedules = map(crosstalk.random_schedule, range(ENOUGH))
    assert seen(engine, *schedules, until_wrong=True).wrong
