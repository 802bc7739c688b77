import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sammoe.errors import CheckpointInvalid
from sammoe.model.gate import ExpertHeads, PaperGate, new_head
from sammoe.model.heads_file import GateMode, load_gate, load_head, save_gate, save_head
from tests.unit.model.test_gate import CONFIG


def a_head(path: Path) -> None:
    save_head(path, "cord", new_head(10, 4), "ab")


def a_gate(path: Path) -> None:
    save_gate(path, PaperGate(CONFIG, 1, none_of_them=False), "paper", ["cord"], CONFIG)


def test_a_head_comes_back_as_it_was(tmp_path: Path) -> None:
    head, features = new_head(10, 4), torch.randn(3, 10)
    save_head(tmp_path / "head.safetensors", "cord", head, "abc")

    read = load_head(tmp_path / "head.safetensors")

    assert (read.name, read.reference) == ("cord", "abc")
    assert torch.equal(read.net(features), head(features))
    heads = ExpertHeads(torch.zeros(10), torch.ones(10), hidden=4)
    heads.add(read.name, read.net)
    assert torch.equal(heads(features), head(features))


@pytest.mark.parametrize("mode", ["joint", "paper"])
def test_a_gate_comes_back_as_it_was(tmp_path: Path, mode: GateMode) -> None:
    gate = PaperGate(CONFIG, 2, none_of_them=mode == "joint")
    save_gate(tmp_path / "gate.safetensors", gate, mode, ["cord", "lesion"], CONFIG)

    read = load_gate(tmp_path / "gate.safetensors")

    assert (read.mode, read.experts) == (mode, ("cord", "lesion"))
    assert not read.gate.training
    for name, value in gate.state_dict().items():
        assert torch.equal(read.gate.state_dict()[name], value)


@pytest.mark.parametrize("load", [load_head, load_gate])
def test_other_files_are_refused(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointInvalid, match="can not be read"):
        load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointInvalid, match="can not be read"):
        load(path)
    (a_gate if load is load_head else a_head)(path)
    with pytest.raises(CheckpointInvalid, match="sammoe train gate"):
        load(path)


def test_damaged_heads_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    a_head(path)
    state, metadata = load_file(path), {"head": "cord", "reference": "ab"}
    save_file({k: v for k, v in state.items() if k != "net.0.weight"}, path, metadata)
    with pytest.raises(CheckpointInvalid, match="missing"):
        load_head(path)
    save_file(state | {"net.2.bias": torch.zeros(2)}, path, metadata)
    with pytest.raises(CheckpointInvalid, match="does not fit"):
        load_head(path)


def test_a_gate_with_a_wrong_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.safetensors"
    a_gate(path)
    metadata = {"gate": "paper", "experts": '["cord"]', "config": "{}"}
    save_file(load_file(path), path, metadata | {"config": "no JSON"})
    with pytest.raises(CheckpointInvalid, match="metadata"):
        load_gate(path)
    save_file(load_file(path), path, metadata | {"experts": "3"})
    with pytest.raises(CheckpointInvalid, match="metadata"):
        load_gate(path)
    config = json.dumps(CONFIG.to_dict() | {"decoder_heads": 0})
    save_file(load_file(path), path, metadata | {"config": config})
    with pytest.raises(CheckpointInvalid, match="decoder_heads is 0"):
        load_gate(path)
