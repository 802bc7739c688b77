"""What is too old, and what was left behind."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sammoe.audit import AuditLog, AuditOptions, Deeds
from sammoe.errors import NotFound
from sammoe.store import (
    Keeping,
    LocalStore,
    SourceRecord,
    StoredResponse,
    StoreLimits,
    content_key,
    housekeeping,
    now,
    upload_key,
)
from tests.records import OWNER, add_volume, fields, segmentation_record
from tests.unit.audit.test_log import said
from tests.unit.store.test_results import result

DAY = 24 * 3600.0
LIMITS = StoreLimits(
    volumes=Keeping(seconds=2 * DAY),
    segmentations=Keeping(seconds=DAY),
    responses=Keeping(seconds=DAY / 2),
)


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    """Volumes are kept for two days, segmentations for one, answers for half of one."""
    store = LocalStore(root, LIMITS)
    yield store
    store.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock is this many seconds ahead."""
    ahead = [0.0]
    real, real_ns, moment = time.time, time.time_ns, now
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(1e9 * ahead[0]))
    for module in ("housekeeping", "responses", "deletions"):
        monkeypatch.setattr(
            f"sammoe.store.{module}.now", lambda: moment() + timedelta(seconds=ahead[0])
        )
    return ahead


def kept(root: Path) -> list[str]:
    """What there is of records."""
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.name for path in files if path.parts[0] in {"owners", "contents"})


def test_what_is_too_old_counts_as_deleted_before_it_is(
    store: LocalStore, root: Path, later: list[float]
) -> None:
    volume = add_volume(store)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, fields())
    later[0] = 1.1 * DAY
    assert store.volumes.get(OWNER, volume.id) == volume
    for read in (store.segmentations.get, store.segmentations.with_fields):
        with pytest.raises(NotFound, match="no such segmentation"):
            read(OWNER, record.id)
    with pytest.raises(NotFound, match="no such segmentation"):
        store.segmentations.delete(OWNER, record.id)
    assert store.segmentations.page(OWNER, volume.id, None, 9).items == ()
    late = segmentation_record(store, volume)
    store.segmentations.put(late, fields())
    later[0] = 2.05 * DAY
    with pytest.raises(NotFound, match="no such volume"):
        store.volumes.get(OWNER, volume.id)
    with pytest.raises(NotFound, match="no such volume"):
        store.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound, match="no such segmentation"):
        store.segmentations.get(OWNER, late.id)
    with pytest.raises(NotFound, match="no such volume"):
        store.segmentations.put(segmentation_record(store, volume), fields())
    assert store.volumes.page(OWNER, None, 9).items == ()
    assert store.volumes.of_upload(OWNER, upload_key("f" * 64, "MR")) is None
    again = add_volume(store)
    assert again.id != volume.id
    assert store.volumes.of_upload(OWNER, upload_key("f" * 64, "MR")) == again


def test_what_is_too_old_goes(store: LocalStore, root: Path, later: list[float]) -> None:
    volume = add_volume(store)
    store.segmentations.put(segmentation_record(store, volume), fields())
    store.responses.promise(OWNER, "key", "digest", (OWNER, volume.id), store.new_id(volume.id))
    store.responses.put(OWNER, "key", "digest", StoredResponse(200, {}, b"", volume.id))
    store.housekeeping.run()
    assert len(kept(root)) == 7
    later[0] = 0.6 * DAY
    store.housekeeping.run()
    assert store.responses.get(OWNER, "key", "digest") is None
    assert not list(root.glob("owners/**/responses/*"))
    assert list(root.rglob("*.seg"))
    later[0] = 1.1 * DAY
    store.housekeeping.run()
    assert not list(root.rglob("*.seg"))
    assert store.volumes.get(OWNER, volume.id) == volume
    later[0] = 2.1 * DAY
    store.housekeeping.run()
    assert kept(root) == []
    (deletion,) = store.deletions.read(store.deletions.ids())
    assert deletion.content == content_key(volume.content_digest)
    later[0] = 2.2 * DAY
    store.housekeeping.run()
    assert store.deletions.ids() == set()


