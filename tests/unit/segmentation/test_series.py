"""A volume of a series that the PACS has more of by now."""

import asyncio
from typing import Any

import pytest

from sammoe.errors import DicomSlicesMissing, PacsUnavailable, SammoeError, SeriesMissing
from sammoe.segmentation import series
from sammoe.segmentation.pulling import Pull
from sammoe.segmentation.series import WholeSeries
from sammoe.store import LocalStore, SourceRecord, VolumeRecord
from tests.records import volume_record

STUDY, SERIES = "1.2.3", "1.2.3.4"


class Volumes:
    """Stands for volumes and for a PACS, whose series grows."""

    def __init__(self, *pulled: VolumeRecord) -> None:
        self.pacs: Any = self
        self.names = ["default"]
        self.told: int | SammoeError | None = 3
        self.counts: dict[str, int] = {}
        self.pulled = list(pulled)
        self.pulls: list[Pull] = []
        self.asked = 0

    async def instances(self, study: str, series: str) -> int | None:
        assert (study, series) == (STUDY, SERIES)
        self.asked += 1
        if isinstance(self.told, SammoeError):
            raise self.told
        if self.told == -1:
            await asyncio.sleep(60)
        return self.told

    async def source(self, record: VolumeRecord) -> Any:
        return type("Source", (), {"headers": (b"",) * self.counts[record.id]})

    async def pull(self, principal: str, pull: Pull, limit: int) -> tuple[VolumeRecord, bool]:
        assert (principal, limit) == ("alice", 7)
        self.pulls.append(pull)
        if not self.pulled:
            raise DicomSlicesMissing("a gap")
        return self.pulled[-1], True


@pytest.fixture
def records(store: LocalStore) -> tuple[VolumeRecord, VolumeRecord]:
    """A part of a series, and the whole."""
    source = SourceRecord(study=STUDY, series=SERIES, frame_of_reference=None)
    part, whole = (volume_record(store, source=source) for _ in range(2))
    return part, whole


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is."""
    time = [100.0]
    monkeypatch.setattr(series, "monotonic", lambda: time[0])
    return time


async def test_a_whole_series_is_asked_about_now_and_then(
    records: tuple[VolumeRecord, VolumeRecord], clock: list[float]
) -> None:
    part, _ = records
    volumes = Volumes()
    volumes.counts[part.id] = 3
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    for _ in range(5):
        assert await whole.of(part, 7) == part
    assert volumes.asked == 1
    clock[0] += 6
    assert await whole.of(part, 7) == part
    assert (volumes.asked, volumes.pulls) == (2, [])


async def test_a_series_that_has_grown_is_pulled(
    records: tuple[VolumeRecord, VolumeRecord], clock: list[float]
) -> None:
    part, all_of_it = records
    volumes = Volumes(all_of_it)
    volumes.counts = {part.id: 3, all_of_it.id: 5}
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    assert await whole.of(part, 7) == part
    clock[0] += 6
    volumes.told = 5
    assert await whole.of(part, 7) == all_of_it
    assert await whole.of(all_of_it, 7) == all_of_it
    # Another replica, or a newer upload of a part, may find the part again.
    assert await whole.of(part, 7) == all_of_it
    assert len(volumes.pulls) == 2
    assert volumes.pulls[0] == Pull(STUDY, SERIES, modality=part.modality_asked)


async def test_what_a_volume_leaves_out_is_not_pulled_again_and_again(
    records: tuple[VolumeRecord, VolumeRecord], clock: list[float]
) -> None:
    part, _ = records
    volumes = Volumes(part)
    volumes.counts[part.id] = 2  # and a localizer
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    for _ in range(3):
        assert await whole.of(part, 7) == part
        clock[0] += 6
    assert (volumes.asked, len(volumes.pulls)) == (3, 1)


@pytest.mark.parametrize("told", [None, PacsUnavailable("away"), SeriesMissing("no such"), -1])
async def test_without_an_answer_the_volume_there_is_taken(
    records: tuple[VolumeRecord, VolumeRecord],
    clock: list[float],
    told: int | SammoeError | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "_PATIENCE_SECONDS", 0.01)
    part, _ = records
    volumes = Volumes()
    volumes.told = told
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    for asked, later in ((1, 6), (1, 30), (2, 0)):  # a click is not to wait for it every time
        assert await whole.of(part, 7) == part
        assert volumes.asked == asked
        clock[0] += later


async def test_what_is_not_whole_and_can_not_be_had_is_refused(
    records: tuple[VolumeRecord, VolumeRecord], clock: list[float]
) -> None:
    part, _ = records
    volumes = Volumes()
    volumes.counts[part.id] = 2
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(DicomSlicesMissing):
            await whole.of(part, 7)


async def test_without_a_pacs_nothing_is_asked(
    records: tuple[VolumeRecord, VolumeRecord], store: LocalStore
) -> None:
    volumes = Volumes()
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    no_series = volume_record(store)
    assert await whole.of(no_series, 7) == no_series
    volumes.names = []
    assert await whole.of(records[0], 7) == records[0]
    assert volumes.asked == 0


async def test_no_more_is_remembered_than_has_room(
    records: tuple[VolumeRecord, VolumeRecord],
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "_MOST", 1)
    part, _ = records
    other = part.model_copy(update={"owner": "bob"})
    volumes = Volumes()
    volumes.counts[part.id] = 3
    whole = WholeSeries(volumes)  # type: ignore[arg-type]
    for record in (part, other, part):
        assert await whole.of(record, 7) == record
    assert volumes.asked == 3
