"""P3 and P4: many experts in one bundle cost what few do; decoders of official size."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from loadtests.bench_clicks import THREADS
from loadtests.bench_triton import EXPERTS, place_of, random_bundle, spread
from loadtests.ratios.clicks import ms
from loadtests.ratios.ratio import Ratio
from loadtests.timing import Times
from sammoe.bundle import load_bundle
from sammoe.engine import Choice, decoder_inputs
from sammoe.engine.local import EngineOptions, LocalEngine

FEW, MANY = 10, 100


def measure(rounds: int) -> list[Ratio]:
    """Requests in turn to all of 15 experts against one; to 10 of 100 against 10 of 10."""
    with tempfile.TemporaryDirectory() as name:
        bundle = random_bundle(Path(name))
        engine = LocalEngine(bundle, EngineOptions(THREADS, THREADS))
        times = asyncio.run(spread(engine, max(rounds // 3, 3)))
        asyncio.run(engine.close())
    return [
        Ratio(
            "P3",
            f"fused click, requests spread over {EXPERTS} experts / to one, LocalEngine",
            times["spread"].median / times["one"].median,
            1.15,
            1.08,
            f"{ms(times['spread'])} / {ms(times['one'])}",
        ),
        *compare_sizes(rounds),
    ]


def compare_sizes(rounds: int) -> list[Ratio]:
    """A bundle of 100 experts and one of 10, each loaded by a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        processes, memory, weights = {}, {}, {}
        for count in (FEW, MANY):
            folder = Path(name) / str(count)
            bundle = random_bundle(folder, [f"expert_{number}" for number in range(count)])
            graphs = [bundle.model_path(plain) for plain in bundle.manifest.models]
            weights[count] = sum(graph.stat().st_size for graph in graphs)
            processes[count] = subprocess.Popen(
                [sys.executable, "-m", "loadtests.ratios.experts", str(folder), str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        try:
            for count, process in processes.items():
                memory[count] = int(_line(process))
            seconds: dict[int, list[float]] = {count: [] for count in processes}
            for number in range(FEW * rounds):
                for count, process in processes.items():
                    _tell(process, number % FEW)
                    seconds[count].append(float(_line(process)))
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    few, many = (Times(tuple(seconds[count])) for count in (FEW, MANY))
    blocks = [
        statistics.median(seconds[MANY][i : i + FEW]) / statistics.median(seconds[FEW][i : i + FEW])
        for i in range(0, FEW * rounds, FEW)
    ]
    each = (memory[MANY] - memory[FEW]) / (weights[MANY] - weights[FEW])
    return [
        Ratio(
            "P4",
            f"fused click to {FEW} experts, all resident: bundle of {MANY} / bundle of {FEW}",
            statistics.median(blocks),
            1.15,
            1.05,
            f"{ms(many)} / {ms(few)}; blocks {min(blocks):.2f} to {max(blocks):.2f}",
        ),
        Ratio(
            "P4",
            f"resident memory of the whole process / fp32 weights, {MANY} experts",
            memory[MANY] / weights[MANY],
            1.3,
            1.1,
            f"{memory[MANY] >> 20} / {weights[MANY] >> 20} MiB; each further expert {each:.2f}",
        ),
    ]


def _tell(process: "subprocess.Popen[str]", expert: int) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{expert}\n")
    process.stdin.flush()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


async def answer(folder: Path, experts: int) -> None:
    """Load a bundle, ask every expert once, print bytes held; then a time for each number read."""
    engine = LocalEngine(load_bundle(folder), EngineOptions(THREADS, THREADS))
    manifest = engine.bundle.manifest
    model, rule = manifest.model, manifest.window_rule()
    embedding = np.zeros((1, model.embedding_channels) + (model.grid,) * 3, np.float16)
    clock = asyncio.get_running_loop().time

    async def ask(expert: int) -> float:
        place = place_of(expert, experts, rule.side)
        inputs = decoder_inputs([place], [1], None, None, rule)
        started = clock()
        decoded = await engine.decode(embedding, inputs, Choice())
        taken = clock() - started
        assert decoded.route.used == f"expert_{expert}"
        return taken

    for expert in range(experts):
        await ask(expert)
    status = Path("/proc/self/status").read_text()
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    print(1024 * int(held), flush=True)
    for line in sys.stdin:
        print(await ask(int(line)), flush=True)


if __name__ == "__main__":
    asyncio.run(answer(Path(sys.argv[1]), int(sys.argv[2])))
