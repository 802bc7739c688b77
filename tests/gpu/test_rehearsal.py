"""What a GPU is asked, asked of the CPU: so that it is known to run before there is one."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from loadtests import bench_gpu
from loadtests.random_weights import random_network
from sammoe.model import SamMed3DConfig
from tests.gpu.checks import CHECKS, rounding_stays_small
from tests.gpu.learning import CONFIG, losses
from tests.gpu.networks import CPU

ABSENT = [
    *("fastapi", "httpx", "hypothesis", "nibabel", "onnx", "onnxruntime", "pydantic", "pytest"),
    *("safetensors", "scipy", "tqdm", "tritonclient"),
]
"""What a bare repository does not have."""


@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c is not rounding_stays_small], ids=lambda check: check.__name__
)
def test_every_check_runs(check: Callable[[SamMed3DConfig, torch.device], None]) -> None:
    check(CONFIG, CPU)


def test_a_check_notices_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def pair(config: SamMed3DConfig, device: torch.device) -> object:
        return tuple(random_network(config, seed) for seed in (0, 1))

    monkeypatch.setattr("tests.gpu.checks.pair", pair)
    for check in CHECKS[:1] + CHECKS[2:3]:
        with pytest.raises(AssertionError):
            check(CONFIG, CPU)


def test_an_expert_learns() -> None:
    found = losses("cpu", clicks=2)
    assert found[-1] < found[0]


def test_the_benchmark_compares_and_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_gpu, "SIZES", {"vit_b": CONFIG})
    monkeypatch.setattr(bench_gpu, "PRECISIONS", ("float32", "tf32"))
    monkeypatch.setattr(sys, "argv", ["bench_gpu", "--device", "cpu", "--rounds", "1"])
    assert bench_gpu.main() == 0
    assert "every answer is within its bound" in capsys.readouterr().out
    monkeypatch.setattr(bench_gpu, "ROUNDED", {"tf32": -1.0})
    assert bench_gpu.main() == 1
    assert "more than -1" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["tests.gpu.checks", "loadtests.bench_gpu"])
def test_torch_and_numpy_are_enough_to_say_that_there_is_no_gpu(program: str) -> None:
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({ABSENT}));"
        f" sys.path.insert(0, 'service'); sys.argv[1:] = [];"
        f" runpy.run_module({program!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "torch finds no GPU here; --device cpu rehearses\n"
