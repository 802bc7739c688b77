"""``sammoe bundle add-expert``, ``remove-expert`` and ``set-gate``, from files to a bundle."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sammoe.bundle import Bundle, Code, file_digest, load_bundle
from sammoe.cli import main
from sammoe.engine.verifying import verify_bundle
from sammoe.export import load_networks
from sammoe.model import SamMed3D
from sammoe.model.checkpoint import save_checkpoint
from sammoe.model.gate import ExpertHeads, PaperGate
from sammoe.model.heads_file import save_gate, save_head
from tests.unit.export import tiny
from tests.unit.export.mixtures import FEATURES, decoder, expert, general, head, mixture

WIDER = replace(tiny.DETAILED, prompt_dim=48)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return general(tmp_path_factory.mktemp("bare") / "repo", half=True)


@pytest.fixture(scope="module")
def two(bare: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return mixture(bare, tmp_path_factory.mktemp("two") / "repo", ("cord", "lesion"))


@pytest.fixture
def files(bare: Bundle, tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint of ``sammoe train expert`` and its head, for the expert ``new``."""
    checkpoint, head_file = tmp_path / "expert.safetensors", tmp_path / "head.safetensors"
    described = expert("new").model_copy(update={"label": "The new one", "classes": ("a", "b")})
    save_checkpoint(checkpoint, trained(bare), {"expert": described.model_dump_json()})
    write_head(bare, "new", head_file)
    return checkpoint, head_file


def trained(bundle: Bundle) -> SamMed3D:
    """Another decoder behind the bundle's own networks."""
    model = load_networks(bundle).model
    model.mask_decoder = copy.deepcopy(decoder(9))
    return model


def write_head(bundle: Bundle, name: str, path: Path) -> None:
    made = head(bundle, name)
    save_head(path, name, made.net, made.reference)


def run(*words: object) -> int:
    return main(["bundle", *map(str, words)])


def add(bundle: Bundle, files: tuple[Path, Path], out: Path, *more: object) -> int:
    checkpoint, head_file = files
    words = ("--checkpoint", checkpoint, "--head", head_file, "--out", out, *more)
    return run("add-expert", bundle.path, *words)


