"""Studies that wait are taken one after the other, and one that fails stops no other."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sammoe.errors import DicomSlicesMissing, EngineBusy, PacsUnavailable, PacsUnknown, TooLarge
from sammoe.pacs import SeriesFound, SeriesPage, SeriesQuery
from sammoe.segmentation import prefetching
from sammoe.segmentation.prefetching import Prefetcher
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.warming import WarmUp
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

    async def pull_volume(self, principal: str, pull: Pull, limit: int) -> tuple[Any, bool]:
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


async def test_every_scan_of_every_study_is_warmed() -> None:
    scans = Scans()
    prefetcher = Prefetcher(scans, scans, 9)
    waiting = [prefetcher.add("alice", uid, 7, None) for uid in ("1.1", "1.9", "1.2")]
    async with asyncio.timeout(10):
        while len(scans.done) < 3:
            await asyncio.sleep(0.001)
    await prefetcher.close()

    assert waiting == [1, 2, 3]
    assert scans.done == ["1.1.MR of alice", "1.2.CT of alice", "middle of 1.2.MR"]


async def test_scans_wait_in_the_same_line() -> None:
    scans = Scans()
    prefetcher = Prefetcher(scans, scans, 9)
    assert prefetcher.add("alice", "1.1", 7, None) == 1
    assert prefetcher.add_scan("bob", "volume", PLANNED) == 2
    async with asyncio.timeout(10):
        while len(scans.done) < 2:
            await asyncio.sleep(0.001)
    await prefetcher.close()
    assert scans.done == ["1.1.MR of alice", "volume of bob"]


async def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetching, "_WAITING", 2)
    scans = Scans()
    prefetcher = Prefetcher(scans, scans, 9)
    prefetcher.add("alice", "1.1", 7, None)
    prefetcher.add("alice", "1.2", 7, None)
    with pytest.raises(EngineBusy):
        prefetcher.add("alice", "1.3", 7, None)
    with pytest.raises(PacsUnknown):
        prefetcher.add("alice", "1.1", 7, "other")
    await prefetcher.close()
    await Prefetcher(scans, scans, 9).close()
