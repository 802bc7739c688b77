"""Files as objects, in a bucket in memory; tests/integration has a real server."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from sammoe.errors import SettingsInvalid, StoreUnavailable
from sammoe.store import Store
from sammoe.store.files import Files
from sammoe.store.object_files import ObjectFiles, ObjectLimits
from tests.files_contract import *  # noqa: F403
from tests.integration.redis_server import free_port
from tests.records import OWNER, add_volume, fields, segmentation_record


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Files]]:
    """As two processes see one bucket."""
    here = ObjectFiles("memory:///", tmp_path / "1")
    monkeypatch.setattr("sammoe.store.object_files.from_url", lambda *_, **__: here._bucket)
    there = ObjectFiles("memory:///", tmp_path / "2")
    yield [here, there]
    here.close()
    there.close()


def test_records_are_as_in_a_folder(places: list[Files]) -> None:
    here, there = map(Store, places)
    volume = add_volume(here)
    record = segmentation_record(here, volume, id=here.new_id(volume.id))
    record = here.segmentations.put(record, fields())
    assert there.volumes.get(OWNER, volume.id) == volume
    assert there.volumes.voxels(volume).shape == volume.shape
    assert there.segmentations.with_fields(OWNER, record.id)[0] == record
    there.volumes.delete(OWNER, volume.id)
    assert here.volumes.page(OWNER, None, 9).items == ()
    assert here.housekeeping.run_in_turn()
    assert not there.housekeeping.run_in_turn()


def test_a_server_that_overwrites_regardless_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = obstore.put

    def careless(bucket: Any, path: str, content: Any, **options: Any) -> Any:
        return put(bucket, path, content, **options | {"mode": "overwrite"})

    monkeypatch.setattr(obstore, "put", careless)
    with pytest.raises(StoreUnavailable, match="does not honour conditional writes"):
        ObjectFiles("memory:///", tmp_path)
    assert list(tmp_path.glob("tmp/*/*")) == []


@pytest.mark.fault("F23")
def test_an_answer_that_was_lost_is_no_failure(
    places: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks again on its own, and its own content is in the way."""
    put = obstore.put

    def twice(*args: Any, **options: Any) -> Any:
        put(*args, **options)
        return put(*args, **options)

    monkeypatch.setattr(obstore, "put", twice)
    assert places[0].create("record", [b"1"])
    version = places[0].read_versioned("record").version
    assert places[0].replace("record", [b"2"], version)
    assert places[1].read("record") == b"2"


def test_nobody_at_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secrets.token_hex(4))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    with pytest.raises(StoreUnavailable, match="took too long") as caught:
        ObjectFiles("s3://bucket", tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.fault("F22")
def test_who_fails_again_and_again_is_left_alone(
    places: list[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def fail(*_: Any) -> Any:
        nonlocal asked
        asked += 1
        raise obstore.exceptions.GenericError("no")

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "head", fail)
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                places[0].exists("record")
    assert asked == ObjectLimits().failures
    with pytest.raises(StoreUnavailable, match="does not answer"):
        places[0].exists("record")
    assert not places[1].exists("record")


def test_certificates_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing"))
    with pytest.raises(SettingsInvalid, match="AWS_CA_BUNDLE"):
        ObjectFiles("s3://bucket", tmp_path / "folder")


def test_copies_give_way_to_newer_ones(tmp_path: Path) -> None:
    files = ObjectFiles("memory:///", tmp_path, ObjectLimits(copies_bytes=250))
    for name in "abc":
        files.write(name, [name.encode() * 100])
    opened = files.local("a").open("rb")
    files.local("b")
    files.local("c")
    assert len(list(files.temporary_folder.glob("copies/*"))) == 2
    assert opened.read() == b"a" * 100
    opened.close()
    files.write("d", [b"d" * 1000])
    assert files.local("d").read_bytes() == b"d" * 1000
    assert len(list(files.temporary_folder.glob("copies/*"))) == 1
    files.close()
