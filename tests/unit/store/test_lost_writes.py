"""Records whose writing failed and took effect all the same."""

import errno
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from sammoe.errors import StoreUnavailable
from sammoe.store import LocalStore, VolumeRecord
from sammoe.store.files import Piece
from sammoe.store.folder_files import FolderFiles
from sammoe.store.volumes import Volumes
from tests.records import OWNER, add_volume, fields, segmentation_record
from tests.unit.store.test_results import result


class Adding(Protocol):
    """Adds a new record, or the one that an earlier call added."""

    def __call__(self, *, promised: bool) -> object: ...


def segmentation(store: LocalStore, volume: VolumeRecord) -> Adding:
    record = segmentation_record(store, volume)
    return lambda *, promised: store.segmentations.put(record, fields(), promised=promised)


def report(store: LocalStore, volume: VolumeRecord) -> Adding:
    record = result(store, volume)
    return lambda *, promised: store.results.add(record, promised=promised)


def there(store: LocalStore, volume: VolumeRecord) -> list[object]:
    kinds = (store.segmentations, store.results)
    return [item for kind in kinds for item in kind.page(OWNER, volume.id, None, 9).items]


@pytest.fixture(params=["create", "check"])
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The store fails after the file was written, until this is undone."""

    def create(files: FolderFiles, path: str, pieces: Iterable[Piece]) -> bool:
        assert original(files, path, pieces)
        raise OSError(errno.EIO, "no answer")

    def check(*_: object) -> None:
        raise StoreUnavailable("The store does not answer.")

    original = FolderFiles.create
    if request.param == "create":
        monkeypatch.setattr(FolderFiles, "create", create)
    else:
        monkeypatch.setattr(Volumes, "check", check)
    return monkeypatch


@pytest.fixture
def volume(store: LocalStore) -> VolumeRecord:
    return add_volume(store)


@pytest.mark.fault("F23")
@pytest.mark.parametrize("kind", [segmentation, report])
def test_what_nobody_knows_of_is_removed_again(
    store: LocalStore,
    volume: VolumeRecord,
    kind: Callable[[LocalStore, VolumeRecord], Adding],
    failing: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StoreUnavailable):
        kind(store, volume)(promised=False)
    failing.undo()
    assert there(store, volume) == []


@pytest.mark.fault("F23")
@pytest.mark.parametrize("kind", [segmentation, report])
def test_what_was_promised_is_there_for_the_second_trial(
    store: LocalStore,
    volume: VolumeRecord,
    kind: Callable[[LocalStore, VolumeRecord], Adding],
    failing: pytest.MonkeyPatch,
) -> None:
    add = kind(store, volume)
    with pytest.raises(StoreUnavailable):
        add(promised=True)
    failing.undo()
    [kept] = there(store, volume)
    assert add(promised=True) == kept
    assert there(store, volume) == [kept]


@pytest.mark.parametrize("kind", [segmentation, report])
def test_where_that_fails_as_well_it_is_the_first_failure_that_is_told(
    store: LocalStore,
    volume: VolumeRecord,
    kind: Callable[[LocalStore, VolumeRecord], Adding],
    failing: pytest.MonkeyPatch,
) -> None:
    def remove(*_: object) -> None:
        raise OSError(errno.ENOSPC, "another one")

    failing.setattr(FolderFiles, "remove", remove)
    with pytest.raises(StoreUnavailable, match="answer"):
        kind(store, volume)(promised=False)
