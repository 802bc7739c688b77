"""Beyond one window: whole structures, seams, warm-up and cost, through the product's use cases.

Run from the project's root, one part or all::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_windows phantoms real zoom seam warm cost

``phantoms``: structures that no window holds, and the same cut to fit one. ``real``: organs of a CT
in ``$SAMMOE_TEST_DATA`` (default ``../shared/data``), one click each, in one window and followed.
``zoom``: every larger organ of that CT and of an MR, and the phantoms, followed with and without a
look through coarser windows.
``seam``: voxels that differ when the windows of a level are answered in another order. ``warm``:
random clicks on the body that find their window embedded, and the Dice that those clicks lose
against a window centred on them. ``cost``: time of a followed click over windows times one window.
"""

import argparse
import asyncio
import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from loadtests import phantoms
from sammoe.bundle import Bundle, load_bundle
from sammoe.cli.assembly import open_workspace
from sammoe.engine import Choice, Decoded, DecoderInputs, decoder_inputs
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Extent, Point, Prompt, Segmented, Workspace
from sammoe.segmentation.warming import body, warm_up
from sammoe.store import VolumeRecord
from sammoe.training.evaluation import dice
from sammoe.volume.crop import crop
from sammoe.volume.geometry import Geometry
from sammoe.volume.nifti import write_nifti
from sammoe.volume.paste import paste
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import (
    Window,
    WindowRule,
    model_grid,
    source_to_window,
    window_for_point,
)

PRINCIPAL = "benchmark"
LARGE_ML = 100.0
ORGANS = {"colon": 20, "liver": 5, "hip": 77}
WHOLE = Extent(max_windows=64)
ONE = Extent(extend=False)

Mask = NDArray[np.bool_]


@dataclass
class Bench:
    """A workspace with a folder for scans."""

    engine: LocalEngine
    workspace: Workspace
    folder: Path
    data: Path

    async def add(self, volume: Volume) -> VolumeRecord:
        path = self.folder / f"{volume.content_digest()}.nii.gz"
        path.write_bytes(write_nifti(volume.voxels, volume.geometry))
        record, _ = await self.workspace.volumes.add(PRINCIPAL, path, modality="CT")
        return record

    async def segment(self, volume: VolumeRecord, prompt: Prompt, extent: Extent) -> Segmented:
        return await self.workspace.segment(PRINCIPAL, volume.id, prompt, extent=extent)

    async def real(self) -> tuple[VolumeRecord, Volume, NDArray[np.int64]]:
        """The CT and its labels."""
        folder = self.data / "totalseg_ct"
        scan = folder / "example_ct.nii.gz"
        record, _ = await self.workspace.volumes.add(PRINCIPAL, scan, modality="CT")
        labels = read_volume(folder / "example_seg_fast_force_split.nii.gz").voxels
        return record, read_volume(scan, modality="CT"), labels


@asynccontextmanager
async def bench(
    bundle: Bundle, data: Path, make: Callable[[Bundle], LocalEngine] = LocalEngine
) -> AsyncIterator[Bench]:
    """Everything new; the engine is closed at the end."""
    engine = make(bundle)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with open_workspace(engine, folder / "state", 2 << 30) as workspace:
            yield Bench(engine, workspace, folder, data)


def full(made: Segmented) -> Mask:
    return made.pasted.full(made.volume.geometry.shape).astype(bool)


def deepest(mask: Mask, geometry: Geometry) -> Prompt:
    """A click at the place farthest from the mask's surface."""
    depth = distance_transform_edt(mask, sampling=geometry.spacing)
    x, y, z = map(float, np.unravel_index(int(depth.argmax()), mask.shape))
    return Prompt((Point(x, y, z),))


def middle(mask: Mask) -> Prompt:
    """A click in the middle of the middle slice."""
    k = mask.shape[2] // 2
    x, y = np.argwhere(mask[:, :, k]).mean(axis=0).tolist()
    return Prompt((Point(x, y, float(k)),))


def around(mask: Mask) -> Prompt:
    """The bounding box."""
    places = np.argwhere(mask)
    (a, b, c), (x, y, z) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return Prompt(box=((a, b, c), (x, y, z)))


