"""From a folder of labelled scans to a served expert: the whole way, small, on the demo's bundle.

The task is one that no general model can know from a click: of a bright ball, the upper half alone.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.reading import read_volume
from tests.datasets import write_labelled, write_scan
from tests.integration.serving import sammoe, serving

Mask = NDArray[np.bool_]
SIDE, MM, TASK = 48, 1.5, "upper_half"
AFFINE = np.diag([MM, MM, MM, 1.0])
STEPS = 45


def ball(seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A bright ball in a grey body; labelled is the half of it that is higher."""
    rng = np.random.default_rng(seed)
    index = np.indices((SIDE,) * 3)
    centre = rng.uniform(18, 30, 3).reshape(3, 1, 1, 1)
    inside = np.square(index - centre).sum(0) < rng.uniform(9, 12) ** 2
    body = np.square((index - SIDE / 2) / SIDE).sum(0) < 0.22
    image = 250 * body + 400 * inside + rng.normal(0, 15, inside.shape)
    upper = inside & (index[2] > centre[2])
    return np.maximum(image, 0).astype(np.int16), upper.astype(np.uint8)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's bundle with a seventh expert, trained on ten scans."""
    root = tmp_path_factory.mktemp("mixture")
    data = root / "balls"
    write_labelled(data, {f"ball_{n}": ball(n) for n in range(12)}, {TASK: 1}, AFFINE)
    run, out = root / "run", root / "grown"
    cache = root / "cache"
    expert, head = run / "expert.safetensors", run / "head.safetensors"
    of = ("--data", data, "--out", run, "--cache", cache)
    small = ("--steps", str(STEPS), "--every", str(STEPS), "--windows", "2", "--threads", "1")
    few = ("--lr", "1e-3", "--points", "1", "--batch", "4")
    commands: list[list[str | Path]] = [
        ["train", "expert", "--task", TASK, *of, *small, *few],
        ["train", "gate", *of, "--checkpoint", expert, "--prompts", "80", "--steps", "1000"],
        ["bundle", "add-expert", "--checkpoint", expert, "--head", head, "--out", out],
    ]
    for words in commands:
        done = sammoe(*words)
        assert done.returncode == 0, done.stderr
    return out


def dice(mask: Mask, target: Mask) -> float:
    return 2 * float((mask & target).sum()) / float(mask.sum() + target.sum())


@pytest.fixture(scope="module")
def http(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service that runs the grown bundle."""
    state = tmp_path_factory.mktemp("served") / "state"
    with serving(grown, state) as server, server.client() as client:
        yield client


def add(http: httpx.Client, folder: Path, image: NDArray[np.int16]) -> str:
    """Where the segmentations of a new MR volume are made."""
    scan = write_scan(folder / "scan.nii.gz", image, AFFINE)
    added = http.post(
        "/v1/volumes?modality=MR",
        content=scan.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )
    return f"/v1/volumes/{added.json()['id']}/segmentations"


def answer(http: httpx.Client, folder: Path, seed: int, expert: str) -> tuple[Mask, Mask]:
    """Click on a new ball a little above its middle; mask and target."""
    image, label = ball(seed)
    place = np.argwhere(label).mean(0).round().tolist()
    asked = {"points": [{"position": place, "label": 1}], "space": "voxel", "expert": expert}
    made = http.post(add(http, folder, image), json=asked)
    mask = http.get(f"/v1/segmentations/{made.json()['id']}/mask")
    path = folder / f"{expert}_{seed}.nii.gz"
    path.write_bytes(mask.content)
    return read_volume(path).voxels > 0, label > 0


def test_the_new_expert_knows_its_task(http: httpx.Client, tmp_path: Path) -> None:
    scores = {
        kind: [dice(*answer(http, tmp_path, seed, kind)) for seed in (100, 101, 102)]
        for kind in (TASK, "general")
    }
    assert np.mean(scores[TASK]) > 0.6
    assert np.mean(scores[TASK]) > np.mean(scores["general"]) + 0.1


def test_the_service_lists_it_and_its_head_knows_its_prompts(
    http: httpx.Client, tmp_path: Path
) -> None:
    image, label = ball(103)
    index = np.argwhere(label)
    low, high = index.min(0), index.max(0)
    inside = {"box": [low.tolist(), high.tolist()], "space": "voxel"}
    # As large a box, with as much of the ball's lower half as of the body under it.
    under = {"box": [(low - [0, 0, 14]).clip(0).tolist(), (high - [0, 0, 14]).tolist()]}
    names = [expert["name"] for expert in http.get("/v1/capabilities").json()["experts"]]
    assert names[-1] == TASK
    clicks = add(http, tmp_path, image)
    own, other = (
        http.post(clicks, json=body).json()["route"]["scores"] for body in (inside, inside | under)
    )
    assert own.keys() == set(names)
    assert own[TASK] > other[TASK]
