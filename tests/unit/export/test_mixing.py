"""Experts come and go; everything else stays as it was, to the byte and to the bit."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from sammoe.bundle import PROMPT_KINDS, Bundle, Routing, load_bundle, load_reference, write_manifest
from sammoe.bundle.assembling import assemble
from sammoe.bundle.selector import without_selector
from sammoe.bundle.self_test import check_self_test
from sammoe.errors import BundleInvalid, ExportMismatch
from sammoe.export import load_networks
from sammoe.export.answering import NetworkRunner
from sammoe.export.mixing import (
    with_expert,
    with_gate,
    with_reference,
    without_expert,
)
from sammoe.export.parts import ExpertDecoder, parts_of
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.mask_decoder import MaskDecoder
from tests.unit.export import tiny
from tests.unit.export.mixtures import (
    FEATURES,
    decoder,
    expert,
    general,
    general_of_before,
    head,
    mixture,
    reference,
)

SIX = ("cord", "lesion", "pancreas", "oesophagus", "anterior", "posterior")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without experts, with random prompts; float16."""
    return general(tmp_path_factory.mktemp("bare") / "repo", half=True)


@pytest.fixture(scope="module")
def six(bare: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return mixture(bare, tmp_path_factory.mktemp("six") / "repo", SIX)


@pytest.fixture(scope="module")
def seven(six: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("seven") / "repo"
    return with_expert(six, decoder(9), expert("sarcoma"), head(six, "sarcoma", 9), out=out)


def scores(bundle: Bundle, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Through ONNX Runtime, one prompt at a time, as served."""
    session = onnxruntime.InferenceSession(bundle.model_path("gate"))
    rows = [session.run(["scores"], {"gate_features": row[None]})[0] for row in features]
    return np.concatenate(rows)


def run_self_test(bundle: Bundle) -> float:
    networks = load_networks(bundle)
    experts = [ExpertDecoder(e, networks.experts[e.name]) for e in bundle.manifest.experts]
    parts = parts_of(networks.model, experts, networks.gate)
    runner = NetworkRunner({plain: part.module for plain, part in parts.items()})
    return check_self_test(bundle.manifest, runner)


def files(bundle: Bundle, *plain: str) -> dict[str, bytes]:
    folders = [bundle.manifest.models[name] for name in plain]
    names = [name for name in bundle.manifest.files if name.split("/")[0] in folders]
    return {name: (bundle.path / name).read_bytes() for name in names}


def test_a_seventh_expert_leaves_the_scores_of_six_bit_identical(
    six: Bundle, seven: Bundle
) -> None:
    random = np.random.default_rng(5)
    features = random.normal(1, 4, (500, FEATURES)).astype(np.float32)

    before, after = scores(six, features), scores(seven, features)

    assert after.shape == (500, 7)
    assert np.array_equal(after[:, :6], before)
    assert before.std(axis=0).min() > 0.01
    gates = [load_networks(bundle).gate for bundle in (six, seven)]
    assert all(isinstance(gate, ExpertHeads) for gate in gates)
    with torch.no_grad():
        first, second = (gate(torch.from_numpy(features)) for gate in gates if gate is not None)
    assert torch.equal(second[:, :6], first)


def test_a_bundle_of_before_takes_experts_and_lets_them_go(tmp_path: Path) -> None:
    two = mixture(general_of_before(tmp_path / "general"), tmp_path / "two", SIX[:2])
    width = two.manifest.model.gate_features
    assert width < FEATURES
    features = np.random.default_rng(5).normal(1, 4, (20, width)).astype(np.float32)

    three = with_expert(
        two, decoder(9), expert("sarcoma"), head(two, "sarcoma", 9), out=tmp_path / "three"
    )

    assert three.manifest.model == two.manifest.model
    assert "gate_tokens" not in (three.path / "bundle.json").read_text()  # as it was written then
    assert np.array_equal(scores(three, features)[:, :2], scores(two, features))
    assert run_self_test(three) < 0.5
    again = without_expert(three, "sarcoma", out=tmp_path / "again")
    assert again.manifest.models == two.manifest.models


def test_everything_but_the_gate_is_copied_byte_for_byte(six: Bundle, seven: Bundle) -> None:
    kept = ("image_encoder", "decoder_general", *(f"decoder_{name}" for name in SIX))

    assert files(seven, *kept) == files(six, *kept)
    assert len(files(six, *kept)) == 3 * len(kept) + 1  # and the features of random prompts
    assert [e.name for e in seven.manifest.experts] == [*SIX, "sarcoma"]
    assert list(seven.manifest.models)[-2:] == ["decoder_sarcoma", "gate"]
    assert {p.name for p in seven.path.iterdir()} == {
        "bundle.json",
        *seven.manifest.folders.values(),
    }
    details = seven.manifest.provenance.details["export"]
    assert isinstance(details, dict)
    measured = details["measured"]
    assert isinstance(measured, dict)
    assert measured.keys() == seven.manifest.models.keys()
    assert details["bounds"].keys() == {"graph", "rounding"}  # type: ignore[union-attr]


def test_the_new_experts_decoder_is_the_one_given(seven: Bundle) -> None:
    found = load_networks(seven).experts["sarcoma"].state_dict()
    wanted = decoder(9).state_dict()

    name = "transformer.layers.1.mlp.lin1.weight"
    assert torch.equal(found[name], wanted[name].half().float())


def test_the_self_test_covers_every_expert(six: Bundle, seven: Bundle) -> None:
    assert seven.manifest.self_test is not None
    assert {
        "click/sarcoma",
        "box/sarcoma",
        "click/scores",
    } <= seven.manifest.self_test.outputs.keys()
    assert run_self_test(seven) < 0.5
    assert run_self_test(six) < 0.5


def test_taking_it_out_again_gives_the_bundle_before(
    six: Bundle, seven: Bundle, tmp_path: Path
) -> None:
    again = without_expert(seven, "sarcoma", out=tmp_path / "repo")

    # The heads are rounded already, so only what rounding them had changed is not known any more.
    now, before = without_selector(again.manifest), without_selector(six.manifest)
    assert now.model_copy(update={"provenance": before.provenance}) == before


def test_an_expert_in_the_middle_can_go(six: Bundle, tmp_path: Path) -> None:
    features = np.random.default_rng(6).normal(1, 4, (50, FEATURES)).astype(np.float32)

    fewer = without_expert(six, "pancreas", out=tmp_path / "repo")

    assert [e.name for e in fewer.manifest.experts] == [n for n in SIX if n != "pancreas"]
    assert np.array_equal(scores(fewer, features), np.delete(scores(six, features), 2, axis=1))


def test_the_first_and_the_last_expert(bare: Bundle, tmp_path: Path) -> None:
    one = with_expert(bare, decoder(1), expert("cord"), head(bare, "cord"), out=tmp_path / "one")
    none = without_expert(one, "cord", out=tmp_path / "none")

    gate = load_networks(one).gate
    assert isinstance(gate, ExpertHeads)
    assert torch.equal(gate.mean, torch.from_numpy(reference().mean))
    assert torch.equal(gate.deviation, torch.from_numpy(reference().deviation))
    assert none.manifest == bare.manifest


def test_a_bundle_can_be_changed_where_it_lies(bare: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bare.path, tmp_path / "repo")
    here = load_bundle(tmp_path / "repo")

    with_expert(here, decoder(1), expert("cord"), head(bare, "cord"), out=here.path)
    changed = without_expert(load_bundle(here.path), "cord", out=here.path)

    assert changed.manifest == bare.manifest
    names = {path.name for path in here.path.iterdir()}
    assert names == {"bundle.json", *bare.manifest.folders.values()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: (expert("cord"), head(b, "cord")), "has an expert called cord: remove it"),
        (lambda b: (expert("new"), head(b, "other")), "is for the expert other, not for new"),
        (
            lambda b: (expert("new"), replace(head(b, "new"), reference="0" * 64)),
            "train it again with sammoe train gate",
        ),
    ],
)
def test_what_does_not_belong_is_refused(
    six: Bundle, tmp_path: Path, change: Callable[[Bundle], Any], message: str
) -> None:
    described, its_head = change(six)

    with pytest.raises(BundleInvalid, match=message):
        with_expert(six, decoder(1), described, its_head, out=tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


class Drifting(MaskDecoder):
    """A decoder that a trace can not hold."""

    calls = 0

    def paint(self, *args: Any) -> torch.Tensor:
        self.calls += 1
        return super().paint(*args) + 1e-3 * self.calls


def test_an_expert_whose_graph_differs_is_never_written(six: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportMismatch, match="decoder_new"):
        with_expert(
            six, Drifting(tiny.DETAILED), expert("new"), head(six, "new"), out=tmp_path / "repo"
        )
    assert not (tmp_path / "repo").exists()


def test_heads_need_the_random_prompts_they_were_trained_with(bare: Bundle, tmp_path: Path) -> None:
    files = {n: d for n, d in bare.manifest.files.items() if not n.endswith(".npz")}
    without = replace(bare, manifest=bare.manifest.model_copy(update={"files": files}))

    with pytest.raises(BundleInvalid, match="sammoe train negatives"):
        with_expert(without, decoder(1), expert("new"), head(bare, "new"), out=tmp_path / "repo")


def test_no_such_expert(six: Bundle, bare: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="no expert called liver; it has: cord, lesion"):
        without_expert(six, "liver", out=tmp_path / "repo")
    with pytest.raises(BundleInvalid, match="it has: none"):
        without_expert(bare, "liver", out=tmp_path / "repo")


@pytest.mark.parametrize("mode", ["joint", "paper"])
def test_another_gate(six: Bundle, tmp_path: Path, mode: str) -> None:
    gate = PaperGate(tiny.DETAILED, 6, none_of_them=mode == "joint").eval()

    changed = with_gate(six, gate, out=tmp_path / "repo")

    assert changed.manifest.routing.gate == mode
    assert changed.manifest.routing.tau == six.manifest.routing.tau
    decoders = [f"decoder_{name}" for name in SIX]
    assert files(changed, *decoders) == files(six, *decoders)
    assert run_self_test(changed) < 0.5
    back = load_networks(changed).gate
    assert isinstance(back, PaperGate)
    assert back.out.out_features == (7 if mode == "joint" else 6)
    with pytest.raises(BundleInvalid, match=f"has a {mode} gate.*after adding one"):
        with_expert(changed, decoder(9), expert("x"), head(six, "x"), out=tmp_path / "more")
    with pytest.raises(BundleInvalid, match=f"has a {mode} gate.*after removing one"):
        without_expert(changed, "cord", out=tmp_path / "less")


def test_a_gate_for_other_experts_is_refused(six: Bundle, bare: Bundle, tmp_path: Path) -> None:
    gate = PaperGate(tiny.DETAILED, 5, none_of_them=False)

    with pytest.raises(BundleInvalid, match="do not belong to the experts"):
        with_gate(six, gate, out=tmp_path / "repo")
    with pytest.raises(BundleInvalid, match="no experts"):
        with_gate(bare, gate, out=tmp_path / "repo")


def test_random_prompts_ship_with_the_general_decoder(bare: Bundle, tmp_path: Path) -> None:
    new = reference(seed=4, count=30)

    changed = with_reference(bare, new, out=tmp_path / "repo")

    found = load_reference(changed)
    assert found is not None
    assert np.array_equal(found.standard, new.standard)
    assert changed.model_digest("decoder_general") == bare.model_digest("decoder_general")
    assert changed.manifest.models["image_encoder"] == bare.manifest.models["image_encoder"]
    assert changed.manifest.models["decoder_general"] != bare.manifest.models["decoder_general"]


def test_random_prompts_of_another_model_or_beside_trained_heads_are_refused(
    bare: Bundle, six: Bundle, tmp_path: Path
) -> None:
    short = replace(reference(), standard=reference().standard[:, :-1])
    with pytest.raises(BundleInvalid, match=rf"not \[n, {FEATURES}\]"):
        with_reference(bare, short, out=tmp_path / "repo")
    with pytest.raises(BundleInvalid, match="has heads, trained with the features"):
        with_reference(six, reference(), out=tmp_path / "repo")


def test_routing_changes_the_manifest_alone(six: Bundle, tmp_path: Path) -> None:
    routing = Routing(fusion="logit", tau=dict.fromkeys(PROMPT_KINDS, 0.7))

    manifest = six.manifest.model_copy(update={"routing": routing})
    changed = assemble(six, manifest, {}, out=tmp_path / "repo", replace=False)

    assert without_selector(changed.manifest) == without_selector(manifest)


def test_what_was_calibrated_is_not_said_of_other_experts(six: Bundle, tmp_path: Path) -> None:
    shutil.copytree(six.path, tmp_path / "calibrated")
    provenance = six.manifest.provenance
    details = provenance.details | {"calibration": {"patients": 3}, "other": 1}
    told = provenance.model_copy(update={"details": details})
    own = {"cord": {"clicks": 0.3}, "pancreas": {"clicks": 0.5}}
    routing = six.manifest.routing.model_copy(update={"own_slack": own})
    write_manifest(
        tmp_path / "calibrated",
        six.manifest.model_copy(update={"provenance": told, "routing": routing}),
    )

    less = without_expert(load_bundle(tmp_path / "calibrated"), "cord", out=tmp_path / "less")

    assert less.manifest.provenance.details.keys() == provenance.details.keys() | {"other"}
    assert less.manifest.routing.own_slack == {"pancreas": {"clicks": 0.5}}


def test_a_folder_in_use_is_left_alone(six: Bundle, bare: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "repo"
    shutil.copytree(bare.path, out)
    with pytest.raises(BundleInvalid, match="holds a bundle"):
        assemble(six, six.manifest, {}, out=out, replace=False)
    assert load_bundle(out).manifest == bare.manifest

    replaced = assemble(six, six.manifest, {}, out=out, replace=True)

    assert replaced.manifest == six.manifest
    assert {p.name for p in out.iterdir()} == {"bundle.json", *six.manifest.folders.values()}


def test_a_model_that_was_changed_is_not_passed_on(six: Bundle, tmp_path: Path) -> None:
    shutil.copytree(six.path, tmp_path / "damaged")
    damaged = load_bundle(tmp_path / "damaged")
    with damaged.model_path("decoder_cord").open("ab") as file:
        file.write(b" ")

    with pytest.raises(BundleInvalid, match=r"decoder_cord-\w{12} differs from its manifest"):
        assemble(damaged, damaged.manifest, {}, out=tmp_path / "repo", replace=False)
    assert not (tmp_path / "repo" / "bundle.json").exists()
