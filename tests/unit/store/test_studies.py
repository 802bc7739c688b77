"""What came of a study goes, whoever has it; all else stays."""

from pathlib import Path

import pytest

from sammoe.cli import main
from sammoe.store import LocalStore, SourceRecord
from sammoe.store.studies import Purged
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

    assert store.studies.purge("1.2") == Purged(2, ())
    assert store.studies.purge("1.2") == Purged(0, ())
    assert [store.volumes.ids(one.owner) for one in gone] == [sorted(one.id for one in kept), []]


def test_an_empty_store_has_no_study(store: LocalStore) -> None:
    assert store.studies.purge("1.2") == Purged(0, ())


@pytest.fixture
def half_damaged(store: LocalStore, root: Path) -> str:
    """Folder of a volume whose record is damaged; its study has others, which come before and
    after."""
    for number in range(3):
        source = SourceRecord(study="1.2", series=f"1.2.{number}", frame_of_reference=None)
        volume = add_volume(store, source=source, file_digest=f"{number}" * 64)
        if number == 1:
            (path,) = root.glob(f"owners/*/volumes/{volume.id}/volume.json")
            path.write_text("{")
            folder = path.parent.relative_to(root).as_posix()
    return folder


def test_a_damaged_record_does_not_stop_the_others(store: LocalStore, half_damaged: str) -> None:
    assert store.studies.purge("1.2") == Purged(2, (half_damaged,))


def test_the_command_tells_what_it_could_not_read(
    half_damaged: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["purge", "--study", "1.2", "--state", str(root)]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("2 volume(s) of the study deleted")
    assert "1 record(s) can not be read" in said.err
    assert half_damaged in said.err
    assert said.err.count("\n") == 1
