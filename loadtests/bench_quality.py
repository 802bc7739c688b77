"""How well a bundle segments real scans that it never saw, through the product's own use cases.

Run from the project's root, with ``mricron-data`` (Debian) for the brain::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_quality --data ../shared/data

Structures of the AAL atlas on the ``ch2bet`` T1 template, and organs of a CT (an example of
TotalSegmentator, labels of its network). Per structure: Dice after each of three clicks of a user
who is careful (deepest error) and of one who is random (mean of ``--repeats``), and Dice from its
exact bounding box; beside them the Dice of the filled box, and the best that any mask in that
window could reach. ``--mapped-boxes`` serves boxes as to official weights, which know none;
``--offsets`` moves the window half a lattice step and a whole one instead.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sammoe.cli.assembly import load_engine, open_workspace
from sammoe.engine import Choice, decoder_inputs
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.store import VolumeRecord
from sammoe.training.evaluation import (
    Index,
    Mask,
    User,
    box_score,
    dice,
    filled_box_score,
    interact,
)
from sammoe.training.evaluation.sessions import visible
from sammoe.volume.crop import crop
from sammoe.volume.paste import paste
from sammoe.volume.prior import mask_to_logits
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Volume
from sammoe.volume.window import Window, model_grid, source_to_window, window_for_point

PRINCIPAL = "benchmark"
NUCLEI = {
    "hippocampus L": 37,
    "hippocampus R": 38,
    "caudate L": 71,
    "caudate R": 72,
    "putamen L": 73,
    "putamen R": 74,
    "thalamus L": 77,
    "thalamus R": 78,
}
ORGANS = {"spleen": 1, "kidney R": 2, "kidney L": 3, "liver": 5}


@dataclass(frozen=True)
class Scan:
    """A scan, the label map over it, and the structures to look for."""

    title: str
    image: Path
    labels: Path
    modality: str
    structures: dict[str, int]


def scans(data: Path, templates: Path) -> list[Scan]:
    ct = data / "totalseg_ct"
    found = [
        Scan("MR", templates / "ch2bet.nii.gz", templates / "aal.nii.gz", "MR", NUCLEI),
        Scan(
            "CT",
            ct / "example_ct.nii.gz",
            ct / "example_seg_fast_force_split.nii.gz",
            "CT",
            ORGANS,
        ),
    ]
    return [scan for scan in found if scan.image.exists()]


@dataclass
class Click:
    """A session on the workspace: each click refines the answer before."""

    workspace: Workspace
    volume: VolumeRecord
    parent: str | None = None
    window: Window | None = None

    async def click(self, index: Index, positive: bool) -> Mask:
        return await self._segment(Prompt(points=(Point(*index, positive=positive),)))

    async def box(self, lo: Index, hi: Index) -> Mask:
        return await self._segment(Prompt(box=(lo, hi)))

    def reachable(self, shape: tuple[int, ...]) -> Mask:
        return visible(self.window, self.volume.geometry)

    async def _segment(self, prompt: Prompt) -> Mask:
        made = await self.workspace.segment(PRINCIPAL, self.volume.id, prompt, parent=self.parent)
        self.parent, self.window = made.record.id, made.record.windows[0].window
        return made.pasted.full(self.volume.geometry.shape).astype(bool)


@dataclass
class Fixed:
    """A session on the engine alone, with a window of the caller's choice."""

    engine: LocalEngine
    volume: Volume
    window: Window
    points: list[Index] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    prior: NDArray[np.float32] | None = None

    async def click(self, index: Index, positive: bool) -> Mask:
        rule = self.engine.bundle.manifest.window_rule()
        self.points.append(index)
        self.labels.append(int(positive))
        coords = source_to_window(self.volume.geometry, self.window, np.array(self.points))
        embedding = await self.engine.encode(crop(self.volume, self.window, rule))
        inputs = decoder_inputs(coords, self.labels, None, self.prior, rule)
        decoded = await self.engine.decode(embedding, inputs, Choice("general"))
        self.prior = decoded.candidates["general"]
        pasted = paste(self.prior, self.window, self.volume.geometry)
        return pasted.full(self.volume.geometry.shape).astype(bool)

    async def box(self, lo: Index, hi: Index) -> Mask:
        raise AssertionError("offsets are measured with clicks")

    def reachable(self, shape: tuple[int, ...]) -> Mask:
        return visible(self.window, self.volume.geometry)


