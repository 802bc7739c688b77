"""``sammoe train expert`` from a folder to a checkpoint."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sammoe.bundle import Bundle, Expert, load_bundle
from sammoe.bundle.locking import claimed
from sammoe.cli import FAILED, main
from sammoe.errors import CheckpointInvalid, Conflict, DataSetInvalid, SettingsInvalid
from sammoe.export import export_bundle, load_networks
from sammoe.model import build_sam_med3d
from sammoe.model.checkpoint import load_checkpoint, save_checkpoint
from sammoe.training import cli
from sammoe.training.frozen import weights_digest
from sammoe.training.ranks import Ranks
from tests.datasets import write_nnunet
from tests.unit.export import tiny
from tests.unit.export.mixtures import general, mixture

NAMES = [f"p{i}" for i in range(6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "general"
    export_bundle(tiny.model(tiny.DETAILED), out, tiny.RELEASE, half=True)
    return load_bundle(out)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_nnunet(tmp_path / "clinic", NAMES)


def train(bundle: Bundle, data: Path, *words: str) -> Path:
    """Run the command in the folder of ``data``; its output folder."""
    out = data.parent / "out"
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    fixed = f"expert --bundle {bundle.path} --data {data} --out {out} --cache {data.parent / 'c'}"
    few = "--steps 2 --windows 2 --batch 2 --points 2 --every 1 --threads 1 --device cpu"
    args = parser.parse_args([*fixed.split(), *few.split(), *words])
    cli.run(args)
    return out


def test_a_folder_becomes_a_checkpoint_with_its_expert(
    bundle: Bundle, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", "red_ball", "--class", "ball", "--code", "SCT:123:Ball: a round thing"]
    out = train(bundle, data, *words, "--licence", "CC0-1.0")
    path = out / "expert.safetensors"
    checkpoint = load_checkpoint(path)
    expert = Expert.model_validate_json(checkpoint.metadata["expert"])
    assert (expert.name, expert.label, expert.classes) == ("red_ball", "red ball", ("ball",))
    assert expert.modalities == ("MR",)
    assert expert.training_data == "clinic"
    assert expert.licence == "CC0-1.0"
    assert expert.codes[0].model_dump() == {
        "scheme": "SCT",
        "value": "123",
        "meaning": "Ball: a round thing",
    }
    start = load_networks(bundle).model
    for part in ("image_encoder", "prompt_encoder"):
        mine, theirs = getattr(checkpoint.model, part), getattr(start, part)
        assert weights_digest(mine) == weights_digest(theirs)
    details = json.loads(checkpoint.metadata["training"])
    assert details["steps"] == 2
    assert details["scans"] == 4
    printed = capsys.readouterr().out
    assert "dice_box on the calibrate split: " in printed
    assert f"next: sammoe train gate --bundle {bundle.path} --data {data} --checkpoint {path}" in (
        printed
    )
    assert (data / "split.json").exists()


def test_a_run_goes_on_with_the_same_words(
    bundle: Bundle, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(bundle, data, "--task", "ball")
    train(bundle, data, "--task", "ball", "--steps", "3")
    printed = capsys.readouterr().out
    assert "going on after step 2" in printed
    assert "3 steps on 4 scans" in printed


def test_a_second_run_does_not_write_into_the_folder_of_a_first(bundle: Bundle, data: Path) -> None:
    out = data.parent / "out"
    with claimed(out):
        with pytest.raises(Conflict, match=f"another command is writing into {out}"):
            train(bundle, data, "--task", "ball")
        assert [path.name for path in out.iterdir()] == [".lock"]


def test_another_class_is_no_run_to_go_on_with(bundle: Bundle, data: Path) -> None:
    train(bundle, data, "--task", "ball")
    with pytest.raises(SettingsInvalid, match="learnt another task"):
        train(bundle, data, "--task", "ball", "--class", "cube")


def test_an_expert_of_a_known_name_is_told_of(
    bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = mixture(general(tmp_path / "general"), tmp_path / "two", ("ball", "cube"))
    train(two, data, "--task", "ball")
    assert "has an expert ball already" in capsys.readouterr().err
    train(two, data, "--task", "cube", "--from-expert", "cube", "--out", str(tmp_path / "again"))
    assert "already" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "values"),
    [
        *((name, ("0", "-1", "1.5")) for name in ("--windows", "--steps", "--batch", "--points")),
        *((name, ("0", "many")) for name in ("--every", "--patience", "--threads")),
        *((name, ("0", "nan", "-1", "inf", "fast")) for name in ("--minutes", "--lr")),
        ("--seed", ("-1",)),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    option: str, values: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values:
        with pytest.raises(SystemExit, match=str(FAILED)):
            main(["train", "expert", "--task", "x", "--data", "x", option, value])
        complaint = capsys.readouterr().err.splitlines()
        assert len(complaint) == 1
        assert f"argument {option}: must be " in complaint[0]


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", ""])
def test_devices_that_are_not_there_are_refused(bundle: Bundle, data: Path, device: str) -> None:
    with pytest.raises(SettingsInvalid, match="no device"):
        train(bundle, data, "--task", "ball", "--device", device)


def test_minutes_alone_end_a_run(
    bundle: Bundle, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    words = f"expert --task ball --data {data} --bundle {bundle.path} --out {data.parent / 'o'}"
    few = f"--minutes 1e-6 --windows 2 --batch 1 --points 1 --cache {data.parent / 'c'}"
    cli.run(parser.parse_args([*words.split(), *few.split()]))
    assert "1 steps on 4 scans" in capsys.readouterr().out


def test_another_decoder_can_be_the_start(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    model = load_networks(bundle).model
    start = tiny.model(tiny.DETAILED, seed=8)
    model.mask_decoder.load_state_dict(start.mask_decoder.state_dict())
    save_checkpoint(tmp_path / "init.safetensors", model, {})
    words = ["--task", "ball", "--init", str(tmp_path / "init.safetensors"), "--lr", "1e-9"]
    trained = load_checkpoint(train(bundle, data, *words) / "expert.safetensors").model
    for mine, theirs in zip(
        trained.mask_decoder.parameters(), start.mask_decoder.parameters(), strict=True
    ):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_a_decoder_of_another_architecture_is_refused(
    bundle: Bundle, data: Path, tmp_path: Path
) -> None:
    other = build_sam_med3d(replace(tiny.DETAILED, depth=1, global_blocks=(0,)))
    save_checkpoint(tmp_path / "init.safetensors", other, {})
    with pytest.raises(CheckpointInvalid, match="another architecture"):
        train(bundle, data, "--task", "ball", "--init", str(tmp_path / "init.safetensors"))


def test_what_can_not_be_trained_is_told_in_one_line(bundle: Bundle, data: Path) -> None:
    with pytest.raises(DataSetInvalid, match=r"clinic has no class 'liver'; it has: ball, cube"):
        train(bundle, data, "--task", "liver")
    with pytest.raises(SettingsInvalid, match="name: String should match"):
        train(bundle, data, "--task", "Ball", "--class", "ball")
    with pytest.raises(SettingsInvalid, match="can not be called 'general'"):
        train(bundle, data, "--task", "general", "--class", "ball")
    with pytest.raises(SystemExit):
        train(bundle, data, "--task", "ball", "--code", "SCT:123")


def test_a_modality_that_nobody_says_is_asked_for(bundle: Bundle, tmp_path: Path) -> None:
    data = write_nnunet(tmp_path / "clinic", NAMES[:3], modality="noise")
    with pytest.raises(SettingsInvalid, match="give --modality CT or MR"):
        train(bundle, data, "--task", "ball")
    out = train(bundle, data, "--task", "ball", "--modality", "MR")
    metadata = load_checkpoint(out / "expert.safetensors").metadata
    assert Expert.model_validate_json(metadata["expert"]).modalities == ("MR",)


def test_a_modality_that_later_commands_may_not_see_is_told_of(
    bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--task", "ball", "--init", str(tmp_path / "none"))  # Ends before it trains.

    def told(folder: Path, *modalities: str) -> list[str]:
        with pytest.raises(CheckpointInvalid):
            train(bundle, folder, *words, *modalities)
        return capsys.readouterr().err.splitlines()

    assert (
        told(data) == told(data, "--modality", "MR") == told(data, "--modality", "CT", "MR") == []
    )
    (line,) = told(data, "--modality", "CT")
    assert line.startswith(f"{data}: gate, calibrate and evaluate may take scans for MR, which")
    unsaid = write_nnunet(tmp_path / "unsaid", NAMES[:3], modality="?")
    assert len(told(unsaid, "--modality", "CT", "MR")) == 1
    (line,) = told(unsaid, "--modality", "CT")
    assert '"channel_names": {"0": "CT"}' in line


def test_scans_without_the_task_are_refused_by_folder(bundle: Bundle, tmp_path: Path) -> None:
    data = write_nnunet(tmp_path / "clinic", NAMES[:3], classes={"ball": 1, "cube": 2, "disc": 3})
    with pytest.raises(DataSetInvalid, match=r"clinic: no patient for training shows disc"):
        train(bundle, data, "--task", "disc")


def test_only_the_first_process_writes_and_prints(
    bundle: Bundle,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ranks, "start", lambda device: Ranks(rank=1))
    with claimed(data.parent / "out"):  # by the first
        out = train(bundle, data, "--task", "ball")
    assert capsys.readouterr().out == ""
    assert not list(out.iterdir())
