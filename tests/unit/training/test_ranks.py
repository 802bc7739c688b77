"""Two processes, joined as torchrun joins them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sammoe.training.frozen import weights_digest
from sammoe.training.ranks import Ranks
from tests.unit.training.small import network

_PROCESS = """
import sys
from pathlib import Path
import torch
from sammoe.training.expert import ExpertTrainer
from sammoe.training.expert_recipe import ExpertRecipe
from sammoe.training.frozen import weights_digest
from sammoe.training.ranks import Ranks
from tests.unit.training.small import network, windows

torch.set_num_threads(1)
ranks = Ranks.start("cpu")
model = network()
recipe = ExpertRecipe(steps=30, batch=2, points=2, lr=3e-3, warmup=2, average=0.8, every=15)
folder = Path(sys.argv[1]) / str(ranks.rank)
folder.mkdir()
trainer = ExpertTrainer(model, recipe, folder, ranks)
ranks.wait()
decoder = trainer.train(windows(model, 8), windows(model, 5, seed=1))
before, after = trainer.scores[0].mean, trainer.scores[trainer.best_look()].mean
best = weights_digest(decoder)
(folder / "result").write_text(
    f"{ranks.rank} {ranks.world} {trainer.step} {best} {weights_digest(model.mask_decoder)}"
    f" {before} {after}"
)
ranks.stop()
"""


def test_two_processes_learn_the_same_weights(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(tmp_path)],
            env=os.environ | shared | {"RANK": str(rank), "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    first, second = ((tmp_path / str(rank) / "result").read_text().split() for rank in range(2))
    assert (first[:2], second[:2]) == (["0", "2"], ["1", "2"])
    assert first[2:] == second[2:]
    before, after = map(float, first[5:])
    assert after > before + 0.1
    assert (tmp_path / "0" / "log.csv").exists()
    assert (tmp_path / "0" / "state.pt").exists()
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"result"}


def test_alone_there_is_nothing_to_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = Ranks.start("cpu")
    assert ranks == Ranks()
    assert ranks.first
    model = network()
    before = weights_digest(model)
    ranks.average_gradients(model.parameters())
    ranks.wait()
    ranks.stop()
    assert weights_digest(model) == before
    assert ranks.agree(0.25) == 0.25


def test_the_device_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
        assert Ranks.start("auto").device == torch.device(expected)


@pytest.mark.parametrize(("device", "backend"), [("cuda", "nccl"), ("cpu", "gloo")])
def test_several_processes_have_a_gpu_each(
    device: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[str] = []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda place: None)
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda name, timeout: joined.append(name)
    )
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 3)
    ranks = Ranks.start(device)
    assert joined == [backend]
    assert (ranks.rank, ranks.world) == (3, 4)
    assert ranks.device == (torch.device("cuda", 3) if device == "cuda" else torch.device("cpu"))
    assert not ranks.first
