import argparse
from pathlib import Path

import pytest

from sammoe.bundle.locking import claimed
from sammoe.errors import Conflict, SettingsInvalid
from sammoe.model import SamMed3DConfig
from sammoe.model.checkpoint import load_checkpoint
from sammoe.training import cli
from sammoe.training.commands import general
from tests.unit.training.small import CONFIG, Cubes


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SamMed3DConfig, "small", classmethod(lambda cls: CONFIG))
    monkeypatch.setattr(general, "samplers", lambda *given: [(1.0, Cubes())])


def arguments(out: Path, steps: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    words = f"general --data unused --out {out} --steps {steps} --images 1 --workers 0 --threads 1"
    return parser.parse_args(words.split())


@pytest.mark.usefixtures("small")
def test_train_general_leaves_a_checkpoint_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(arguments(tmp_path, 1))
    assert "1 steps" in capsys.readouterr().out
    assert (tmp_path / "general.safetensors").exists()
    cli.run(arguments(tmp_path, 2))
    printed = capsys.readouterr().out
    assert "going on at step 1 of 2" in printed
    assert "sammoe export" in printed


@pytest.mark.usefixtures("small")
def test_a_second_run_does_not_write_into_the_folder_of_a_first(tmp_path: Path) -> None:
    with claimed(tmp_path):
        with pytest.raises(Conflict, match=f"another command is writing into {tmp_path}"):
            cli.run(arguments(tmp_path, 1))
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.usefixtures("small")
def test_training_begins_from_another_checkpoint(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cli.run(arguments(first, 1))
    begun = arguments(second, 1)
    begun.steps = 0
    begun.init = first / "general.safetensors"
    cli.run(begun)
    left, right = (load_checkpoint(run / "general.safetensors").model for run in (first, second))
    for name, weights in left.state_dict().items():
        assert weights.equal(right.state_dict()[name]), name


@pytest.mark.parametrize(
    "command", ["general --data x", "gate --data x", "negatives --data x --out y"]
)
def test_devices_that_are_not_there_are_refused(command: str) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    with pytest.raises(SettingsInvalid, match="no device 'cuda:99'"):
        cli.run(parser.parse_args([*command.split(), "--device", "cuda:99"]))
