from pathlib import Path
from typing import Any

import pytest

from sammoe.training.gates import sources
from sammoe.training.gates.sources import Cutter, own_sources, read_sources
from sammoe.training.prepared import Prepared, RandomWindows, prepare
from tests.datasets import scan, write_nnunet, write_scan
from tests.unit.export import tiny
from tests.unit.training.gates.worlds import frozen
from tests.unit.training.small import RULE

CASES = tuple("abcdefghij")
BALL = tiny.CORD.model_copy(update={"classes": ("ball", "sphere")})


@pytest.fixture
def cutter(tmp_path: Path) -> Cutter:
    return Cutter(frozen().image_encoder, RULE, tmp_path / "cache", seed=0)


def test_an_experts_data_sets_are_those_with_its_classes(tmp_path: Path) -> None:
    found = read_sources(
        [
            write_nnunet(tmp_path / "clinic", CASES),
            write_nnunet(tmp_path / "ward", CASES, classes={"cube": 2}),
        ]
    )

    own = own_sources(found, BALL)

    assert [source.name for source in own] == ["clinic"]
    assert own[0].classes_of(BALL) == ("ball",)


def test_prompts_come_from_as_many_patients_as_possible(cutter: Cutter, tmp_path: Path) -> None:
    source = read_sources([write_nnunet(tmp_path / "clinic", CASES)])[0]
    patients = len(source.split.train)

    few = cutter.labelled(source, "train", ["ball"], 24)
    many = cutter.labelled(source, "train", ["ball"], 24 * patients)

    assert isinstance(few, Prepared)
    assert len(set(few.case.tolist())) == 2
    assert set(few.names) < {case.name for case in source.split.train}
    assert len(set(many.case.tolist())) == patients
    assert few.case.bincount().tolist() == [2, 2]
    assert len(many) >= 4 * patients
    assert few.boxed.float().mean() == many.boxed.float().mean() == 0.5


def test_a_rare_class_is_looked_for_in_every_case(cutter: Cutter, tmp_path: Path) -> None:
    """An nnU-Net folder does not say which cases show it."""
    root = write_nnunet(tmp_path / "clinic", CASES, classes={"ball": 1, "spot": 3})
    train = [case.name for case in read_sources([root])[0].split.train]
    for name in train[1::4]:
        labels = scan(name)[1]
        labels[10:12, 9:12, 8:11] = 3
        write_scan(root / "labelsTr" / f"{name}.nii.gz", labels)
    source = read_sources([root])[0]

    made = cutter.labelled(source, "train", ["spot"], 48)

    assert {made.names[number] for number in made.case.tolist()} == set(train[1::4])
    assert len(made) >= 8


def test_random_windows_are_of_the_part_that_was_asked_for(cutter: Cutter, tmp_path: Path) -> None:
    source = read_sources([write_nnunet(tmp_path / "clinic", CASES)])[0]

    windows = cutter.random(source, "calibrate", ["ball"], 4)

    assert isinstance(windows, RandomWindows)
    assert set(windows.names) <= {case.name for case in source.split.calibrate}
    assert windows.domains == ("clinic",)


def test_no_scan_is_shown_as_another_patients(
    cutter: Cutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_sources([write_nnunet(tmp_path / "clinic", CASES)])[0]
    asked: list[bool] = []

    def spy(*given: Any, augment: bool, **more: Any) -> Prepared:
        asked.append(augment)
        return prepare(*given, augment=augment, **more)

    monkeypatch.setattr(sources, "prepare", spy)
    for part in ("train", "calibrate"):
        cutter.labelled(source, part, ["ball"], 4)
    assert asked
    assert not any(asked)
