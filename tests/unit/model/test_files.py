"""Tensors in files that are there whole or not at all."""

from pathlib import Path

import torch
from safetensors import safe_open

from sammoe.model.files import save_tensors


def test_tensors_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    turned = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    save_tensors(path, {"a": torch.zeros(2), "turned": turned}, {"of": "tests"})
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"of": "tests"}
        assert torch.equal(file.get_tensor("turned"), turned)
    assert list(tmp_path.iterdir()) == [path]
