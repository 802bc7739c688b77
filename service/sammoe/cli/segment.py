"""``sammoe segment``: one scan, one prompt, one mask; the same use cases as the service's."""

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sammoe.cli.assembly import load_engine, open_workspace
from sammoe.cli.bundles import find_bundle
from sammoe.cli.progress import Steps, steps
from sammoe.errors import InvalidInput, SammoeError
from sammoe.segmentation import Point, Prompt, Render, Segmented
from sammoe.volume.geometry import Geometry
from sammoe.volume.nifti import write_nifti
from sammoe.volume.nrrd import write_nrrd
from sammoe.volume.paste import Pasted

_PRINCIPAL: Final = "local"
_CACHE_BYTES: Final = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to segment, where, and where to put the mask."""
    parser.add_argument(
        "scan", type=Path, help="NIfTI or NRRD file, or a DICOM series: folder or zip"
    )
    parser.add_argument("--out", type=_mask_path, required=True, help="mask: .nii.gz or .nrrd")
    parser.add_argument(
        "--point",
        type=_numbers(3),
        action="append",
        default=[],
        metavar="I,J,K",
        help="a place inside of the structure; may be given several times",
    )
    parser.add_argument(
        "--negative",
        type=_numbers(3),
        action="append",
        default=[],
        metavar="I,J,K",
        help="a place outside of it; may be given several times",
    )
    parser.add_argument(
        "--box", type=_numbers(6), metavar="I,J,K,I,J,K", help="first and last corner around it"
    )
    parser.add_argument(
        "--space",
        choices=("voxel", "ras", "lps"),
        default="voxel",
        help="what the numbers are: voxel index (default), or mm in RAS or LPS",
    )
    parser.add_argument("--modality", choices=("CT", "MR", "auto"), default="auto")
    parser.add_argument(
        "--expert", default="auto", help="auto (default), general, or an expert's name"
    )
    parser.add_argument("--tau", type=float, help="the gate's threshold (default: the bundle's)")
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: model_repo/)")
    parser.add_argument("--threads", type=int, default=0, help="of one model run; 0: all cores")


def run(args: argparse.Namespace) -> int:
    """Segment, write the mask, print its size, what makes it doubtful, and where the time went."""
    with steps(4) as progress:
        report = asyncio.run(_segment(args, progress))
    print("\n".join(report))
    return 0


async def _segment(args: argparse.Namespace, progress: Steps) -> list[str]:
    """The report's lines."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="sammoe-") as state:
        progress.begin("loading the bundle")
        with _clocked(seconds, "load"):
            engine = await asyncio.to_thread(load_engine, find_bundle(args.bundle), args.threads)
        async with open_workspace(engine, Path(state), _CACHE_BYTES) as workspace:
            progress.begin("reading the scan")
            with _clocked(seconds, "scan"):
                volume, _ = await workspace.volumes.add(
                    _PRINCIPAL, args.scan, filename=args.scan.name, modality=args.modality
                )
            progress.begin("segmenting")
            try:
                made = await workspace.segment(
                    _PRINCIPAL,
                    volume.id,
                    prompt_of(args),
                    expert=args.expert,
                    tau=args.tau,
                    render=_writer(args.out),
                )
            except SammoeError as error:
                raise InvalidInput(_blame(error, args)) from error
            progress.begin("writing the mask")
            with _clocked(seconds, "write"):
                await asyncio.to_thread(args.out.write_bytes, made.rendered or b"")
    doubts = [f"{doubt.code}: {doubt.detail}" for doubt in made.record.warnings]
    return [_found(args.out, made, volume.geometry), *doubts, _times(seconds, made)]


def prompt_of(args: argparse.Namespace) -> Prompt:
    """Positive points, then negative ones, and the box."""
    inside = [Point(x, y, z, positive=True) for x, y, z in args.point]
    outside = [Point(x, y, z, positive=False) for x, y, z in args.negative]
    box = None if args.box is None else (args.box[:3], args.box[3:])
    return Prompt(points=(*inside, *outside), box=box, space=args.space)


def _blame(error: SammoeError, args: argparse.Namespace) -> str:
    """The error's detail, with the flag that it is about."""
    pointer = error.pointer or ""
    if pointer.startswith("/points/"):
        number = int(pointer.split("/")[2])
        kind = "--point" if number < len(args.point) else "--negative"
        place = (args.point + args.negative)[number]
        return f"{kind} {','.join(f'{value:g}' for value in place)}: {error.detail}"
    if pointer.startswith(("/box", "/expert", "/tau")):
        return f"--{pointer.split('/')[1]}: {error.detail}"
    return error.detail


def _found(out: Path, made: Segmented, geometry: Geometry) -> str:
    record = made.record
    route = record.route
    by = f"{route.used} and general, fused" if route.fused else route.used
    millilitres = record.voxel_count * geometry.voxel_ml
    return f"{out}: {record.voxel_count} voxels, {millilitres:.2f} ml, by {by}"


def _times(seconds: dict[str, float], made: Segmented) -> str:
    phases = {name: value / 1000 for name, value in made.timings.phases_ms.items()}
    order = {"load": seconds["load"], "scan": seconds["scan"], **phases, "write": seconds["write"]}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in order.items())
    return f"seconds: {shown}; {sum(order.values()):.3f} in all"


def _writer(out: Path) -> Render:
    write = write_nrrd if out.name.endswith(".nrrd") else write_nifti

    def render(pasted: Pasted, geometry: Geometry) -> bytes:
        return write(pasted.full(geometry.shape), geometry)

    return render


@contextmanager
def _clocked(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """An argument type: ``count`` finite numbers with commas between."""

    def parse(text: str) -> tuple[float, ...]:
        numbers = tuple(float(part) for part in text.split(","))
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise ValueError(text)
        return numbers

    parse.__name__ = f"{count} numbers"
    return parse


def _mask_path(text: str) -> Path:
    if not text.endswith((".nii.gz", ".nrrd")):
        raise argparse.ArgumentTypeError("the mask's name must end in .nii.gz or .nrrd")
    return Path(text)
