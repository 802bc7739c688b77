import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sammoe.bundle import load_bundle
from sammoe.bundle.features import load_reference
from sammoe.errors import BundleInvalid, DataSetInvalid
from sammoe.export import export_bundle
from sammoe.model.gate_features import TOKENS
from sammoe.training.commands import negatives
from sammoe.training.gates import sources
from tests.datasets import write_nnunet
from tests.unit.export import tiny
from tests.unit.export.mixtures import general, mixture

CASES = ("a", "b", "c", "d")


def arguments(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    negatives.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a general model alone."""
    folder = tmp_path_factory.mktemp("plain") / "bundle"
    return export_bundle(tiny.model(tiny.DETAILED), folder, tiny.RELEASE).path


def test_a_bundle_gets_features_of_prompts_in_every_data_set(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [write_nnunet(tmp_path / name, CASES) for name in ("clinic", "ward")]
    common = ("--bundle", plain, "--data", *data, "--count", 30, "--cache", tmp_path / "cache")

    negatives.run(arguments(*common, "--out", tmp_path / "out"))

    assert "30 random prompts of 2 data sets" in capsys.readouterr().out
    reference = load_reference(load_bundle(tmp_path / "out"))
    assert reference is not None
    assert reference.domains == ("clinic", "ward")
    assert np.bincount(reference.domain).tolist() == [15, 15]
    assert reference.standard.shape == (30, TOKENS * tiny.DETAILED.prompt_dim)
    assert 0.5 < reference.standard.std() < 1.5

    negatives.run(arguments(*common, "--out", tmp_path / "again"))
    again = load_reference(load_bundle(tmp_path / "again"))
    assert again is not None
    assert again.to_bytes() == reference.to_bytes()


def test_scans_need_no_labels(plain: Path, tmp_path: Path) -> None:
    data = write_nnunet(tmp_path / "clinic", CASES)
    shutil.rmtree(data / "labelsTr")
    common = ("--bundle", plain, "--data", data, "--count", 4, "--cache", tmp_path / "cache")
    negatives.run(arguments(*common, "--out", tmp_path / "out"))
    assert load_reference(load_bundle(tmp_path / "out")) is not None


def test_a_folder_that_is_taken_is_refused_before_the_work(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_nnunet(tmp_path / "clinic", CASES), tmp_path / "out"
    shutil.copytree(plain, out)
    words = ("--bundle", plain, "--data", data, "--count", 4, "--cache", tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(negatives, "load_networks", None)
        with pytest.raises(BundleInvalid, match=r"out holds a bundle: .* or --replace it"):
            negatives.run(arguments(*words, "--out", out))
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "a.txt").write_text("mine")
        with pytest.raises(BundleInvalid, match="notes holds other things"):
            negatives.run(arguments(*words, "--out", tmp_path / "notes", "--replace"))
    negatives.run(arguments(*words, "--out", out, "--replace"))
    assert load_reference(load_bundle(out)) is not None
    again = ("--bundle", out, *words[2:], "--seed", 1)
    negatives.run(arguments(*again, "--out", out))  # Its own folder.


def test_a_bundle_with_heads_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = mixture(general(tmp_path / "general"), tmp_path / "one", ("ball",))
    monkeypatch.setattr(negatives, "load_networks", None)
    with pytest.raises(BundleInvalid, match="one has heads"):
        negatives.run(arguments("--bundle", bundle.path, "--data", tmp_path, "--out", tmp_path))


def test_only_patients_for_training_are_looked_at(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_nnunet(tmp_path / "clinic", CASES)
    seen: list[str] = []

    def prepare(encoder: object, cases: object, *given: object, **more: object) -> None:
        seen.extend(case.name for case in cases)  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "prepare_random", prepare)
    with pytest.raises(KeyboardInterrupt):
        negatives.run(arguments("--bundle", plain, "--data", data, "--out", tmp_path / "out"))
    split = sources.read_sources([data])[0].split
    assert seen == [case.name for case in split.train]
    assert len(seen) < len(CASES)


@pytest.mark.parametrize("words", [("--count", "0"), ("--seed", "-1"), ("--threads", "0")])
def test_numbers_are_checked(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--data", "x", "--out", "y", *words)
    assert f"argument {words[0]}: must be " in capsys.readouterr().err


def test_scans_of_nothing_are_refused(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_nnunet(tmp_path / "clinic", CASES)
    monkeypatch.setattr(sources, "prepare_random", lambda *given, **more: ())
    with pytest.raises(DataSetInvalid, match="clinic shows no body"):
        negatives.run(arguments("--bundle", plain, "--data", data, "--out", tmp_path / "out"))


def test_data_sets_of_one_name_are_refused(plain: Path, tmp_path: Path) -> None:
    data = [write_nnunet(tmp_path / part / "clinic", CASES) for part in ("a", "b")]
    with pytest.raises(DataSetInvalid, match="two data sets are called 'clinic'"):
        negatives.run(arguments("--bundle", plain, "--data", *data, "--out", tmp_path / "out"))


def test_a_patient_of_two_parts_is_refused(plain: Path, tmp_path: Path) -> None:
    data = [write_nnunet(tmp_path / name, CASES) for name in ("clinic", "ward")]
    for folder, test in zip(data, ("a", "b"), strict=True):
        parts = {case: "test" if case == test else "train" for case in CASES}
        (folder / "split.json").write_text(json.dumps(parts))
    with pytest.raises(DataSetInvalid, match=r"patient a is in the part test of .*clinic, and in"):
        negatives.run(arguments("--bundle", plain, "--data", *data, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
