from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sammoe.bundle import ReferenceFeatures
from sammoe.errors import DataSetInvalid
from sammoe.model.gate_features import TOKENS
from sammoe.training.frozen import weights_digest
from sammoe.training.gates import new_head
from sammoe.training.gates.heads import HeadRecipe
from sammoe.training.gates.new_head import HeadMaker, NewHead
from sammoe.training.gates.sources import read_sources
from tests.datasets import write_nnunet
from tests.unit.export import tiny
from tests.unit.training.gates.worlds import frozen
from tests.unit.training.small import CONFIG, RULE

CASES = tuple("abcdef")
BALL = tiny.CORD.model_copy(update={"name": "ball", "classes": ("ball",)})
FEATURES = (
    np.random.default_rng(0).normal(0, 1, (20, TOKENS * CONFIG.prompt_dim)).astype(np.float32)
)
REFERENCE = ReferenceFeatures.of(FEATURES, ("clinic", "ward"), np.arange(20) % 2)


@pytest.fixture
def maker(tmp_path: Path) -> HeadMaker:
    recipe = HeadRecipe(steps=3, batch=8)
    return HeadMaker(frozen(), REFERENCE, RULE, 8, recipe, tmp_path / "cache")


def test_a_head_depends_on_its_own_inputs_and_on_all_of_them(
    maker: HeadMaker, tmp_path: Path
) -> None:
    clinic = read_sources([write_nnunet(tmp_path / "clinic", CASES)])
    ribs = read_sources([write_nnunet(tmp_path / "ribs", CASES, classes={"rib": 2})])
    decoder = maker.model.mask_decoder

    def digest(made: NewHead) -> str:
        return weights_digest(made.net)

    first = digest(maker.make(BALL, decoder, clinic))
    # A data set without own classes, or others' labels in the same scans, have no part in it.
    assert digest(maker.make(BALL, decoder, [*clinic, *ribs])) == first
    other = ReferenceFeatures.of(2 * FEATURES[::-1], REFERENCE.domains, REFERENCE.domain)
    same_constants = replace(
        REFERENCE, standard=np.where(REFERENCE.domain[:, None] == 0, 5, REFERENCE.standard)
    )
    assert digest(replace(maker, reference=same_constants).make(BALL, decoder, clinic)) == first
    assert digest(replace(maker, reference=other).make(BALL, decoder, clinic)) != first
    assert digest(maker.make(BALL, frozen(1).mask_decoder, clinic)) != first
    assert digest(maker.make(BALL, decoder, clinic, general=ribs)) != first
    assert digest(replace(maker, seed=1).make(BALL, decoder, clinic)) != first


def test_data_sets_are_used_alike_and_empty_classes_left_out(
    maker: HeadMaker, tmp_path: Path
) -> None:
    both = read_sources([write_nnunet(tmp_path / name, CASES) for name in ("clinic", "ward")])
    none = read_sources([write_nnunet(tmp_path / "none", CASES, classes={"cube": 2, "ghost": 7})])

    made = maker.make(BALL, maker.model.mask_decoder, both, general=none)

    assert made.looks


def test_other_classes_prompts_are_made_once_for_all_heads(
    maker: HeadMaker, tmp_path: Path
) -> None:
    clinic = read_sources([write_nnunet(tmp_path / "clinic", CASES)])
    ribs = read_sources([write_nnunet(tmp_path / "ribs", CASES, classes={"rib": 2})])
    made: list[set[Path]] = [set()]
    for decoder in (maker.model.mask_decoder, frozen(1).mask_decoder):
        maker.make(BALL, decoder, clinic, general=ribs)
        made.append({*(tmp_path / "cache").glob("prompts-*")} - made[-1])
    # Own and random ones, to train on and to look at; once those of the ribs.
    assert [len(banks) for banks in made] == [0, 4 + 1, 4]


def test_a_head_that_no_calibration_patient_shows_is_softened_as_usual(
    maker: HeadMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = read_sources([write_nnunet(tmp_path / "clinic", CASES[:2])])

    softened = maker.make(BALL, maker.model.mask_decoder, few)
    monkeypatch.setattr(new_head, "USUAL_SOFTENING", 1.0)
    raw = maker.make(BALL, maker.model.mask_decoder, few)

    assert not softened.looks
    features = torch.from_numpy(FEATURES)
    torch.testing.assert_close(softened.net(features), raw.net(features) / 3)


def test_an_expert_that_is_nowhere_labelled_gets_no_head(maker: HeadMaker, tmp_path: Path) -> None:
    ghosts = read_sources(
        [write_nnunet(tmp_path / "clinic", CASES, classes={"ball": 7, "cube": 2})]
    )
    with pytest.raises(DataSetInvalid, match="nothing of expert ball"):
        maker.make(BALL, maker.model.mask_decoder, ghosts)
