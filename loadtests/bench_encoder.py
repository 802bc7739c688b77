"""One window's embedding: the official, padded form in PyTorch against our graph in ONNX Runtime.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_encoder

vit_b size, random weights, 2 threads. The padded form is the tests' oracle. Peak memory is that of
a process which does nothing else. Exits 1 when the embeddings differ by more than 1e-4.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loadtests.timing import Times

BOUND = 1e-4
THREADS = 2
SIDE = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each (default 5)")
    parser.add_argument("--alone", choices=["padded", "short"], help=argparse.SUPPRESS)
    parser.add_argument("--graph", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        run_alone(args.alone, args.graph)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder) / "encoder.onnx", args.rounds)


def compare(graph: Path, rounds: int) -> int:
    """Time both forms in turn, then measure each one's memory by itself."""
    times, difference = timed(graph, rounds)
    print(f"{THREADS} threads, {rounds} runs each, interleaved, median:")
    for name, value in times.items():
        print(f"  {name:7} {value}, peak memory {peak_memory(name, graph):.2f} GB")
    ratio = times["padded"].median / times["short"].median
    print(f"  ratio {ratio:.1f}x, max difference {difference:.1e}")
    return 0 if difference <= BOUND else 1


def timed(graph: Path, rounds: int) -> tuple[dict[str, "Times"], float]:
    """Seconds of ``padded`` and ``short``, and how far apart they are; writes our graph."""
    import onnx
    import torch

    from loadtests.networks import random_vit_b, session
    from loadtests.timing import interleave
    from sammoe.export.tracing import trace
    from tests.oracles.padded_encoder import padded_encode

    torch.set_num_threads(THREADS)
    model = random_vit_b()
    image = torch.from_numpy(window())
    # Without the final rounding to float16, which would hide how close the two are.
    onnx.save(trace(model.image_encoder, {"image": image}, ["embedding"]), graph)
    runner = session(graph, THREADS)
    state = model.image_encoder.state_dict()
    found: dict[str, np.ndarray] = {}

    def padded() -> None:
        with torch.no_grad():
            found["padded"] = padded_encode(state, model.config, image).numpy()

    def short() -> None:
        found["short"] = runner.run(None, {"image": image.numpy()})[0]

    times = interleave({"padded": padded, "short": short}, rounds)
    return times, float(np.abs(found["padded"] - found["short"]).max())


def peak_memory(form: str, graph: Path) -> float:
    """GB of a process that encodes one window in one form."""
    command = [sys.executable, "-m", "loadtests.bench_encoder", "--alone", form]
    answer = subprocess.run(
        [*command, "--graph", str(graph)], check=True, capture_output=True, text=True
    )
    return float(answer.stdout)


def run_alone(form: str, graph: Path) -> None:
    """Encode one window and print the peak resident memory in GB."""
    if form == "padded":
        import torch

        from loadtests.networks import random_vit_b
        from tests.oracles.padded_encoder import padded_encode

        torch.set_num_threads(THREADS)
        model = random_vit_b()
        with torch.no_grad():
            state = model.image_encoder.state_dict()
            padded_encode(state, model.config, torch.from_numpy(window()))
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        onnxruntime.InferenceSession(graph, options).run(None, {"image": window()})
    # Not ru_maxrss: that of a child starts at what its parent had.
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(kibibytes) * 1024 / 1e9)


def window() -> np.ndarray:
    """[1, 1, 128, 128, 128] float32, z-normalised noise."""
    noise = np.random.default_rng(0).standard_normal((1, 1, SIDE, SIDE, SIDE))
    return noise.astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
