"""P2: the official encoder against ours, on one window; see `loadtests.bench_encoder`."""

import tempfile
from pathlib import Path

from loadtests.bench_encoder import BOUND, timed
from loadtests.ratios.clicks import ms
from loadtests.ratios.ratio import Ratio


def measure(rounds: int) -> list[Ratio]:
    """The padded form in torch, for it has no graph of its own, over ours in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as name:
        times, apart = timed(Path(name) / "encoder.onnx", max(rounds // 5, 3))
    return [
        Ratio(
            "P2",
            "padded encoder (torch) / ours (ONNX Runtime), one window, 2 threads",
            times["padded"].median / times["short"].median,
            2.5,
            4,
            f"{ms(times['padded'])} / {ms(times['short'])}, difference {apart:.1e}",
            at_most=False,
            holds=apart <= BOUND,
        )
    ]
