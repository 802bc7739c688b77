from pathlib import Path

import pytest

from sammoe.bundle import GENERAL_DECODER
from sammoe.errors import BundleInvalid
from sammoe.training.evaluation.running import load_bundles
from tests.bundles import write_test_bundle

EXPERTS = ("round", "other")


def test_bundles_that_differ_in_gate_and_random_prompts_and_experts_weights_are_compared(
    tmp_path: Path,
) -> None:
    heads = write_test_bundle(tmp_path / "heads", experts=EXPERTS, reference=True)
    joint = write_test_bundle(tmp_path / "joint", experts=EXPERTS[::-1], gate="joint")
    # Its experts learnt with the gate.
    paper = write_test_bundle(
        tmp_path / "paper", experts=EXPERTS, gate="paper", radii={"round": 7.0}
    )

    found = load_bundles([heads.path, joint.path, paper.path])

    assert list(found) == ["ours", "joint", "paper"]
    # Random prompts change the folder's name, and nothing of the model.
    folders = [bundle.manifest.models[GENERAL_DECODER] for bundle in (heads, joint, paper)]
    assert folders[0] != folders[1] == folders[2]


def test_bundles_of_other_experts_are_not_compared(tmp_path: Path) -> None:
    heads = write_test_bundle(tmp_path / "heads", experts=[*EXPERTS, "seventh"])
    joint = write_test_bundle(tmp_path / "joint", experts=EXPERTS, gate="joint")

    with pytest.raises(BundleInvalid, match="seventh only in one of them") as caught:
        load_bundles([heads.path, joint.path])

    assert str(heads.path) in caught.value.detail
    assert str(joint.path) in caught.value.detail


@pytest.mark.parametrize(
    ("plain", "what"),
    [("image_encoder", "image encoder"), ("decoder_general", "general decoder")],
)
def test_bundles_of_another_general_model_are_not_compared(
    plain: str, what: str, tmp_path: Path
) -> None:
    heads = write_test_bundle(tmp_path / "heads", experts=EXPERTS)
    joint = write_test_bundle(tmp_path / "joint", experts=EXPERTS, gate="joint", broken=plain)

    with pytest.raises(BundleInvalid, match=f"have not the same {what}"):
        load_bundles([heads.path, joint.path])
