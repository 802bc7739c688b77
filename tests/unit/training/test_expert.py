import csv
import os
import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from sammoe.errors import SettingsInvalid
from sammoe.model import SamMed3D
from sammoe.model.mask_decoder import MaskDecoder
from sammoe.training.expert import ExpertTrainer
from sammoe.training.expert_recipe import ExpertRecipe
from sammoe.training.frozen import weights_digest
from sammoe.training.general import GeneralTrainer, Recipe
from sammoe.training.prepared import Prepared
from sammoe.training.ranks import Ranks
from sammoe.training.runlog import RunLog
from tests.unit.training.small import network, windows

RECIPE = ExpertRecipe(steps=6, batch=4, points=2, lr=3e-3, warmup=2, average=0.8, every=2)


@pytest.fixture
def model() -> SamMed3D:
    return network()


@pytest.fixture
def some(model: SamMed3D) -> Prepared:
    return windows(model, 8)


@pytest.fixture
def others(model: SamMed3D) -> Prepared:
    return windows(model, 4, seed=1)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def same(a: MaskDecoder, b: MaskDecoder) -> bool:
    return weights_digest(a) == weights_digest(b)


def test_it_learns_with_the_decoder_alone(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    before = deepcopy(model)
    trainer = ExpertTrainer(model, replace(RECIPE, steps=40, every=20), tmp_path)
    decoder = trainer.train(some, others)
    assert trainer.scores[-1].mean > trainer.scores[0].mean + 0.3
    assert not same(decoder, before.mask_decoder)
    for part in ("image_encoder", "prompt_encoder"):
        assert weights_digest(getattr(model, part)) == weights_digest(getattr(before, part))
    assert not decoder.training
    logged = rows(tmp_path)
    assert [int(row["step"]) for row in logged] == list(range(1, 41))
    assert float(logged[-1]["loss"]) < float(logged[0]["loss"])
    looked = [int(row["step"]) for row in logged if row["dice_box"]]
    assert looked == [20, 40]
    assert {row["answers"] for row in logged} == {"1", "2"}


def test_each_number_of_answers_occurs_and_few_are_the_rule(
    model: SamMed3D, tmp_path: Path
) -> None:
    trainer = ExpertTrainer(model, ExpertRecipe(), tmp_path)
    drawn = []
    for trainer.step in range(400):
        drawn.append(trainer._answers())
    assert set(drawn) == set(range(1, 7))
    assert sum(drawn) / len(drawn) == pytest.approx(2.45, abs=0.3)


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from sammoe.training.expert import ExpertTrainer
from tests.unit.training.small import network, windows
from tests.unit.training.test_expert import RECIPE

class Killed(ExpertTrainer):
    def _learn(self, windows):
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._learn(windows)

torch.set_num_threads(1)
model = network()
Killed(model, RECIPE, Path(sys.argv[1])).train(windows(model, 8), windows(model, 4, seed=1))
"""


def test_a_killed_run_ends_where_an_undisturbed_one_does(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    again = deepcopy(model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        undisturbed = ExpertTrainer(model, RECIPE, tmp_path / "a").train(some, others)
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, str(tmp_path / "b")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert len(rows(tmp_path / "b")) == 5
        trainer = ExpertTrainer(again, RECIPE, tmp_path / "b")
        assert trainer.resume(some, others)
        assert trainer.step == 4
        assert same(trainer.train(some, others), undisturbed)
    finally:
        torch.set_num_threads(threads)
    columns = ("step", "lr", "answers", "loss", "dice", "dice_box", "dice_click", "dice_clicks")
    a, b = ([[row[c] for c in columns] for row in rows(tmp_path / k)] for k in ("a", "b"))
    assert a == b
    assert not list(tmp_path.glob("*/*.part"))


def test_a_finished_run_is_not_trained_on(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    again = deepcopy(model)
    first = ExpertTrainer(model, RECIPE, tmp_path)
    assert not first.resume(some, others)
    decoder = first.train(some, others)
    trainer = ExpertTrainer(again, RECIPE, tmp_path)
    assert trainer.resume(some, others)
    assert same(trainer.train(some, others), decoder)
    assert trainer.step == RECIPE.steps
    assert len(rows(tmp_path)) == RECIPE.steps


def test_a_state_of_other_weights_is_refused(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    ExpertTrainer(model, replace(RECIPE, steps=1), tmp_path).train(some, others)
    with pytest.raises(SettingsInvalid, match="other weights"):
        ExpertTrainer(network(seed=3), RECIPE, tmp_path).resume(some, others)


def test_a_state_of_another_lesson_is_refused(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    begun = deepcopy(model)

    def again(recipe: ExpertRecipe = RECIPE, task: str = "ball") -> ExpertTrainer:
        return ExpertTrainer(deepcopy(begun), recipe, tmp_path, task=task)

    again(replace(RECIPE, steps=1)).train(some, others)
    for trainer, windows_, calibrate in (
        (again(task="cube"), some, others),
        (again(replace(RECIPE, lr=1e-4)), some, others),
        (again(), others, others),
        (again(), some, some),
    ):
        with pytest.raises(SettingsInvalid, match=r"state.pt is of a run that learnt another task"):
            trainer.resume(windows_, calibrate)
    assert again(replace(RECIPE, steps=9, minutes=1.0)).resume(some, others)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["lesson"]
    torch.save(state, tmp_path / "state.pt")
    assert again().resume(some, others)


def test_a_damaged_state_is_refused(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    ExpertTrainer(model, replace(RECIPE, steps=1), tmp_path).train(some, others)
    path = tmp_path / "state.pt"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(SettingsInvalid, match=r"state.pt is damaged: remove it to begin anew"):
            ExpertTrainer(network(), RECIPE, tmp_path).resume(some, others)


def test_a_folder_of_general_training_is_refused(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    GeneralTrainer(network(), Recipe(), tmp_path).save()
    with pytest.raises(SettingsInvalid, match=r"state.pt is of another kind of run: give another"):
        ExpertTrainer(model, RECIPE, tmp_path).resume(some, others)


@pytest.mark.parametrize("left", ["", "step,sec"])
def test_a_log_that_a_full_disk_cut_begins_anew(
    model: SamMed3D, some: Prepared, tmp_path: Path, left: str
) -> None:
    (tmp_path / "log.csv").write_text(left)
    ExpertTrainer(model, replace(RECIPE, steps=2), tmp_path).train(some, some)
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2"]


def test_half_a_row_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n2,0.4\n1")
    log = RunLog(tmp_path, ["loss"])
    log.cut(2)
    log.write(3, {"loss": 0.3})
    log.close()
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3"]


@pytest.mark.parametrize("content", [b"step\n1\nste\n", b"step\n\xff\xfe\n", b"step\n\0\0\n"])
def test_a_damaged_log_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    log = RunLog(tmp_path, ["loss"])
    with pytest.raises(SettingsInvalid, match=r"log\.csv is damaged: remove it to go on"):
        log.cut(2)
    log.close()


def test_only_the_first_process_has_a_log(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text("step\n99\n")
    second = ExpertTrainer(model, replace(RECIPE, steps=1), tmp_path, Ranks(rank=1))
    second.train(some, others)
    assert (tmp_path / "log.csv").read_text() == "step\n99\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_it_stops_early_and_keeps_the_best(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    """A learning rate that destroys everything: the weights before the first step are the best."""
    good = deepcopy(model)
    ExpertTrainer(good, replace(RECIPE, steps=30, every=30), tmp_path).train(some, others)
    (tmp_path / "bad").mkdir()
    start = deepcopy(good.mask_decoder)
    recipe = replace(RECIPE, steps=100, lr=3.0, average=0.0, every=1, patience=2)
    trainer = ExpertTrainer(good, recipe, tmp_path / "bad")
    decoder = trainer.train(some, others)
    assert trainer.step < 10
    best = max(range(len(trainer.scores)), key=lambda i: trainer.scores[i].mean)
    assert best == 0
    assert same(decoder, start)


def test_without_windows_to_look_at_the_last_weights_are_kept(
    model: SamMed3D, some: Prepared, tmp_path: Path
) -> None:
    nothing = replace(some, embeddings=some.embeddings[:0])
    trainer = ExpertTrainer(model, replace(RECIPE, patience=1, average=0.0), tmp_path)
    assert same(trainer.train(some, nothing), trainer.model.mask_decoder)
    assert trainer.step == RECIPE.steps


def test_minutes_end_a_run(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    trainer = ExpertTrainer(model, replace(RECIPE, steps=None, minutes=1e-6), tmp_path)
    trainer.train(some, others)
    assert trainer.step == 1


def test_what_must_not_learn_is_proven(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    trainer = ExpertTrainer(model, replace(RECIPE, steps=1), tmp_path)
    with torch.no_grad():
        model.prompt_encoder.no_mask_embed.weight += 1
    with pytest.raises(RuntimeError, match="only the decoder may learn"):
        trainer.train(some, others)


def test_bfloat16_learns_too(
    model: SamMed3D, some: Prepared, others: Prepared, tmp_path: Path
) -> None:
    trainer = ExpertTrainer(model, replace(RECIPE, steps=2, bfloat16=True), tmp_path)
    before = deepcopy(model.mask_decoder)
    decoder = trainer.train(some, others)
    assert all(bool(torch.isfinite(p).all()) for p in decoder.parameters())
    assert not same(trainer.model.mask_decoder, before)


def test_a_step_that_comes_out_as_nan_changes_nothing(
    model: SamMed3D, some: Prepared, tmp_path: Path
) -> None:
    trainer = ExpertTrainer(model, RECIPE, tmp_path)
    before = deepcopy(model.mask_decoder)
    some.embeddings[:] = torch.nan
    trainer._learn(some)
    assert same(model.mask_decoder, before)
    assert same(trainer.averaged.mask_decoder, before)


def test_tensorboard_is_written_where_it_is_installed(
    model: SamMed3D, some: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, step))

        def close(self) -> None:
            written.append(("closed", 0))

    board: Any = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    ExpertTrainer(model, replace(RECIPE, steps=1), tmp_path).train(some, some)
    assert ("loss", 1) in written
    assert ("dice_box", 1) in written
    assert written[-1] == ("closed", 0)