async def run_phantoms(b: Bench) -> None:
    spacing = b.engine.bundle.manifest.window_rule().default_spacing["CT"]
    print("| structure | cut, one window | whole, one window | whole, followed | windows | ratio |")
    print("|---|---|---|---|---|---|")
    for name, make, ask, at, sizes in (
        ("aorta, 1 click", phantoms.aorta, middle, None, (400.0, 170.0)),
        ("liver, box", phantoms.liver, around, spacing, (300.0, 170.0)),
    ):
        whole, part = (make(size) for size in sizes)
        scores = {}
        for key, phantom, extent in (
            ("cut", part, replace(ONE, spacing=at)),
            ("one", whole, replace(ONE, spacing=at)),
            ("followed", whole, replace(WHOLE, spacing=at)),
        ):
            made = await b.segment(await b.add(phantom.volume), ask(phantom.mask), extent)
            scores[key] = dice(full(made), phantom.mask)
        windows, ratio = len(made.record.windows), scores["followed"] / scores["cut"]
        shown = " | ".join(f"{scores[key]:.3f}" for key in ("cut", "one", "followed"))
        print(f"| {name} | {shown} | {windows} | {ratio:.2f} |", flush=True)


async def run_real(b: Bench, picture: Path | None) -> None:
    record, volume, labels = await b.real()
    native = b.engine.bundle.manifest.window_rule().default_spacing["CT"]
    shown: dict[str, tuple[Mask, Mask, Mask]] = {}
    print("| organ | spacing, mm | one window | followed | windows kept of looked at |")
    print("|---|---|---|---|---|")
    for name, label in ORGANS.items():
        mask = labels == label
        for spacing in b.engine.bundle.manifest.window.spacings:
            prompt = deepest(mask, volume.geometry)
            one = await b.segment(record, prompt, replace(ONE, spacing=spacing))
            followed = await b.segment(record, prompt, replace(WHOLE, spacing=spacing))
            looked = followed.record.windows
            kept = sum(window.kept for window in looked)
            scores = f"{dice(full(one), mask):.3f} | {dice(full(followed), mask):.3f}"
            print(f"| {name} | {spacing:g} | {scores} | {kept} / {len(looked)} |", flush=True)
            if spacing == native:
                shown[name] = (mask, full(one), full(followed))
    if picture is not None:
        draw(picture, volume, shown)


