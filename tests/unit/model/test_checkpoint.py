import argparse
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from sammoe.errors import CheckpointInvalid
from sammoe.model import SamMed3DConfig, build_sam_med3d
from sammoe.model.checkpoint import load_checkpoint, save_checkpoint
from tests.unit.model import golden

State = dict[str, Tensor]


def official_state(*, boxes: bool = False) -> State:
    """Full-size weights of one value per tensor: a few kilobytes in a file."""
    with torch.device("meta"):
        model = build_sam_med3d(SamMed3DConfig.vit_b(box_embeddings=boxes))
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    return {
        key: torch.tensor(number / 1000).expand(shape)
        for number, (key, shape) in enumerate(shapes.items())
    }


def training_file(state: State) -> dict[str, Any]:
    """What the official training script writes."""
    return {
        "epoch": 3,
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 8e-5}]},
        "losses": [np.float64(0.5), np.float32(0.25)],
        "best_dice": np.float64(0.9),
        "args": argparse.Namespace(task_name="union_train", multi_gpu=True),
        "used_datas": ["a", "b"],
    }


@pytest.mark.parametrize(
    "wrap",
    [
        training_file,
        lambda state: {"state_dict": OrderedDict(state)},
        lambda state: {f"module.{key}": value for key, value in state.items()},
    ],
    ids=["training", "state_dict", "bare DataParallel"],
)
def test_official_forms_load(tmp_path: Path, wrap: Callable[[State], object]) -> None:
    state = official_state()
    torch.save(wrap(state), tmp_path / "sam_med3d.pth")

    checkpoint = load_checkpoint(tmp_path / "sam_med3d.pth")

    assert checkpoint.model.config == SamMed3DConfig.vit_b()
    assert not checkpoint.model.training
    found = checkpoint.model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_box_embeddings_are_recognised(tmp_path: Path) -> None:
    torch.save(official_state(boxes=True), tmp_path / "boxes.pth")

    config = load_checkpoint(tmp_path / "boxes.pth").model.config

    assert config == SamMed3DConfig.vit_b(box_embeddings=True)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    model = build_sam_med3d(golden.config("tinyA")).half()
    save_checkpoint(tmp_path / "half.safetensors", model, {})

    found = load_checkpoint(tmp_path / "half.safetensors").model.state_dict()

    for key, value in model.state_dict().items():
        torch.testing.assert_close(found[key], value.float(), atol=0, rtol=0)


def test_own_checkpoints_keep_config_and_metadata(tmp_path: Path) -> None:
    model = build_sam_med3d(golden.config("tinyA", box_embeddings=True))
    save_checkpoint(tmp_path / "own.safetensors", model, {"note": "ten minutes"})

    checkpoint = load_checkpoint(tmp_path / "own.safetensors")

    assert checkpoint.model.config == model.config
    assert checkpoint.metadata["note"] == "ten minutes"
    assert [path.name for path in tmp_path.iterdir()] == ["own.safetensors"]
    for key, value in model.state_dict().items():
        torch.testing.assert_close(checkpoint.model.state_dict()[key], value, atol=0, rtol=0)


KEY = "mask_decoder.iou_token.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(KEY), rf"{KEY} is missing$"),
        (lambda s: [s.pop(key) for key in list(s)[:3]], r" is missing \(and 2 more\)"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is not part of the network"),
        (lambda s: s.update({KEY: torch.zeros(2, 384)}), rf"{KEY} has shape \[2, 384\], not \[1"),
        (lambda s: s.update({KEY: torch.full((1, 384), torch.nan)}), f"{KEY} holds values"),
        (lambda s: s.update({KEY: torch.zeros(1, 384, dtype=torch.int8)}), f"{KEY} holds values"),
        (lambda s: s.update({KEY: "text"}), f"'{KEY}' is a str, not a tensor"),
        (lambda s: s.update({3: torch.zeros(1)}), "3 is a Tensor, not a tensor|3 is"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[Any, Any]], object], message: str
) -> None:
    state: dict[Any, Any] = dict(official_state())
    change(state)
    torch.save({"model_state_dict": state}, tmp_path / "odd.pth")

    with pytest.raises(CheckpointInvalid, match=message) as error:
        load_checkpoint(tmp_path / "odd.pth")
    assert str(tmp_path / "odd.pth") in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_pth_file_is_refused(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.zeros(2000)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(CheckpointInvalid, match=r"cut\.pth is cut short, damaged or no .*: ."):
        load_checkpoint(path)


@pytest.mark.parametrize("size", [20, -1])
def test_a_cut_safetensors_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(CheckpointInvalid, match="damaged safetensors file"):
        load_checkpoint(path)


class _Hostile:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_runs_nothing(tmp_path: Path, zipped: bool) -> None:
    path, trace = tmp_path / "hostile.pth", tmp_path / "trace"
    state = {"model_state_dict": {KEY: torch.zeros(1, 384)}, "args": _Hostile(trace)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)

    with pytest.raises(CheckpointInvalid, match=r"hostile\.pth was refused: .* posix\.mkdir"):
        load_checkpoint(path)
    assert not trace.exists()


def test_unknown_pickle_instructions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "frames.pth"
    path.write_bytes(pickle.dumps({"a": frozenset({1})}, protocol=2))

    with pytest.raises(CheckpointInvalid, match=r"frames\.pth (was refused|is cut short)"):
        load_checkpoint(path)


def test_a_file_that_holds_no_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")

    with pytest.raises(CheckpointInvalid, match="holds a list, not a dict"):
        load_checkpoint(tmp_path / "list.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match=r"none\.pth can not be read: No such file"):
        load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("config", ["{", "{}", '{"global_blocks": [], "depth_": 1}', "[]"])
def test_a_malformed_config_is_refused(tmp_path: Path, config: str) -> None:
    path = tmp_path / "odd.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={"config": config})

    with pytest.raises(CheckpointInvalid, match="config in its metadata is wrong"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 15}, "does not divide"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"embed_dim": 10**12}, "embed_dim is 1000"),
    ],
)
def test_an_impossible_config_is_refused(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    path = tmp_path / "odd.safetensors"
    values = SamMed3DConfig.vit_b().to_dict() | change
    safetensors.torch.save_file(
        {"a": torch.zeros(1)}, path, metadata={"config": json.dumps(values)}
    )

    with pytest.raises(CheckpointInvalid, match=rf"odd\.safetensors: .*{message}"):
        load_checkpoint(path)
