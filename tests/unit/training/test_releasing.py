from datetime import date
from pathlib import Path

import torch

from sammoe.export.release import Release
from sammoe.model.checkpoint import load_checkpoint
from sammoe.training.corpus import small_window_rule
from sammoe.training.general import Recipe
from sammoe.training.releasing import save_general
from tests.unit.training.small import network


def test_a_checkpoint_says_how_it_was_made_and_cuts_windows_as_training_did(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "general.safetensors"
    save_general(model, Recipe(seed=7), path, steps=12, minutes=3.4, created=date(2026, 1, 2))
    checkpoint = load_checkpoint(path)
    release = Release.from_metadata(checkpoint.metadata)
    assert release.window.rule() == small_window_rule()
    details = release.provenance.details
    assert (details["steps"], details["minutes"]) == (12, 3)
    assert isinstance(details["recipe"], dict)
    assert details["recipe"]["seed"] == 7
    assert "hippocampus" in release.provenance.training_data
    theirs = checkpoint.model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in model.state_dict().items())
