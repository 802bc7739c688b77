import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sammoe.bundle import FEATURES_FILE, Bundle, Expert, ReferenceFeatures
from sammoe.bundle.locking import claimed
from sammoe.errors import (
    BundleInvalid,
    CheckpointInvalid,
    Conflict,
    DataSetInvalid,
    SammoeError,
    SettingsInvalid,
)
from sammoe.export import export_bundle
from sammoe.export.mixing import with_expert, with_gate, with_reference
from sammoe.export.reading import load_networks
from sammoe.model import SamMed3D
from sammoe.model.checkpoint import load_checkpoint, save_checkpoint
from sammoe.model.gate import new_head
from sammoe.model.gate_features import TOKENS
from sammoe.model.heads_file import HeadFile, load_gate, load_head
from sammoe.training.commands import gate
from sammoe.training.evaluation.running import load_bundles
from sammoe.training.frozen import weights_digest
from tests.datasets import scan, write_nnunet, write_scan
from tests.unit.export import tiny

CASES = ("a", "b", "c", "d", "e", "f")
FEATURES = TOKENS * tiny.DETAILED.prompt_dim
FAST = ("--prompts", 12, "--steps", 3)


def arguments(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    gate.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def expert(name: str) -> Expert:
    return tiny.CORD.model_copy(update={"name": name, "classes": (name,)})


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bare") / "bundle"
    return export_bundle(tiny.model(tiny.DETAILED), folder, tiny.RELEASE)


@pytest.fixture(scope="module")
def general(bare: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With random prompts' features, made up."""
    features = np.random.default_rng(0).normal(0, 1, (40, FEATURES)).astype(np.float32)
    reference = ReferenceFeatures.of(features, ("anywhere",), np.zeros(40, int))
    return with_reference(bare, reference, out=tmp_path_factory.mktemp("general") / "bundle")


@pytest.fixture(scope="module")
def mixture(general: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With an expert for balls; cubes are nobody's."""
    features = f"{general.manifest.models['decoder_general']}/{FEATURES_FILE}"
    head = HeadFile("ball", new_head(FEATURES).eval(), general.manifest.files[features])
    decoder = tiny.model(tiny.DETAILED, 3).mask_decoder
    out = tmp_path_factory.mktemp("mixture") / "bundle"
    return with_expert(general, decoder, expert("ball"), head, out=out)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nnunet(tmp_path_factory.mktemp("data") / "clinic", CASES)


def new_expert() -> SamMed3D:
    """Another decoder behind the bundle's own networks."""
    model = tiny.model(tiny.DETAILED)
    model.mask_decoder = tiny.model(tiny.DETAILED, 5).mask_decoder
    return model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A new expert, as `sammoe train expert` leaves it."""
    path = tmp_path / "run" / "expert.safetensors"
    path.parent.mkdir()
    metadata = {"expert": expert("cube").model_dump_json()}
    save_checkpoint(path, new_expert(), metadata)
    return path


def test_a_new_experts_head_lands_beside_its_checkpoint_and_fits_the_bundle(
    general: Bundle,
    data: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("--bundle", general.path, "--data", data, "--checkpoint", checkpoint, *FAST)
    gate.run(arguments(*words, "--cache", tmp_path / "cache"))

    printed = capsys.readouterr().out
    assert "box: AUROC" in printed
    assert "next: sammoe bundle add-expert" in printed
    assert "learnt from anywhere; left out, as the expert's own: none" in printed
    head = load_head(checkpoint.parent / "head.safetensors")
    decoder = load_checkpoint(checkpoint).model.mask_decoder
    added = with_expert(general, decoder, expert("cube"), head, out=tmp_path / "out")
    assert [known.name for known in added.manifest.experts] == ["cube"]

    capsys.readouterr()
    gate.run(arguments(*words, "--cache", tmp_path / "cache", "--out", tmp_path / "again"))
    again = load_head(tmp_path / "again" / "head.safetensors")
    assert weights_digest(again.net) == weights_digest(head.net)


def test_a_checkpoint_that_people_bring_is_told_what_it_is_for(
    general: Bundle,
    data: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_checkpoint(checkpoint, new_expert(), {})
    words = ("--bundle", general.path, "--data", data, "--checkpoint", checkpoint, *FAST)
    task = ("--name", "mine", "--class", "cube", "--modality", "MR")
    gate.run(arguments(*words, *task, "--same-as", "anywhere", "--cache", tmp_path / "cache"))

    printed = capsys.readouterr().out
    assert "learnt from none; left out, as the expert's own: anywhere" in printed
    path = checkpoint.parent / "head.safetensors"
    told = f"--checkpoint {checkpoint} --name mine --modality MR --class cube --head {path} --out"
    assert f"next: sammoe bundle add-expert {general.path} {told}" in printed
    assert load_head(path).name == "mine"


def test_a_head_of_an_expert_of_the_bundle_is_trained_anew(
    mixture: Bundle,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    general = write_nnunet(tmp_path / "ward", CASES)
    words = ("--bundle", mixture.path, "--data", data, "--expert", "ball", *FAST)

    gate.run(arguments(*words))
    first = load_head(tmp_path / "runs/gate_ball/head.safetensors")
    gate.run(arguments(*words, "--also-general", general))
    told = load_head(tmp_path / "runs/gate_ball/head.safetensors")

    assert first.name == "ball"
    after = "--head runs/gate_ball/head.safetensors --out ..."
    assert f"next: sammoe bundle set-gate {mixture.path} {after}" in capsys.readouterr().out
    assert weights_digest(first.net) != weights_digest(told.net)


def test_a_joint_gate_fits_the_bundle(
    mixture: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--mode", "joint", "--bundle", mixture.path, "--data", data, *FAST)
    gate.run(arguments(*words, "--cache", tmp_path / "cache", "--out", tmp_path))

    printed = capsys.readouterr().out
    assert "unchanged: decoder_ball" in printed
    assert "click: right expert" in printed
    file = load_gate(tmp_path / "gate.safetensors")
    assert (file.mode, file.experts) == ("joint", ("ball",))
    made = with_gate(mixture, file.gate, out=tmp_path / "out")
    assert made.manifest.routing.gate == "joint"
    # One general model still: they can be evaluated side by side.
    assert list(load_bundles([mixture.path, made.path])) == ["ours", "joint"]


def test_the_papers_gate_may_train_its_experts_too(
    mixture: Bundle,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--mode", "paper", "--bundle", mixture.path, "--data", data, *FAST)
    gate.run(arguments(*words, "--train-experts"))

    files = [f"runs/gate_paper/{name}.safetensors" for name in ("gate", "expert_ball")]
    assert f"--gate {files[0]} --checkpoint {files[1]} --out ..." in capsys.readouterr().out
    folder = tmp_path / "runs" / "gate_paper"
    assert load_gate(folder / "gate.safetensors").mode == "paper"
    checkpoint = load_checkpoint(folder / "expert_ball.safetensors")
    assert json.loads(checkpoint.metadata["expert"])["name"] == "ball"
    networks = load_networks(mixture)
    before = networks.experts["ball"].state_dict()
    learnt = checkpoint.model.mask_decoder.state_dict()
    assert any(not torch.equal(learnt[name], before[name]) for name in before)
    assert weights_digest(checkpoint.model.prompt_encoder) == weights_digest(
        networks.model.prompt_encoder
    )


def test_without_patients_to_calibrate_on_a_head_is_doubted(
    mixture: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = write_nnunet(tmp_path / "few", CASES[:2])
    common = ("--bundle", mixture.path, "--data", few, "--out", tmp_path, *FAST)
    for words, doubted in ((["--expert", "ball"], True), (["--mode", "joint"], False)):
        gate.run(arguments(*common, *words, "--cache", tmp_path / "cache"))
        printed = capsys.readouterr()
        assert "safetensors" in printed.out
        assert "click" not in printed.out
        assert ("no calibration patient shows ball" in printed.err) is doubted


def test_a_head_that_calibration_patients_show_is_not_doubted(
    mixture: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--bundle", mixture.path, "--data", data, "--expert", "ball", "--out", tmp_path)
    gate.run(arguments(*words, *FAST, "--cache", tmp_path / "cache"))
    assert "no calibration patient" not in capsys.readouterr().err


@pytest.mark.parametrize("which", [("--expert", "ball"), ("--mode", "joint")])
def test_a_second_command_does_not_write_into_the_folder_of_a_first(
    which: tuple[str, str], mixture: Bundle, data: Path, tmp_path: Path
) -> None:
    words = ("--bundle", mixture.path, "--data", data, *which, *FAST)
    folders = ("--out", tmp_path / "out", "--cache", tmp_path / "cache")
    with (
        claimed(tmp_path / "out"),
        pytest.raises(Conflict, match=f"another command is writing into {tmp_path / 'out'}"),
    ):
        gate.run(arguments(*words, *folders))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["--expert", "ball", "--train-experts"], SettingsInvalid, "--mode joint or paper"),
        ([], SettingsInvalid, "--checkpoint FILE or --expert NAME"),
        (["--expert", "cord"], SettingsInvalid, "no expert 'cord'; it has: ball"),
        (["--mode", "joint", "--expert", "ball"], SettingsInvalid, "leave --checkpoint"),
        (["--mode", "joint", "--name", "ball"], SettingsInvalid, "leave --checkpoint"),
        (["--expert", "ball", "--class", "cube"], SettingsInvalid, "what ball is for"),
        (["--expert", "ball", "--same-as", "CT"], SettingsInvalid, "it has those of anywhere"),
    ],
)
def test_wrong_words_are_refused(
    mixture: Bundle,
    data: Path,
    tmp_path: Path,
    words: list[str],
    error: type[SammoeError],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        gate.run(arguments("--bundle", mixture.path, "--data", data, *words))


def test_bundles_without_what_is_needed_are_refused(
    bare: Bundle, general: Bundle, data: Path
) -> None:
    with pytest.raises(BundleInvalid, match="sammoe train negatives"):
        gate.run(arguments("--bundle", bare.path, "--data", data, "--expert", "ball"))
    with pytest.raises(BundleInvalid, match="no experts"):
        gate.run(arguments("--mode", "paper", "--bundle", general.path, "--data", data))


def test_checkpoints_that_are_no_experts_are_refused(
    general: Bundle, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"

    def ask() -> None:
        gate.run(arguments("--bundle", general.path, "--data", data, "--checkpoint", path))

    save_checkpoint(path, tiny.model(tiny.DETAILED), {})
    with pytest.raises(CheckpointInvalid, match="does not say what it is for: give --name"):
        ask()
    metadata = {"expert": expert("cube").model_dump_json()}
    save_checkpoint(path, tiny.model(tiny.CONFIG), metadata)
    with pytest.raises(CheckpointInvalid, match="window_size is 6, in the bundle it is 0"):
        ask()
    save_checkpoint(path, tiny.model(tiny.DETAILED, 5), metadata)
    with pytest.raises(CheckpointInvalid, match=f"sammoe train expert --init {path}"):
        ask()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--prompts", "0"),
        ("--steps", "0"),
        ("--lr", "nan"),
        ("--seed", "-1"),
        ("--data-seed", "-1"),
        ("--threads", "0"),
    ],
)
def test_numbers_are_checked(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--data", "x", option, value)
    assert f"argument {option}: must be " in capsys.readouterr().err


def unlabelled(root: Path, keep: Callable[[str], int]) -> Path:
    """A data set whose cases keep one class only."""
    write_nnunet(root, CASES)
    for name in CASES:
        _, labels = scan(name)
        kept = np.where(labels == keep(name), labels, 0).astype(np.uint8)
        write_scan(root / "labelsTr" / f"{name}.nii.gz", kept)
    return root


def refused(mixture: Bundle, folder: Path, told: str, *words: object) -> None:
    given = arguments("--bundle", mixture.path, "--cache", folder / "cache", *FAST, *words)
    given.out = folder / "out"
    with pytest.raises(DataSetInvalid, match=told):
        gate.run(given)


def test_data_sets_without_the_experts_classes_are_refused(mixture: Bundle, tmp_path: Path) -> None:
    other = write_nnunet(tmp_path / "other", CASES, classes={"rib": 1, "cube": 2})
    absent = unlabelled(tmp_path / "absent", lambda name: 2)
    told = r"expert ball \(ball\); they have other: rib"
    refused(mixture, tmp_path, told, "--data", other, "--expert", "ball")
    refused(mixture, tmp_path, told, "--data", other, "--mode", "joint")
    told = "nothing of expert ball is labelled in the training part of absent"
    refused(mixture, tmp_path, told, "--data", absent, "--expert", "ball")
    refused(mixture, tmp_path, told, "--data", absent, "--mode", "paper")


def test_a_joint_gate_needs_general_classes(mixture: Bundle, tmp_path: Path) -> None:
    single = write_nnunet(tmp_path / "single", CASES, classes={"ball": 1})
    told = "every class here is some expert's"
    refused(mixture, tmp_path, told, "--data", single, "--mode", "joint")
