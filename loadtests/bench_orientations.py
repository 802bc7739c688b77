"""One scan stored in each of 48 orientations, and the same click: is the mask the same?

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_orientations

A part of the MNI152 template, 1 x 1 x 2 mm, with its axes in every order and direction: voxels and
affine together, as other programs would have stored the same scan. It goes through each dialect as
that one's viewers send it, and is clicked at the same place of the patient. Printed per dialect:
Dice with the reference, lowest and highest over the orientations, and the lowest Dice with the mask
of the first orientation. Exits 1 where a service that knows how the scan lies spreads by more than
0.02.

nnInteractive's viewers send an array and a spacing alone; how it lies is declared to the service
(``--nninteractive-axes``, ``--nninteractive-orientation``). A scan that lies otherwise than
declared reaches the networks turned or mirrored: the last row shows what that costs.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff
from numpy.typing import NDArray
from tqdm import tqdm

from examples.demo.errors import dice
from examples.demo.structures import STRUCTURES, load_template, reference_mask
from sammoe.api import create_app
from sammoe.api.nninteractive.wire import pack, read_packed
from sammoe.bundle import load_bundle
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Workspace
from sammoe.settings import Settings
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.volume.geometry import Geometry
from sammoe.volume.packed import unpack
from tests import scans

ROOT: Final = Path(__file__).resolve().parents[1]
MOST: Final = 0.02
"""Spread of Dice that rounding can explain."""

Mask = NDArray[np.bool_]
Index = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, and a click at a place of the patient.

    Attributes
    ----------
    voxels, affine
        [i, j, k], and voxel index to RAS+ mm.
    click
        RAS+ mm.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    click: NDArray[np.float64]

    @property
    def index(self) -> Index:
        """Where the click is, voxel index."""
        i, j, k = (np.linalg.inv(self.affine) @ [*self.click, 1])[:3].tolist()
        return i, j, k

    @property
    def spacing(self) -> list[float]:
        """mm along i, j, k."""
        lengths: list[float] = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return lengths

    def stored(self, orientation: NDArray[np.float64]) -> "Scan":
        """The same scan with other axes: rows of source axis and direction, as nibabel's."""
        turned: NDArray[Any] = apply_orientation(self.voxels, orientation)  # type: ignore[no-untyped-call]
        affine = self.affine @ inv_ornt_aff(orientation, self.voxels.shape)  # type: ignore[no-untyped-call]
        return Scan(np.asfortranarray(turned), affine, self.click)


def orientations() -> Iterator[NDArray[np.float64]]:
    """All orders and directions of three axes; the first changes nothing."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)], float)


def back(mask: Mask, orientation: NDArray[np.float64]) -> Mask:
    """A mask in the axes of the first orientation."""
    inverse = np.zeros_like(orientation)
    for source, (target, sign) in enumerate(orientation):
        inverse[int(target)] = source, sign
    turned: Mask = apply_orientation(mask, inverse)  # type: ignore[no-untyped-call]
    return turned


async def over_v1(http: httpx.AsyncClient, scan: Scan) -> Mask:
    """A NIfTI file, and a click in voxels."""
    headers = {"Content-Type": "application/octet-stream"}
    content = scans.as_nifti(scan.voxels, scan.affine)
    url = "/v1/volumes?modality=MR"
    volume = (await http.post(url, content=content, headers=headers)).raise_for_status().json()
    answer = await http.post(
        f"/v1/volumes/{volume['id']}/segmentations",
        json={"space": "voxel", "points": [{"position": scan.index, "label": 1}]},
        headers={"Accept": "application/vnd.sammoe.mask"},
    )
    pasted, shape = unpack(answer.raise_for_status().content)
    mask: Mask = pasted.full(shape) != 0
    return mask


async def over_monailabel(http: httpx.AsyncClient, scan: Scan) -> Mask:
    """A session of a NIfTI file, and a click in voxels; a raw NRRD comes back."""
    file = {"files": ("scan.nii", scans.as_nifti(scan.voxels, scan.affine))}
    session = (await http.put("/monailabel/session/", files=file)).raise_for_status().json()
    params = {
        "foreground": [scan.index],
        "result_extension": ".nrrd",
        "result_compress": False,
    }
    answer = await http.post(
        f"/monailabel/infer/sam_med3d_moe?session_id={session['session_id']}&output=image",
        files={"params": (None, json.dumps(params))},
    )
    raw = answer.raise_for_status().content.partition(b"\n\n")[2]
    mask: Mask = np.frombuffer(raw, np.uint8).reshape(scan.voxels.shape, order="F") != 0
    return mask


async def over_nninteractive(http: httpx.AsyncClient, scan: Scan) -> Mask:
    """An array [k, j, i], its spacing, and a click in its index; changes come back."""

    async def post(name: str, **sent: Any) -> httpx.Response:
        answer = await http.post(f"/nninteractive/{name}", headers=sent.pop("headers", {}), **sent)
        return answer.raise_for_status()

    lease = (await post("claim")).json()["lease_token"]
    http.headers["X-Lease-Token"] = lease
    meta = json.dumps({"image_properties": {"spacing": scan.spacing[::-1]}})
    headers = {"X-Meta": meta, "Content-Type": "application/octet-stream"}
    await post("set_image", content=pack(scan.voxels.T[None]), headers=headers)
    shape = scan.voxels.shape[::-1]
    await post("set_target_buffer", json={"shape": shape, "dtype": "uint8"})
    body = {"coordinates": scan.index[::-1], "include_interaction": True}
    answer = await post("add_point_interaction", json=body)
    mask = np.zeros(shape, np.bool_)
    box = json.loads(answer.headers["X-Meta"])["bbox"]
    if box is not None:
        part = read_packed(memoryview(answer.content), 1 << 30).unpack()
        mask[tuple(slice(first, end) for first, end in box)] = part != 0
    await post("release")
    return mask.T


@dataclass(frozen=True)
class Way:
    """A dialect; ``declared``: the service is told how the scan lies."""

    name: str
    segment: Callable[[httpx.AsyncClient, Scan], Awaitable[Mask]]
    declared: bool = True


WAYS: Final = (
    Way("/v1, NIfTI", over_v1),
    Way("MONAI Label, session", over_monailabel),
    Way("nnInteractive, declared", over_nninteractive),
    Way("nnInteractive, all as LPS", over_nninteractive, declared=False),
)


@dataclass(frozen=True)
class Spread:
    """Dice over orientations: with the reference, and with the first orientation's mask."""

    lowest: float
    highest: float
    agreement: float

    def __str__(self) -> str:
        width = self.highest - self.lowest
        return (
            f"Dice {self.lowest:.4f} to {self.highest:.4f}, spread {width:.4f};"
            f" with the first orientation's mask at least {self.agreement:.4f}"
        )