async def measure(engine: LocalEngine, found: list[Scan], repeats: int) -> None:
    """The main table."""
    rule = engine.bundle.manifest.window_rule()
    print(f"bundle {engine.bundle.manifest.name} {engine.bundle.digest[:12]}")
    print("| structure | careful 1 / 2 / 3 | random 1 / 2 / 3 | box | filled box | ceiling |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as state:
        async with open_workspace(engine, Path(state), 512 << 20) as workspace:
            for scan in found:
                volume, _ = await workspace.volumes.add(
                    PRINCIPAL,
                    scan.image,
                    modality=scan.modality,  # type: ignore[arg-type]
                )
                rows = []
                for name, target in structures(scan):
                    spacing, rng = volume.geometry.spacing, np.random.default_rng(0)
                    careful = await interact(
                        Click(workspace, volume), target, spacing, User(careful=True), rng
                    )
                    others = [
                        await interact(
                            Click(workspace, volume), target, spacing, User(careful=False), rng
                        )
                        for _ in range(repeats)
                    ]
                    made = Click(workspace, volume)
                    box = await box_score(made, target)
                    window = (
                        (await workspace.get_segmentation(PRINCIPAL, str(made.parent)))
                        .windows[0]
                        .window
                    )
                    best = mask_to_logits(target, window, volume.geometry, rule)
                    ceiling = paste(best, window, volume.geometry).full(target.shape).astype(bool)
                    limits = [filled_box_score(target), dice(ceiling, target)]
                    rows.append([*careful, *np.mean(others, axis=0), box, *limits])
                    show(name, rows[-1])
                show(f"**{scan.title}, mean**", np.mean(rows, axis=0))


async def measure_offsets(engine: LocalEngine, found: list[Scan]) -> None:
    """Dice after three careful clicks with the window off its place, in lattice steps per axis."""
    rule = engine.bundle.manifest.window_rule()
    print("| scan | steps off per axis | Dice after 3 careful clicks | lost |")
    print("|---|---|---|---|")
    for scan in found:
        volume = read_volume(scan.image, modality=scan.modality)  # type: ignore[arg-type]
        middle = 0.0
        for share in (0.0, 0.5, 1.0):
            scores = []
            for number, (_, target) in enumerate(structures(scan)):
                window = moved(volume, target, share * rule.step(rule.spacings[0]), number, rule)
                session = Fixed(engine, volume, window)
                rng, spacing = np.random.default_rng(0), volume.geometry.spacing
                scores.append((await interact(session, target, spacing, User(True), rng))[-1])
            mean = float(np.mean(scores))
            middle = middle or mean
            print(f"| {scan.title} | {share} | {mean:.3f} | {middle - mean:.3f} |", flush=True)


def moved(volume: Volume, target: Mask, steps: float, number: int, rule: object) -> Window:
    """A window centred on the target's middle, moved by ``steps`` model voxels along each axis."""
    from sammoe.volume.window import WindowRule

    assert isinstance(rule, WindowRule)
    middle = np.argwhere(target).mean(axis=0)
    base = window_for_point(volume.geometry, tuple(middle), volume.modality, rule)
    centre = model_grid(volume.geometry, base.spacing).to_model(middle[None])[0]
    signs = np.array([1 if number >> axis & 1 else -1 for axis in range(3)])
    x, y, z = np.rint(centre + 0.5 - base.side / 2 + steps * signs).astype(int).tolist()
    return Window(base.spacing, (x, y, z), base.side)


def without_box_embeddings(engine: LocalEngine) -> LocalEngine:
    """The same bundle, said to know no boxes: they become a click and a prior mask."""
    bundle = engine.bundle
    model = bundle.manifest.model.model_copy(update={"boxes": False})
    return LocalEngine(
        replace(bundle, manifest=bundle.manifest.model_copy(update={"model": model}))
    )


def structures(scan: Scan) -> Iterator[tuple[str, Mask]]:
    labels = read_volume(scan.labels).voxels
    for name, label in tqdm(scan.structures.items(), desc=scan.title, leave=False):
        yield name, labels == label


def show(name: str, row: "list[float] | NDArray[np.float64]") -> None:
    careful, random, rest = row[:3], row[3:6], row[6:]
    cells = [" / ".join(f"{v:.2f}" for v in part) for part in (careful, random)]
    print("|", " | ".join([name, *cells, *(f"{v:.2f}" for v in rest)]), "|", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("model_repo"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--templates", type=Path, default=Path("/usr/share/mricron/templates"))
    parser.add_argument("--repeats", type=int, default=3, help="of the random user (default 3)")
    parser.add_argument("--offsets", action="store_true")
    parser.add_argument(
        "--mapped-boxes", action="store_true", help="as for weights that know no boxes"
    )
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    found = scans(args.data, args.templates)
    if not found:
        print("no scans: install mricron-data, or say where the data are", file=sys.stderr)
        return 2
    engine = load_engine(args.bundle, args.threads)
    if args.mapped_boxes:
        engine = without_box_embeddings(engine)
    job = measure_offsets(engine, found) if args.offsets else measure(engine, found, args.repeats)
    asyncio.run(job)
    return 0


if __name__ == "__main__":
    sys.exit(main())