def test_the_log_tells_what_was_too_old(
    store: LocalStore, tmp_path: Path, later: list[float]
) -> None:
    source = SourceRecord(study="1.2.3", series="1.2.3.4", frame_of_reference=None)
    volume = add_volume(store, source=source)
    record = segmentation_record(store, volume)
    store.segmentations.put(record, fields())
    log = AuditLog(tmp_path / "audit", AuditOptions(uids="plain"))
    for days in (0.0, 1.1, 2.1, 2.2):
        later[0] = days * DAY
        store.housekeeping.run(Deeds(log))
    log.close()
    told = said(log.folder)[1:]
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("segmentation.delete", "success"),
        ("volume.delete", "success"),
    ]
    assert all(line["who"] == {"principal": "service", "via": "service"} for line in told)
    assert told[0]["objects"] == {"segmentation": record.id, "volume": volume.id}
    assert told[1]["objects"] == {
        "volume": volume.id,
        "owner": OWNER,
        "study": "1.2.3",
        "series": "1.2.3.4",
    }


def test_what_a_result_holds_stays_beyond_its_time(
    store: LocalStore, root: Path, later: list[float]
) -> None:
    volume = add_volume(store)
    held, other = (segmentation_record(store, volume) for _ in range(2))
    for record in (held, other):
        store.segmentations.put(record, fields())
    report = result(store, volume, held.id)
    store.results.add(report)
    later[0] = 1.1 * DAY
    for _ in range(2):
        assert store.segmentations.get(OWNER, held.id).id == held.id
        assert store.segmentations.with_fields(OWNER, held.id, volume.id)[0].id == held.id
        with pytest.raises(NotFound):
            store.segmentations.get(OWNER, other.id)
        assert [one.id for one in store.segmentations.page(OWNER, volume.id, None, 9).items] == [
            held.id
        ]
        store.housekeeping.run()
    assert [path.stem for path in root.rglob("*.seg")] == [held.id]
    store.results.delete(OWNER, report.id)
    with pytest.raises(NotFound):
        store.segmentations.get(OWNER, held.id)
    store.housekeeping.run()
    assert not list(root.rglob("*.seg"))


def test_what_a_damaged_result_may_hold_stays(
    store: LocalStore, root: Path, later: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    volumes = [add_volume(store, file_digest=name * 64) for name in "ab"]
    for volume in volumes:
        store.segmentations.put(segmentation_record(store, volume), fields())
    store.results.add(result(store, volumes[0]))
    (path,) = root.glob("owners/*/volumes/*/results/*.json")
    path.write_text("{")
    later[0] = 1.1 * DAY
    store.housekeeping.run()
    (left,) = root.rglob("*.seg")
    assert volumes[0].id in left.parts
    assert "its segmentations stay: store_unavailable" in caplog.text


def test_an_entry_of_a_series_that_was_left_behind_goes(
    store: LocalStore, root: Path, later: list[float]
) -> None:
    source = SourceRecord(study="1.2", series="1.2.3", frame_of_reference=None)
    volume = add_volume(store, source=source)
    (entry,) = root.glob("owners/*/series/*/*")
    left = entry.with_name(store.new_id())
    left.touch()
    later[0] = 1.5 * DAY
    store.housekeeping.run()
    assert entry.exists()
    assert not left.exists()
    assert store.volumes.of_series(OWNER, "1.2.3") == volume


def test_nothing_goes_by_itself_unless_told() -> None:
    limits = StoreLimits()
    assert (limits.volumes.seconds, limits.segmentations.seconds) == (None, None)


def test_half_a_volume_goes_after_a_day(store: LocalStore, root: Path) -> None:
    whole = add_volume(store)
    half = add_volume(store, file_digest="e" * 64)
    (record,) = root.glob(f"owners/*/volumes/{half.id}/volume.json")
    record.unlink()
    store.housekeeping.run()
    assert (record.parent / "voxels.npy").exists()
    for path in [*root.rglob(f"contents/*/{half.id}"), record.parent / "voxels.npy"]:
        os.utime(path, (time.time() - 1.1 * DAY,) * 2)
    store.housekeeping.run()
    assert not record.parent.exists()
    assert not list(root.glob(f"contents/*/{half.id}"))
    assert store.volumes.get(OWNER, whole.id) == whole
    assert list(root.glob(f"contents/*/{whole.id}"))


def test_one_of_many_does_it_once_an_hour(
    store: LocalStore, root: Path, later: list[float]
) -> None:
    other = LocalStore(root, LIMITS)
    assert [each.housekeeping.run_in_turn() for each in (store, other, store)] == [
        True,
        False,
        False,
    ]
    later[0] = housekeeping.TURN_SECONDS + 1
    assert [each.housekeeping.run_in_turn() for each in (other, store)] == [True, False]
    other.close()
