import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sammoe.bundle import load_bundle, write_manifest
from sammoe.bundle.locking import claimed
from sammoe.cli import FAILED, main
from sammoe.training.evaluation.rows import read_rows
from tests.bundles import write_test_bundle
from tests.datasets import write_labelled, write_nnunet
from tests.unit.training.evaluation.conftest import write_mixture


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nnunet(tmp_path_factory.mktemp("data") / "balls", [f"c{n}" for n in range(10)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(tmp_path_factory.mktemp("heads"), tau=0.97, slack=2.0).path


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(tmp_path_factory.mktemp("paper"), gate="paper").path


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


def test_two_bundles_side_by_side(
    bundle: Path, paper: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ("--bundle", bundle, paper, "--data", data, "--out", out, "--clicks", 2, "--jobs", 2)
    assert evaluate(*words, "--downstream", "ball", "--seen", "cube") == 0
    assert str(out / "tables.md") in capsys.readouterr().out
    rows = read_rows(out / "rows.csv")
    assert {row.system for row in rows if ":" not in row.system} == {
        "baseline",
        "ft_expert",
        "ours",
        "paper",
    }
    assert len({row.case for row in rows}) == 2  # a fifth is for tests
    text = (out / "tables.md").read_text()
    assert "The downstream task is round." in text
    assert "Table 2: the selector, paper gate" in text
    # Started again, nothing is left to do; the tables can be had alone.
    written = (out / "rows.csv").read_bytes()
    (out / "tables.md").unlink()
    assert evaluate(*words, "--downstream", "round", "--seen", "cube") == 0
    assert (out / "rows.csv").read_bytes() == written
    assert (out / "tables.md").read_text() == text
    (out / "tables.md").unlink()
    assert evaluate("--tables", out) == 0
    assert (out / "tables.md").read_text() == text


def test_a_second_command_does_not_write_into_the_folder_of_a_first(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--jobs", 1)
    command = [sys.executable, "-m", "sammoe", "evaluate", *map(str, words), "--clicks", "1"]
    with claimed(tmp_path / "out"):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    assert second.returncode == FAILED
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"sammoe evaluate: another command is writing into {tmp_path / 'out'}: ")


def test_masks_are_kept_of_one_user(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--users", 2)
    assert evaluate(*words, "--save", tmp_path / "masks") == FAILED
    assert "leave --users out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_class_of_one_case_of_another_part(bundle: Path, data: Path, tmp_path: Path) -> None:
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--jobs", 1)
    some = ("--part", "calibrate", "--limit-cases", 1, "--class", "cube", "--clicks", 1)
    save = tmp_path / "masks"
    assert evaluate(*words, *some, "--protocol", "sam-med3d", "--save", save) == 0
    rows = read_rows(tmp_path / "out" / "rows.csv")
    assert {row.structure for row in rows} == {"cube"}
    assert len({row.case for row in rows}) == 1
    assert len(list(save.rglob("cube_box_0.nii.gz"))) == 4  # baseline, ours, two experts
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "no result" in text
    assert "SAM-Med3D's own protocol" in text


def test_masks_of_cases_that_are_done_are_made_when_they_are_asked_for(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--bundle", bundle, "--data", data, "--jobs", 1, "--clicks", 1, "--class", "cube")
    out, save = tmp_path / "out", tmp_path / "masks"
    assert evaluate(*words, "--out", out) == 0
    rows = read_rows(out / "rows.csv")
    written = (out / "rows.csv").read_bytes()

    assert evaluate(*words, "--out", out, "--save", save) == 0

    masks = sorted(save.rglob("*.nii.gz"))
    assert len(masks) == len([row for row in rows if ":" not in row.system])
    assert len({path.parent.name for path in masks}) == 2
    assert (out / "rows.csv").read_bytes() == written
    # One is lost: its case alone is answered again.
    before = {path: path.stat().st_mtime_ns for path in masks}
    masks[0].unlink()
    assert evaluate(*words, "--out", out, "--save", save) == 0
    assert sorted(save.rglob("*.nii.gz")) == masks
    again = {path.parent.name for path in masks if path.stat().st_mtime_ns != before[path]}
    assert again == {masks[0].parent.name}
    assert (out / "rows.csv").read_bytes() == written
    # Another evaluation's masks are not taken for its own.
    other = ("--seed", 1, "--out", tmp_path / "other", "--save", save)
    assert evaluate(*words, *other) == FAILED
    assert "masks holds an evaluation with other settings (see seed" in capsys.readouterr().err


def test_another_question_needs_another_folder(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--jobs", 1)
    few = ("--clicks", 1, "--limit-cases", 1)
    assert evaluate(*words, *few, "--class", "ball") == 0
    capsys.readouterr()
    new = write_nnunet(tmp_path / "new", ["x", "y", "z"])
    for other, told in (
        (few, "classes"),
        ((*few, "--class", "ball", "--data", new), "data"),
        (("--clicks", 1, "--class", "ball"), "limit"),
    ):
        assert evaluate(*words, *other) == FAILED
        assert f"other settings (see {told} in about.json)" in capsys.readouterr().err


def test_a_target_with_nothing_to_see_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, labels = np.zeros((120, 20, 20), np.int16), np.zeros((120, 20, 20), np.uint8)
    image[:10] = np.random.default_rng(0).integers(1, 200, image[:10].shape)
    labels[110:114, 8:12, 8:12] = 1
    data = write_labelled(tmp_path / "dark", {"d": (image, labels)}, {"ball": 1})
    (data / "split.json").write_text('{"d": "test"}')
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--clicks", 1)
    assert evaluate(*words, "--jobs", 1) == FAILED
    assert "imagesTr/d_0000.nii.gz: " in capsys.readouterr().err


def test_an_experts_class_on_scans_that_look_otherwise_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_mixture(tmp_path / "bundle", modalities={"round": ("CT",)}).path
    data = write_nnunet(tmp_path / "balls", ["a", "b", "c"], modality="cropped")
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--jobs", 1)
    assert evaluate(*words, "--clicks", 1, "--class", "ball") == 0
    err = capsys.readouterr().err
    assert "balls: its channel name 'cropped' does not say whether scans are CT or MR" in err
    assert "balls: ball counts as a general class (patients: 1), though the expert round" in err


def test_a_general_model_alone(tmp_path: Path, data: Path) -> None:
    write_test_bundle(tmp_path / "bundle")
    words = ("--bundle", tmp_path / "bundle", "--data", data, "--out", tmp_path / "out")
    assert evaluate(*words, "--jobs", 1, "--clicks", 1, "--limit-cases", 1) == 0
    assert "| Baseline |" in (tmp_path / "out" / "tables.md").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "give --bundle, --data and --out"),
        (("BUNDLE", "--downstream", "spleen"), "--downstream spleen"),
        (("BUNDLE", "--class", "spleen"), "no data set has the class spleen"),
        (("BUNDLE", "BUNDLE"), "both have a gate of mode heads"),
        (("BUNDLE", "WIDER"), "cut windows differently"),
        (("--tables", "OUT"), "holds no evaluation"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(
    words: tuple[str, ...],
    complaint: str,
    bundle: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wider = write_mixture(tmp_path / "wider", gate="joint").path
    manifest = load_bundle(wider).manifest
    window = manifest.window.model_copy(update={"snap_mm": (3.0, 6.0)})
    write_manifest(wider, manifest.model_copy(update={"window": window}))
    names = {"BUNDLE": bundle, "WIDER": wider, "OUT": tmp_path / "out"}
    given = [str(names.get(word, word)) for word in words]
    if words and words[0] == "BUNDLE":
        given = ["--bundle", *given, "--data", str(data), "--out", str(tmp_path / "out")]
    assert evaluate(*given) == FAILED
    found = capsys.readouterr().err.splitlines()
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--clicks", "0"), ("--jobs", "0"), ("--limit-cases", "-3"), ("--seed", "-1")],
)
def test_numbers_are_checked(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=str(FAILED)):
        evaluate(option, value)
    assert f"argument {option}: must be " in capsys.readouterr().err


def test_a_data_set_without_test_patients(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_nnunet(tmp_path / "one", ["c0"])
    assert evaluate("--bundle", bundle, "--data", data, "--out", tmp_path / "out") == FAILED
    assert "has a case of the part test" in capsys.readouterr().err


def test_a_patient_of_two_parts(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_nnunet(tmp_path / "other", ["c1", "c2"])
    (other / "split.json").write_text(json.dumps({f"c{n}": "test" for n in range(10)}))
    words = ("--bundle", bundle, "--data", data, other, "--out", tmp_path / "out")
    assert evaluate(*words) == FAILED
    assert "give both folders one split.json" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_broken_case_stops_the_run_and_is_named(
    jobs: int, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_nnunet(tmp_path / "balls", [f"c{n}" for n in range(10)])
    (data / "split.json").write_text(json.dumps({f"c{n}": "test" for n in range(3)}))
    (data / "labelsTr" / "c1.nii.gz").write_bytes(b"nothing")
    words = ("--bundle", bundle, "--data", data, "--out", tmp_path / "out", "--clicks", 1)
    assert evaluate(*words, "--jobs", jobs) == FAILED
    assert "labelsTr/c1.nii.gz" in capsys.readouterr().err


def test_answers_of_heads_that_forgot_are_not_mixed_with_others(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ("--bundle", bundle, "--data", data, "--out", out, "--clicks", 1, "--limit-cases", 1)
    assert evaluate(*words, "--jobs", 1) == 0
    about = json.loads((out / "about.json").read_text())
    assert about.pop("heads") == "remember"
    (out / "about.json").write_text(json.dumps(about))
    assert evaluate(*words, "--jobs", 1) == FAILED
    assert "other settings (see heads in about.json)" in capsys.readouterr().err


def test_classes_that_no_file_can_be_named_after_are_refused_before_the_work(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / "long"
    shutil.copytree(data, long)
    about = json.loads((long / "dataset.json").read_text())
    about["labels"] = {"background": 0, 300 * "b": 1, "cube": 2}
    (long / "dataset.json").write_text(json.dumps(about))
    words = ("--bundle", bundle, "--data", long, "--out", tmp_path / "out")
    assert evaluate(*words, "--save", tmp_path / "masks") == FAILED
    assert "a name of more than 200 bytes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
