"""What came of a study goes, whoever has it; all else stays."""

from sammoe.store import LocalStore, SourceRecord
from tests.records import add_volume


def test_a_study_goes_of_every_owner(store: LocalStore) -> None:
    def source(study: str) -> SourceRecord:
        return SourceRecord(study=study, series=f"{study}.1", frame_of_reference=None)

    gone = [
        add_volume(store, owner=owner, source=source("1.2"), file_digest=owner * 8)
        for owner in ("alice", "bobby")
    ]
    kept = [
        add_volume(store, source=source("1.23"), file_digest="a" * 64),
        add_volume(store, file_digest="b" * 64),
    ]

    assert store.studies.purge("1.2") == 2
    assert store.studies.purge("1.2") == 0
    assert [store.volumes.ids(one.owner) for one in gone] == [sorted(one.id for one in kept), []]


def test_an_empty_store_has_no_study(store: LocalStore) -> None:
    assert store.studies.purge("1.2") == 0
