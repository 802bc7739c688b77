"""Trained gates on disk: one expert's head, or a whole gate of the paper's kind (safetensors)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors
from torch import Tensor, nn

from sammoe.errors import CheckpointInvalid
from sammoe.model.config import SamMed3DConfig
from sammoe.model.files import save_tensors
from sammoe.model.gate import PaperGate, new_head

_PREFIX = "net."
GateMode = Literal["joint", "paper"]


@dataclass(frozen=True, eq=False)
class HeadFile:
    """A head and what it belongs to.

    Attributes
    ----------
    name
        Of the expert.
    net
        Standardised gate features [B, F] -> logit [B, 1]; eval mode, for
        :meth:`sammoe.model.gate.ExpertHeads.add`.
    reference
        SHA-256 of the reference features' file whose constants standardise its input.
    """

    name: str
    net: nn.Sequential
    reference: str


@dataclass(frozen=True, eq=False)
class GateFile:
    """A gate of the paper's kind, and its experts in the order of the scores."""

    gate: PaperGate
    mode: GateMode
    experts: tuple[str, ...]


def save_head(path: Path, name: str, head: nn.Sequential, reference: str) -> None:
    """Write one expert's head; ``reference`` as in :class:`HeadFile`."""
    state = {f"{_PREFIX}{key}": value for key, value in head.state_dict().items()}
    save_tensors(path, state, {"head": name, "reference": reference})


def load_head(path: Path) -> HeadFile:
    """Read what :func:`save_head` wrote.

    Raises
    ------
    CheckpointInvalid
        The file can not be read, or holds no head.
    """
    state, metadata = _read(path, ("head", "reference"), "a head: make one with sammoe train gate")
    first = state.get(f"{_PREFIX}0.weight")
    if first is None or first.ndim != 2:
        raise CheckpointInvalid(f"{path} holds no head: {_PREFIX}0.weight is missing")
    net = new_head(first.shape[1], first.shape[0])
    _fill(path, net, {key.removeprefix(_PREFIX): value for key, value in state.items()})
    return HeadFile(metadata["head"], net, metadata["reference"])


def save_gate(
    path: Path, gate: PaperGate, mode: GateMode, experts: Sequence[str], config: SamMed3DConfig
) -> None:
    """Write a gate of the paper's kind; ``config`` is that of the networks it reads."""
    metadata = {
        "gate": mode,
        "experts": json.dumps(list(experts)),
        "config": json.dumps(config.to_dict()),
    }
    save_tensors(path, gate.state_dict(), metadata)


def load_gate(path: Path) -> GateFile:
    """Read what :func:`save_gate` wrote.

    Raises
    ------
    CheckpointInvalid
        The file can not be read, or holds no such gate.
    """
    fields = ("gate", "experts", "config")
    state, metadata = _read(path, fields, "a gate: make one with sammoe train gate --mode joint")
    mode: GateMode = "joint" if metadata["gate"] == "joint" else "paper"
    try:
        config = SamMed3DConfig.from_dict(json.loads(metadata["config"]))
        experts = tuple(map(str, json.loads(metadata["experts"])))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointInvalid(f"{path}: its metadata are wrong: {error}") from error
    gate = PaperGate(config, len(experts), none_of_them=mode == "joint")
    _fill(path, gate, state)
    return GateFile(gate, mode, experts)


def _read(path: Path, fields: Sequence[str], what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointInvalid(f"{path} can not be read: {error}") from error
    if not set(fields) <= metadata.keys():
        raise CheckpointInvalid(f"{path} is not {what}")
    return state, metadata


def _fill(path: Path, module: nn.Module, state: Mapping[str, Tensor]) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointInvalid(f"{path} does not fit its network: {reason}") from error
    module.eval()
