import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sammoe.errors import NotFound, StoreUnavailable
from sammoe.store import CodeRecord, EntryRecord, LocalStore, ResultRecord, VolumeRecord
from tests.records import OWNER, add_volume

MOMENT = datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)
TISSUE = CodeRecord(value="85756007", meaning="Tissue", scheme="SCT")


def result(store: LocalStore, volume: VolumeRecord, segmentation: str = "0" * 26) -> ResultRecord:
    entry = EntryRecord(
        segmentation=segmentation,
        label="Lesion",
        code=TISSUE,
        category=TISSUE,
        colour=(1, 2, 3),
        tracking_uid="2.25.1",
    )
    return ResultRecord(
        id=store.new_id(),
        owner=volume.owner,
        created=MOMENT,
        volume_id=volume.id,
        changed=MOMENT,
        revision=1,
        merge="overlap",
        entries=(entry,),
    )


def bumped(record: ResultRecord) -> ResultRecord:
    return record.model_copy(update={"revision": record.revision + 1})


def test_a_result_outlives_the_process(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    record = result(store, volume)
    store.results.add(record)
    store.close()
    assert LocalStore(root).results.get(OWNER, record.id) == record


def test_results_of_one_volume_are_listed_newest_first(store: LocalStore) -> None:
    volume, other = add_volume(store), add_volume(store, file_digest="0" * 64)
    records = [result(store, volume) for _ in range(3)]
    for record in [*records, result(store, other)]:
        store.results.add(record)
    page = store.results.page(OWNER, volume.id, None, 2)
    assert page.items == (records[2], records[1])
    assert store.results.page(OWNER, volume.id, page.cursor, 2).items == (records[0],)


def test_what_is_anothers_or_nobody_s_is_not_there(store: LocalStore) -> None:
    volume = add_volume(store)
    record = result(store, volume)
    store.results.add(record)
    for principal, name in (("bob", record.id), (OWNER, "0" * 26), (OWNER, "../lock")):
        with pytest.raises(NotFound):
            store.results.get(principal, name)
        with pytest.raises(NotFound):
            store.results.change(principal, name, bumped)
        with pytest.raises(NotFound):
            store.results.delete(principal, name)
    assert store.results.get(OWNER, record.id) == record


def test_no_change_is_lost_of_many_at_once(store: LocalStore) -> None:
    record = result(store, add_volume(store))
    store.results.add(record)

    def grow(label: str) -> None:
        def grown(kept: ResultRecord) -> ResultRecord:
            entry = kept.entries[0].model_copy(update={"label": label})
            return bumped(kept).model_copy(update={"entries": (*kept.entries, entry)})

        store.results.change(OWNER, record.id, grown)

    threads = [threading.Thread(target=grow, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.results.get(OWNER, record.id)
    assert kept.revision == 9
    assert {entry.label for entry in kept.entries} == {"Lesion", *map(str, range(8))}


def test_a_refused_change_changes_nothing(store: LocalStore) -> None:
    record = result(store, add_volume(store))
    store.results.add(record)

    def refuse(kept: ResultRecord) -> ResultRecord:
        raise NotFound("There is no such segmentation.")

    with pytest.raises(NotFound):
        store.results.change(OWNER, record.id, refuse)
    assert store.results.get(OWNER, record.id) == record


def test_a_deleted_volume_does_not_come_back_with_a_result(store: LocalStore, root: Path) -> None:
    volume = add_volume(store)
    record = result(store, volume)
    store.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound, match="volume"):
        store.results.add(record)
    assert not list(root.rglob(f"{record.id}.json"))


def test_results_go_with_their_volume(store: LocalStore) -> None:
    volume = add_volume(store)
    record = result(store, volume)
    store.results.add(record)
    store.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound):
        store.results.get(OWNER, record.id)


def test_who_holds_a_segmentation_is_found(store: LocalStore) -> None:
    volume = add_volume(store)
    record = result(store, volume, "1" * 26)
    store.results.add(result(store, volume))
    store.results.add(record)
    assert store.results.holding(OWNER, volume.id, "1" * 26) == record
    store.results.delete(OWNER, record.id)
    assert store.results.holding(OWNER, volume.id, "1" * 26) is None


def test_damage_is_noticed(store: LocalStore, root: Path) -> None:
    record = result(store, add_volume(store))
    store.results.add(record)
    (path,) = root.rglob(f"{record.id}.json")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.results.get(OWNER, record.id)
