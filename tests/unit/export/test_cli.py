import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from sammoe.bundle import file_digest, load_bundle
from sammoe.errors import CheckpointInvalid
from sammoe.export.cli import (
    add_export_arguments,
    add_import_arguments,
    run_export,
    run_import,
)
from sammoe.export.release import official_windows
from sammoe.model.checkpoint import save_checkpoint
from tests.unit.export import tiny


def parse_import(*arguments: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_import_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def parse_export(*arguments: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_export_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_import_gives_weights_the_official_windows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A narrow network for the official window: full width takes a minute.
    checkpoint, out = tmp_path / "narrow.safetensors", tmp_path / "repo"
    model = tiny.model(replace(tiny.CONFIG, image_size=128, patch_size=16, window_size=14))
    save_checkpoint(checkpoint, model, {})

    code = run_import(
        parse_import(checkpoint, "--out", out, "--licence", "CC0", "--training-data", "none")
    )

    manifest = load_bundle(out).manifest
    assert code == 0
    assert manifest.name == "narrow"
    assert manifest.window == official_windows()
    assert manifest.provenance.source == "narrow.safetensors"
    assert manifest.provenance.licence == "CC0"
    assert manifest.provenance.training_data == "none"
    assert manifest.provenance.details["checkpoint_sha256"] == file_digest(checkpoint)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{out}: narrow, ")
    assert load_bundle(out).digest[:12] in printed


def test_import_refuses_networks_for_other_windows(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "own.safetensors", tiny.model(tiny.CONFIG), {})

    with pytest.raises(CheckpointInvalid, match="16 voxels, not the official 128: use sammoe ex"):
        run_import(parse_import(tmp_path / "own.safetensors", "--out", tmp_path / "repo"))


def test_export_takes_everything_from_the_checkpoint(tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "run.safetensors", tmp_path / "repo"
    save_checkpoint(checkpoint, tiny.model(tiny.DETAILED), tiny.RELEASE.to_metadata())

    assert run_export(parse_export(checkpoint, "--out", out, "--half")) == 0
    manifest = load_bundle(out).manifest
    assert manifest.name == "tiny"
    assert manifest.window == tiny.RELEASE.window
    assert manifest.provenance.details["seed"] == 0

    assert run_export(parse_export(checkpoint, "--out", out, "--replace", "--name", "other")) == 0
    assert load_bundle(out).manifest.name == "other"


def test_export_needs_a_checkpoint_that_knows_its_windows(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "bare.safetensors", tiny.model(tiny.DETAILED), {})

    with pytest.raises(CheckpointInvalid, match="does not say how its windows are cut"):
        run_export(parse_export(tmp_path / "bare.safetensors", "--out", tmp_path / "repo"))