async def run_zoom(b: Bench, limits: Sequence[int]) -> None:
    print(
        "| scan | spacing, mm | max_windows | clicks | followed | zoomed | worse, better | windows"
        " | time |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    scans = []
    for name, scan, labels in (
        ("CT", "totalseg_ct/example_ct.nii.gz", "totalseg_ct/example_seg_fast_force_split.nii.gz"),
        ("MR", "totalseg_mr/example_mr_sm.nii.gz", "totalseg_mr/example_seg_mr.nii.gz"),
    ):
        modality: Literal["CT", "MR"] = "CT" if name == "CT" else "MR"
        path = b.data / scan
        record, _ = await b.workspace.volumes.add(PRINCIPAL, path, modality=modality)
        found = read_volume(b.data / labels).voxels
        ml = math.prod(record.geometry.spacing) / 1000
        masks = [found == label for label in np.unique(found) if label]
        clicks = [(deepest(m, record.geometry), m) for m in masks if m.sum() * ml > LARGE_ML]
        scans.append((name, record, clicks))
    aorta = phantoms.aorta()
    scans.append(("aorta", await b.add(aorta.volume), [(middle(aorta.mask), aorta.mask)]))
    for name, record, clicks in scans:
        for spacing, most in itertools.product(
            b.engine.bundle.manifest.window.spacings[:-1], limits
        ):
            await zoom(b, name, record, clicks, Extent(most, spacing=spacing))


async def zoom(
    b: Bench,
    name: str,
    record: VolumeRecord,
    clicks: Sequence[tuple[Prompt, Mask]],
    extent: Extent,
) -> None:
    """One row: clicks that are followed, with and without coarser windows."""
    scores, windows, seconds = [], [], []
    for prompt, mask in clicks:
        await b.segment(record, prompt, replace(extent, zoom=True))  # all of it is embedded then
        for asked in (extent, replace(extent, zoom=True)):
            started = time.perf_counter()
            made = await b.segment(record, prompt, asked)
            seconds.append(time.perf_counter() - started)
            scores.append(dice(full(made), mask))
            windows.append(len(made.record.windows))
    plain, zoomed = np.array(scores).reshape(-1, 2).T
    differ = zoomed - plain
    counts = np.array(windows).reshape(-1, 2).sum(axis=0)
    times = np.array(seconds).reshape(-1, 2).sum(axis=0)
    print(
        f"| {name} | {extent.spacing:g} | {extent.max_windows} | {len(clicks)} | {plain.mean():.3f}"
        f" | {zoomed.mean():.3f} | {np.count_nonzero(differ < -0.005)} ({differ.min():.3f}),"
        f" {np.count_nonzero(differ > 0.005)} ({differ.max():.3f}) | {counts[0]} / {counts[1]} |"
        f" {times[1] / times[0]:.2f} |",
        flush=True,
    )


def draw(path: Path, volume: Volume, shown: dict[str, tuple[Mask, Mask, Mask]]) -> None:
    """Coronal slices through each organ's middle: one window, followed; the organ is outlined."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(shown), 2, figsize=(5, 2.6 * len(shown)), dpi=80)
    for axes, (name, (truth, *masks)) in zip(rows, shown.items(), strict=True):
        at = int(np.median(np.argwhere(truth)[:, 1]))
        image = np.clip(volume.voxels[:, at].T, -160, 240)
        for axis, title, mask in zip(axes, ("one window", "followed"), masks, strict=True):
            found = np.ma.masked_equal(mask[:, at].T, 0)
            axis.imshow(image, cmap="gray", origin="lower")
            axis.imshow(found, cmap="autumn", alpha=0.5, origin="lower")
            axis.contour(truth[:, at].T, levels=[0.5], colors="cyan", linewidths=0.8)
            axis.set_title(f"{name}, {title}", fontsize=8)
            axis.axis("off")
    figure.tight_layout(pad=0.2)
    figure.savefig(path, pil_kwargs={"optimize": True})
    pyplot.close(figure)


class Shuffled(LocalEngine):
    """Its answers come in an order that ``turn`` gives."""

    def __init__(self, bundle: Bundle, turn: int) -> None:
        super().__init__(bundle)
        self.turn, self.calls = turn, 0

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        self.calls += 1
        await asyncio.sleep((self.calls * (3 + self.turn)) % 7 / 50)
        return await super().decode(embedding, inputs, choice, modality)


async def run_seam(bundle: Bundle, data: Path) -> None:
    phantom = phantoms.liver()
    masks = []
    for turn in range(3):
        async with bench(bundle, data, partial(Shuffled, turn=turn)) as b:
            record = await b.add(phantom.volume)
            made = await b.segment(record, around(phantom.mask), replace(WHOLE, spacing=1.5))
            masks.append(full(made))
    windows, union = len(made.record.windows), np.logical_or.reduce(masks)
    differ = union & ~np.logical_and.reduce(masks)
    print(
        f"seam: {windows} windows in 3 orders, {np.count_nonzero(differ)} of"
        f" {np.count_nonzero(union)} voxels differ"
    )


async def run_warm(bundle: Bundle, data: Path, clicks: int, judged: int) -> None:
    print("| coarse | windows | most allowed | hits | Dice | centred | lost |")
    print("|---|---|---|---|---|---|---|")
    async with bench(bundle, data) as b:
        engine = b.engine
        record, volume, labels = await b.real()
        rng = np.random.default_rng(0)
        inside = body(volume.voxels, record.modality)
        places = rng.permutation(np.argwhere(inside))[:clicks].tolist()
        targets = rng.permutation(np.argwhere(labels > 0))[:judged].tolist()
        embeddings: dict[str, NDArray[np.float16]] = {}
        centred: list[float] = []
        for coarse in (0.0, 0.1875, 0.25):
            rule = replace(engine.bundle.manifest.window_rule(), coarse=coarse)
            spacing = rule.default_spacing["CT"]
            ml = np.count_nonzero(inside) * math.prod(volume.geometry.spacing)
            most = math.floor(2 * ml / (rule.side * spacing / 2) ** 3)
            warm = {*warm_up(record, volume.voxels, rule, 1).windows[:most]}
            taken = [window_for_point(volume.geometry, p, record.modality, rule) for p in places]
            hits = sum(window in warm for window in taken) / len(places)
            scores = []
            for place in targets:
                mask = labels == labels[tuple(place)]
                window = window_for_point(volume.geometry, place, record.modality, rule)
                scores.append(await judge(engine, volume, window, place, mask, rule, embeddings))
                if len(centred) < len(targets):
                    own = around_place(volume, place, rule)
                    centred.append(await judge(engine, volume, own, place, mask, rule, embeddings))
            mean, best = float(np.mean(scores)), float(np.mean(centred))
            print(
                f"| {coarse:g} | {len(warm)} | {most} | {hits:.3f} | {mean:.3f} | {best:.3f} |"
                f" {best - mean:.3f} |",
                flush=True,
            )


def around_place(volume: Volume, place: Sequence[int], rule: WindowRule) -> Window:
    """A window centred on a voxel, off every lattice."""
    spacing = rule.default_spacing[volume.modality.value]
    grid = model_grid(volume.geometry, spacing)
    centre = grid.to_model(np.array([place]))[0]
    x, y, z = (round(c + 0.5 - rule.side / 2) for c in centre.tolist())
    return Window(spacing, (x, y, z), rule.side)


async def judge(
    engine: LocalEngine,
    volume: Volume,
    window: Window,
    place: Sequence[int],
    mask: Mask,
    rule: WindowRule,
    embeddings: dict[str, NDArray[np.float16]],
) -> float:
    """Dice of one click in one window."""
    if window.key() not in embeddings:
        embeddings[window.key()] = await engine.encode(crop(volume, window, rule))
    points = source_to_window(volume.geometry, window, np.array([place]))
    inputs = decoder_inputs(points, [1], None, None, rule)
    decoded = await engine.decode(
        embeddings[window.key()], inputs, Choice("general"), volume.modality
    )
    pasted = paste(decoded.candidates["general"], window, volume.geometry)
    return dice(pasted.full(mask.shape).astype(bool), mask)


async def run_cost(bundle: Bundle, data: Path, rounds: int) -> None:
    phantom = phantoms.aorta()
    prompt, ratios, ones, wholes = around(phantom.mask), [], [], []
    for number in range(rounds):
        async with bench(bundle, data) as b:
            seeded = phantoms.aorta(seed=number)
            record = await b.add(seeded.volume)
            other = await b.add(phantoms.aorta(seed=1000 + number).volume)
            extent = replace(WHOLE, spacing=1.5)
            started = time.perf_counter()
            await b.segment(other, prompt, replace(extent, extend=False))
            one = time.perf_counter() - started
            started = time.perf_counter()
            made = await b.segment(record, prompt, extent)
            whole = time.perf_counter() - started
        windows = len(made.record.windows)
        ones.append(one)
        wholes.append(whole)
        ratios.append(whole / (windows * one))
    print(
        f"cost: {windows} windows, median {1000 * np.median(wholes):.0f} ms; one window"
        f" {1000 * np.median(ones):.0f} ms; over windows x one window {np.median(ratios):.2f}"
        f" (min {min(ratios):.2f}, max {max(ratios):.2f})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("phantoms", "real", "zoom", "seam", "warm", "cost")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--bundle", type=Path, default=Path("model_repo"))
    default = os.environ.get("SAMMOE_TEST_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--picture", type=Path, help="PNG of the real organs to write")
    parser.add_argument(
        "--limits", type=int, nargs="+", default=[4, 8], help="max_windows of zoom (default 4 8)"
    )
    parser.add_argument("--clicks", type=int, default=1000, help="after the warm-up (default 1000)")
    parser.add_argument("--judged", type=int, default=200, help="of them for Dice (default 200)")
    parser.add_argument("--rounds", type=int, default=5, help="of the cost (default 5)")
    args = parser.parse_args()
    bundle = load_bundle(args.bundle)
    print(f"bundle {bundle.manifest.name} {bundle.digest[:12]}")
    for part in args.parts or parts:
        if part in {"real", "zoom", "warm"} and not (args.data / "totalseg_ct").is_dir():
            print(f"{part}: no scans in {args.data}", file=sys.stderr)
            return 2
        asyncio.run(perform(part, bundle, args))
    return 0


async def perform(part: str, bundle: Bundle, args: argparse.Namespace) -> None:
    if part == "seam":
        await run_seam(bundle, args.data)
    elif part == "warm":
        await run_warm(bundle, args.data, args.clicks, args.judged)
    elif part == "cost":
        await run_cost(bundle, args.data, args.rounds)
    else:
        async with bench(bundle, args.data) as b:
            if part == "zoom":
                await run_zoom(b, args.limits)
            else:
                await (run_phantoms(b) if part == "phantoms" else run_real(b, args.picture))


if __name__ == "__main__":
    sys.exit(main())