async def segment_stored(workspace: Workspace, way: Way, scan: Scan) -> Mask:
    """The mask of a scan as it is stored."""
    letters = Geometry(scan.voxels.shape, scan.affine).orientation
    settings = Settings.load({"nninteractive_orientation": letters} if way.declared else {})
    transport = httpx.ASGITransport(create_app(workspace, settings))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", timeout=None
    ) as http:
        return await way.segment(http, scan)


async def spread(
    workspace: Workspace, way: Way, scan: Scan, reference: Mask, tried: list[NDArray[np.float64]]
) -> Spread:
    """Segment a scan in some orientations over one dialect."""
    masks = []
    for one in tqdm(tried, desc=way.name, delay=2, leave=False):
        masks.append(back(await segment_stored(workspace, way, scan.stored(one)), one))
    scores = [dice(mask, reference) for mask in masks]
    return Spread(min(scores), max(scores), min(dice(mask, masks[0]) for mask in masks))


def template_scan(structure: str, margin: int = 60) -> tuple[Scan, Mask]:
    """A part of the template around a structure, each second slice, and the structure's mask."""
    template, target = load_template(), STRUCTURES[structure]
    reference = reference_mask(target, template)
    places = np.argwhere(reference)
    low = np.maximum(places.min(axis=0) - margin, 0)
    part = tuple(
        slice(int(first), int(last) + margin)
        for first, last in zip(low, places.max(axis=0), strict=True)
    )
    every_second = (slice(None), slice(None), slice(None, None, 2))
    affine = template.affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = (template.affine @ [*low, 1])[:3]
    voxels = np.asfortranarray(template.scan[part][every_second].astype(np.float32))
    return Scan(voxels, affine, np.asarray(target.first_click)), reference[part][every_second]


async def run(args: argparse.Namespace) -> int:
    """Measure and print; 0 unless a dialect that tells the affine spreads."""
    scan, reference = template_scan(args.structure)
    tried = list(itertools.islice(orientations(), args.orientations))
    engine = LocalEngine(load_bundle(args.bundle), EngineOptions())
    failed = False
    with tempfile.TemporaryDirectory() as name:
        store = LocalStore(Path(name))
        workspace = Workspace(engine, store, EmbeddingCache(1 << 28))
        for way in WAYS:
            found = await spread(workspace, way, scan, reference, tried)
            print(f"{way.name:<26} {found}", flush=True)
            failed |= way.declared and found.highest - found.lowest > MOST
        await workspace.close()
        store.close()
    await engine.close()
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "model_repo")
    parser.add_argument("--structure", choices=STRUCTURES, default="thalamus")
    parser.add_argument("--orientations", type=int, default=48, help="how many (default 48)")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
