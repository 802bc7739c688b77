"""Weights on disk: official ``.pth`` files and safetensors, read strictly and without running code.

Official files are a pickled dict (``model_state_dict`` beside optimiser, losses and arguments);
wrapped ones (``state_dict``), bare ones and ones saved under ``DataParallel`` are read too. Own
files are safetensors whose metadata carry the config as JSON under ``config``; without it the
config is ``vit_b()``, with box embeddings when the file has them.
"""

import argparse
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from sammoe.errors import CheckpointInvalid
from sammoe.model.build import SamMed3D, build_sam_med3d
from sammoe.model.config import SamMed3DConfig
from sammoe.model.files import save_tensors

_WRAPPERS = ("model_state_dict", "state_dict")
_PREFIX = "module."
_BOX_KEY = "prompt_encoder.point_embeddings.2.weight"

# What training scripts leave beside the weights. None of these runs code when built. NumPy moved
# the two functions; files name the place where they were when it was written.
_NUMPY_BUILDERS: dict[str, Any] = {
    "scalar": np.float64(0).__reduce__()[0],
    "_reconstruct": np.zeros(0).__reduce__()[0],
}
_SAFE_GLOBALS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in ("?", "i4", "i8", "f2", "f4", "f8")),
    *(
        (build, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, build in _NUMPY_BUILDERS.items()
    ),
]


@dataclass(frozen=True)
class Checkpoint:
    """A model with its weights, and the strings that the file carries beside them."""

    model: SamMed3D
    metadata: Mapping[str, str] = field(default_factory=dict)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; the model is in eval mode, float32, on the CPU.

    Raises
    ------
    CheckpointInvalid
        The file can not be read, holds anything but plain data, or its keys and shapes are not
        exactly those of the network. The detail names the file, and the key or what was refused.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise CheckpointInvalid(f"{path} can not be read: {error.strerror}") from error
    # safetensors: 8 bytes of header length, then JSON. Neither zip nor pickle looks so.
    if start[8:] == b"{":
        state, metadata = _read_safetensors(path)
    else:
        state, metadata = _read_pickle(path), {}
    state = {key.removeprefix(_PREFIX): value for key, value in state.items()}
    model = _build(path, state, metadata)
    model.load_state_dict(state)
    return Checkpoint(model.eval(), metadata)


def save_checkpoint(path: Path, model: SamMed3D, metadata: Mapping[str, str]) -> None:
    """Write a model as safetensors, its config and further strings as metadata.

    Raises
    ------
    OSError
        As `sammoe.files.replacing` does.
    """
    config = json.dumps(model.config.to_dict())
    save_tensors(path, model.state_dict(), {**metadata, "config": config})


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CheckpointInvalid(f"{path} is a damaged safetensors file: {error}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = found.group(1) if found else "an unknown instruction"
        raise CheckpointInvalid(
            f"{path} was refused: beside weights it holds {what}, which could run code"
        ) from error
    except Exception as error:  # a hostile or cut file can fail in any way within the parser
        reason = (str(error) or type(error).__name__).partition(". ")[0]
        raise CheckpointInvalid(
            f"{path} is cut short, damaged or no checkpoint at all: {reason}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointInvalid(f"{path} holds a {type(content).__name__}, not a dict of weights")
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointInvalid(f"{path}: {key!r} is a {type(value).__name__}, not a tensor")
    return dict(content)


def _build(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> SamMed3D:
    """A network of the file's config, after checking that the weights fit it."""
    if "config" in metadata:
        try:
            config = SamMed3DConfig.from_dict(json.loads(metadata["config"]))
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointInvalid(
                f"{path}: the config in its metadata is wrong: {error}"
            ) from error
    else:
        config = SamMed3DConfig.vit_b(box_embeddings=_BOX_KEY in state)
    with torch.device("meta"):
        expected = build_sam_med3d(config).state_dict()
    for keys, problem in (
        (expected.keys() - state.keys(), "is missing"),
        (state.keys() - expected.keys(), "is not part of the network"),
    ):
        if keys:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            raise CheckpointInvalid(f"{path}: {min(keys)} {problem}{more}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            found, wanted = list(value.shape), list(expected[key].shape)
            raise CheckpointInvalid(f"{path}: {key} has shape {found}, not {wanted}")
        if not value.is_floating_point() or not value.isfinite().all():
            raise CheckpointInvalid(f"{path}: {key} holds values that are no finite numbers")
    return build_sam_med3d(config)
