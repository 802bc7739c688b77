"""Studies that wait are taken one after the other, and one that fails stops no other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sammoe.errors import DicomSlicesMissing, EngineBusy, PacsUnavailable, PacsUnknown, TooLarge
from sammoe.pacs import SeriesFound, SeriesPage, SeriesQuery
from sammoe.segmentation import prefetching
from sammoe.segmentation.prefetching import Prefetcher
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.warming import WarmUp
from sammoe.store import LocalStore, WaitingRecord, now, waiting
from sammoe.volume.window import Window

PLANNED = WarmUp((Window(1.5, (0, 0, 0), 32), Window(1.5, (16, 0, 0), 32)), 1.0, 7)


class Scans:
    """Stands for a workspace and its warmer: study ``1.N`` has a CT, an MR and a PET."""

    def __init__(self) -> None:
        self.pacs: Any = self
        self.done: list[str] = []
        self.at_once = 0

    def connection(self, server: str | None) -> None:
        if server == "other":
            raise PacsUnknown("no such server")

    async def find_series(self, query: SeriesQuery, server: str | None) -> SeriesPage:
        if query.study == "1.9":
            raise PacsUnavailable("away")
        found = [
            SeriesFound(str(query.study), f"{query.study}.{kind}", kind, None, None)
            for kind in ("CT", "MR", "PT")
        ]
        return SeriesPage(tuple(found), more=False)

    async def pull(self, principal: str, pull: Pull, limit: int) -> tuple[Any, bool]:
        assert (principal, limit) == ("alice", 7)
        self.at_once += 1
        await asyncio.sleep(0)
        assert self.at_once == 1
        self.at_once -= 1
        if pull.series == "1.1.CT":
            raise DicomSlicesMissing("a gap")
        return type("Volume", (), {"id": pull.series}), True

    async def plan(self, principal: str, volume_id: str, budget_bytes: int) -> WarmUp:
        assert budget_bytes == 9
        if volume_id == "1.2.MR":
            raise TooLarge("more windows than the budget has room for")
        return PLANNED

    async def warm_whole(
        self, principal: str, volume_id: str, planned: WarmUp
    ) -> AsyncIterator[Window]:
        for window in planned.windows:
            yield window
        self.done.append(f"{volume_id} of {principal}")

    async def warm(self, principal: str, volume_id: str) -> int:
        self.done.append(f"middle of {volume_id}")
        return 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path / "state")
    yield store
    store.close()


def prefetcher_of(store: LocalStore, scans: Scans) -> Prefetcher:
    return Prefetcher(scans, scans, store.waiting, store.new_id, 9)


async def until(scans: Scans, count: int) -> None:
    async with asyncio.timeout(10):
        while len(scans.done) < count:
            await asyncio.sleep(0.001)


async def test_every_scan_of_every_study_is_warmed(store: LocalStore) -> None:
    scans = Scans()
    prefetcher = prefetcher_of(store, scans)
    for uid in ("1.1", "1.9", "1.2"):
        await prefetcher.add("alice", uid, 7, None)
    await until(scans, 3)
    async with asyncio.timeout(10):
        while store.waiting.count() > 1:
            await asyncio.sleep(0.001)
    await prefetcher.close()
    assert scans.done == ["1.1.MR of alice", "1.2.CT of alice", "middle of 1.2.MR"]
    # The PACS may be there again later.
    assert [record.study for record, _ in store.waiting._all()] == ["1.9"]


async def test_scans_go_before_studies(store: LocalStore) -> None:
    scans = Scans()
    prefetcher = prefetcher_of(store, scans)
    assert prefetcher.add_scan("bob", "volume", PLANNED) == 1
    assert await prefetcher.add("alice", "1.1", 7, None) == 1
    await until(scans, 2)
    await prefetcher.close()
    assert scans.done == ["volume of bob", "1.1.MR of alice"]


class Slow(Scans):
    """Whose PACS does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def find_series(self, query: SeriesQuery, server: str | None) -> SeriesPage:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_what_waits_outlives_the_process(store: LocalStore) -> None:
    slow = Slow()
    stopped = prefetcher_of(store, slow)
    for count, uid in enumerate(("1.3", "1.4")):
        assert await stopped.add("alice", uid, 7, None) == count + 1
    await slow.asked.wait()
    await stopped.close()

    scans = Scans()
    next_one = prefetcher_of(store, scans)
    next_one.start()
    await until(scans, 4)
    await next_one.close()
    assert scans.done == [f"1.{n}.{kind} of alice" for n in (3, 4) for kind in ("CT", "MR")]


async def test_what_a_killed_process_was_at_is_taken_when_it_is_silent(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetching, "_LOOK_SECONDS", 0.01)
    store.waiting.add(study(store, "1.3"))
    assert store.waiting.take() is not None  # and is killed
    scans = Scans()
    prefetcher = prefetcher_of(store, scans)
    prefetcher.start()
    await asyncio.sleep(0.05)
    assert scans.done == []
    monkeypatch.setattr(waiting, "SILENT_SECONDS", 0.0)
    await until(scans, 2)
    await prefetcher.close()


def study(store: LocalStore, uid: str) -> WaitingRecord:
    return WaitingRecord(
        id=store.new_id(), owner="alice", created=now(), study=uid, server=None, limit=7
    )


def test_each_is_taken_by_one_and_not_for_ever(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = study(store, "1.1"), study(store, "1.2")
    for record in (first, second):
        store.waiting.add(record)
    taken = store.waiting.take()
    assert taken is not None
    assert taken.id == first.id
    store.waiting.keep(taken)
    other = store.waiting.take()
    assert other is not None
    assert other.id == second.id
    assert store.waiting.take() is None
    store.waiting.done(other)
    monkeypatch.setattr(waiting, "SILENT_SECONDS", 0.0)
    assert [again.tries for _ in range(4) if (again := store.waiting.take())] == [2, 3]
    assert store.waiting.count() == 0
    store.waiting.keep(taken)  # it does not come back
    assert store.waiting.count() == 0


def test_a_study_that_is_purged_is_not_fetched(store: LocalStore) -> None:
    for uid in ("1.1", "1.2"):
        store.waiting.add(study(store, uid))
    store.studies.purge("1.1")
    assert [record.study for record, _ in store.waiting._all()] == ["1.2"]


async def test_only_so_many_wait(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetching, "_WAITING", 2)
    slow = Slow()
    prefetcher = prefetcher_of(store, slow)
    await prefetcher.add("alice", "1.1", 7, None)
    await prefetcher.add("alice", "1.2", 7, None)
    with pytest.raises(EngineBusy):
        await prefetcher.add("alice", "1.3", 7, None)
    with pytest.raises(PacsUnknown):
        await prefetcher.add("alice", "1.1", 7, "other")
    await slow.asked.wait()
    for _ in range(2):
        prefetcher.add_scan("bob", "volume", PLANNED)
    with pytest.raises(EngineBusy):
        prefetcher.add_scan("bob", "volume", PLANNED)
    await prefetcher.close()
    await prefetcher_of(store, slow).close()
