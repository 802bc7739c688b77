from pathlib import Path

import pytest

from sammoe.bundle import Bundle
from sammoe.training.datasets import load_dataset
from sammoe.training.evaluation.namesakes import tell_of_namesakes
from tests.datasets import write_nnunet


def test_classes_of_an_expert_that_a_guess_made_general_are_told_of(
    mixture: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = load_dataset(write_nnunet(tmp_path / "said", ["a", "b"])).cases
    unsaid = load_dataset(write_nnunet(tmp_path / "unsaid", ["a", "b"], modality="?")).cases
    capsys.readouterr()
    general = [
        (case.dataset, case.patient, name)
        for case in (*said, *unsaid, *unsaid)
        for name in ("ball", "cube")
    ]
    tell_of_namesakes(mixture.manifest, [*said, *unsaid], general)
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("unsaid: ball counts as a general class (patients: 2), though")
    assert '"channel_names": {"0": "CT"}' in told