def test_an_expert_is_added_as_its_checkpoint_describes_it(
    two: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(two, files, tmp_path / "out") == 0

    made = load_bundle(tmp_path / "out")
    calibrate = f"next: sammoe calibrate --bundle {tmp_path / 'out'} --data ..."
    assert capsys.readouterr().out.splitlines() == [made.in_short(), calibrate]
    assert [e.name for e in made.manifest.experts] == ["cord", "lesion", "new"]
    new = made.manifest.experts[-1]
    assert new.label == "The new one"
    assert new.classes == ("a", "b")
    found = load_networks(made).experts["new"].state_dict()
    weight = "transformer.layers.0.mlp.lin1.weight"
    assert torch.equal(found[weight], decoder(9).state_dict()[weight].half().float())
    # What the networks answered, the engine that serves must answer too.
    assert verify_bundle(made) < 0.5
    assert run("publish", made.path, "--to", tmp_path / "served") == 0


def test_the_command_line_has_the_last_word(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ["--label", "Liver", "--code", "SCT:10200004:Liver", "--modality", "CT", "MR"]
    words += ["--class", "liver", "hepar", "--licence", "CC0", "--training-data", "ours"]

    assert add(bare, files, tmp_path / "out", *words) == 0

    (new,) = load_bundle(tmp_path / "out").manifest.experts
    assert new.name == "new"
    assert new.label == "Liver"
    assert new.codes == (Code(value="10200004", meaning="Liver"),)
    assert new.modalities == ("CT", "MR")
    assert new.classes == ("liver", "hepar")
    assert (new.licence, new.training_data) == ("CC0", "ours")


def test_a_checkpoint_that_people_bring_needs_a_name_and_a_modality(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "brought.safetensors"
    save_checkpoint(checkpoint, trained(bare), {})
    brought = (checkpoint, files[1])

    assert add(bare, brought, tmp_path / "out") == 2
    assert "does not say what it is for: give --name and --modality" in capsys.readouterr().err
    assert add(bare, brought, tmp_path / "out", "--name", "new", "--modality", "MR") == 0

    (new,) = load_bundle(tmp_path / "out").manifest.experts
    assert (new.label, new.classes, new.modalities) == ("new", ("new",), ("MR",))
    assert new.licence == new.training_data == "not stated"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "Not A Name"), "the expert's name is wrong"),
        (("--code", "liver"), "is not SCHEME:VALUE:MEANING"),
        (("--modality", "US"), "invalid choice"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    bare: Bundle,
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    try:
        code = add(bare, files, tmp_path / "out", *words)
    except SystemExit as error:  # by the parser
        code = int(str(error.code))

    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_metadata_that_are_no_expert_are_refused(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(files[0], trained(bare), {"expert": '{"name": "new"}'})

    assert add(bare, files, tmp_path / "out") == 2
    assert "the expert's label is wrong: Field required" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["image_encoder.blocks.0.mlp.lin1.weight", "prompt_encoder.point_embeddings.1.weight"],
)
def test_other_shared_networks_are_refused_by_name_with_the_way_out(
    bare: Bundle,
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    model = trained(bare)
    with torch.no_grad():
        dict(model.named_parameters())[name].view(-1)[0] += 1e-3
    save_checkpoint(files[0], model, {"expert": expert("new").model_dump_json()})

    assert add(bare, files, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert f"{name} differs from the bundle's" in told
    assert f"sammoe train expert --init {files[0]}" in told
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_compared_before_its_head_is_asked_for(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("add-expert", bare.path, "--checkpoint", files[0], "--out", tmp_path / "out")
    command = f"sammoe train gate --bundle {bare.path} --checkpoint {files[0]}"

    assert run(*words) == 2
    assert f"make it with {command} --data ..., and give it as --head" in capsys.readouterr().err
    assert run(*words, "--name", "mine", "--modality", "CT", "MR", "--class", "liver") == 2
    task = "--name mine --modality CT MR --class liver"
    assert f"make it with {command} {task} --data ..." in capsys.readouterr().err

    save_checkpoint(files[0], tiny.model(tiny.DETAILED, 5), {})
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert "differs from the bundle's" in told
    assert f"sammoe train expert --init {files[0]}" in told
    assert not (tmp_path / "out").exists()


def test_weights_that_the_bundle_has_rounded_are_the_same(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = tiny.model(tiny.DETAILED)  # what the bundle was exported from
    save_checkpoint(files[0], model, {"expert": expert("new").model_dump_json()})

    assert add(bare, files, tmp_path / "out") == 0


def test_a_bundle_of_float32_wants_the_very_weights(
    bare: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = general(tmp_path / "whole")
    files = (tmp_path / "expert.safetensors", tmp_path / "head.safetensors")
    save_checkpoint(files[0], trained(bare), {"expert": expert("new").model_dump_json()})
    write_head(whole, "new", files[1])

    assert add(whole, files, tmp_path / "out") == 2
    assert "image_encoder.pos_embed differs from the bundle's" in capsys.readouterr().err


def test_another_architecture_is_refused_by_setting(
    bare: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(files[0], tiny.model(tiny.CONFIG), {})

    assert add(bare, files, tmp_path / "out", "--name", "new", "--modality", "CT") == 2
    assert "window_size is 6, in the bundle it is 0" in capsys.readouterr().err


def test_an_expert_is_removed(two: Bundle, tmp_path: Path) -> None:
    assert run("remove-expert", two.path, "--name", "cord", "--out", tmp_path / "out") == 0

    assert [e.name for e in load_bundle(tmp_path / "out").manifest.experts] == ["lesion"]
    assert run("remove-expert", two.path, "--name", "x", "--out", tmp_path / "x") == 2


def test_a_gate_is_set_and_heads_again(
    two: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, joint = tmp_path / "gate.safetensors", tmp_path / "joint"
    made = PaperGate(tiny.DETAILED, 2, none_of_them=True)
    save_gate(gate, made, "joint", ["cord", "lesion"], tiny.DETAILED)
    heads: list[object] = []
    for name in ("lesion", "cord"):  # in any order
        write_head(two, name, tmp_path / name)
        heads += ["--head", tmp_path / name]

    assert run("set-gate", two.path, "--gate", gate, "--out", joint) == 0
    assert load_bundle(joint).manifest.routing.gate == "joint"
    assert verify_bundle(load_bundle(joint)) < 0.5
    assert run("set-gate", joint, *heads, "--out", tmp_path / "back") == 0

    back = load_bundle(tmp_path / "back")
    assert back.manifest.routing.gate == "heads"
    assert back.model_digest("decoder_cord") == two.model_digest("decoder_cord")
    assert file_digest(back.model_path("gate")) != file_digest(two.model_path("gate"))
    capsys.readouterr()
    assert run("set-gate", joint, "--out", tmp_path / "none", *heads[:2]) == 2
    assert "no head for cord, and " in capsys.readouterr().err
    twice = [*heads, "--head", tmp_path / "cord"]
    assert run("set-gate", joint, "--out", tmp_path / "none", *twice) == 2
    assert "two heads are for the expert cord" in capsys.readouterr().err
    write_head(two, "other", tmp_path / "other")
    heads += ["--head", tmp_path / "other"]
    assert run("set-gate", two.path, "--out", tmp_path / "none", *heads) == 2
    assert "has no expert called other" in capsys.readouterr().err


def test_one_head_is_exchanged_and_the_others_stay(two: Bundle, tmp_path: Path) -> None:
    made = head(two, "cord", 7)
    save_head(tmp_path / "cord", "cord", made.net, made.reference)

    assert run("set-gate", two.path, "--head", tmp_path / "cord", "--out", tmp_path / "out") == 0

    before, after = (load_networks(b).gate for b in (two, load_bundle(tmp_path / "out")))
    assert isinstance(before, ExpertHeads)
    assert isinstance(after, ExpertHeads)
    assert list(after.heads) == ["cord", "lesion"]
    features = torch.randn(50, FEATURES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        old, new = before(features), after(features)
    assert torch.equal(old[:, 1], new[:, 1])
    assert not torch.equal(old[:, 0], new[:, 0])


def test_experts_that_learnt_with_the_gate_come_with_it(
    two: Bundle, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, gate = tmp_path / "expert_lesion.safetensors", tmp_path / "gate.safetensors"
    save_checkpoint(checkpoint, trained(two), {"expert": expert("lesion").model_dump_json()})
    made = PaperGate(tiny.DETAILED, 2, none_of_them=False)
    save_gate(gate, made, "paper", ["cord", "lesion"], tiny.DETAILED)
    words = ("--gate", gate, "--checkpoint", checkpoint)

    assert run("set-gate", two.path, *words, "--out", tmp_path / "out") == 0

    changed = load_bundle(tmp_path / "out")
    assert changed.model_digest("decoder_cord") == two.model_digest("decoder_cord")
    assert changed.model_digest("decoder_lesion") != two.model_digest("decoder_lesion")
    assert changed.manifest.experts == two.manifest.experts
    assert verify_bundle(changed) < 0.5
    assert run("set-gate", two.path, *words, files[0], "--out", tmp_path / "none") == 2
    assert "has no expert called new" in capsys.readouterr().err
    save_checkpoint(checkpoint, trained(two), {})
    assert run("set-gate", two.path, *words, "--out", tmp_path / "none") == 2
    assert "does not say which expert it is" in capsys.readouterr().err


def test_a_gate_of_other_experts_or_sizes_is_refused(
    two: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gate.safetensors"
    for config, names, message in (
        (tiny.DETAILED, ["lesion", "cord"], "chooses between lesion, cord; the bundle has cord"),
        (WIDER, ["cord", "lesion"], "of width 48, the bundle's have 24"),
    ):
        gate = PaperGate(config, 2, none_of_them=False)
        save_gate(path, gate, "paper", names, config)
        assert run("set-gate", two.path, "--gate", path, "--out", tmp_path / "out") == 2
        assert message in capsys.readouterr().err
