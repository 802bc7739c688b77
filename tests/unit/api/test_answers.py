from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.api.answers import SegmentationOut, VolumeOut
from sammoe.store import DoubtRecord, LocalStore
from sammoe.volume.volume import Modality
from tests.records import add_volume, segmentation_record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    kept = LocalStore(tmp_path)
    yield kept
    kept.close()


def test_an_answer_tells_its_record_s_route_and_warnings(store: LocalStore) -> None:
    volume = add_volume(store)
    plain = segmentation_record(store, volume)
    assert SegmentationOut.of(plain, volume).warnings == ()
    route = plain.route.model_copy(update={"agreement": 0.25, "distance": 1.5})
    doubt = DoubtRecord(code="mask_empty", detail="Nothing.")
    record = plain.model_copy(update={"route": route, "warnings": (doubt,)})
    told = SegmentationOut.of(record, volume)
    assert [warning.model_dump() for warning in told.warnings] == [doubt.model_dump()]
    assert (told.route.agreement, told.route.distance) == (0.25, 1.5)


def test_a_volume_of_unknown_modality_says_so(store: LocalStore) -> None:
    assert VolumeOut.of(add_volume(store)).warnings == ()
    unknown = add_volume(store, modality=Modality.UNKNOWN, file_digest="e" * 64)
    assert [doubt.code for doubt in VolumeOut.of(unknown).warnings] == ["modality_unknown"]
