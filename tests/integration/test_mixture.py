"""From a folder of labelled scans to a served expert: the whole way, small, on the demo's bundle.

The task is one that no general model can know from a click: of a bright ball, the upper half alone.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.reading import read_volume
from tests.datasets import write_labelled, write_scan
from tests.integration.serving import sammoe, serving

Mask = NDArray[np.bool_]
SIDE, MM, TASK = 48, 1.5, "upper_half"
AFFINE = np.diag([MM, MM, MM, 1.0])
STEPS = 60


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
    small = ("--windows", "4", "--every", "30", "--lr", "1e-3", "--points", "2", "--batch", "4")
    commands: list[list[str | Path]] = [
        ["train", "expert", "--task", TASK, *of, "--steps", str(STEPS), *small, "--threads", "1"],
        ["train", "gate", *of, "--checkpoint", expert, "--prompts", "120", "--steps", "1000"],
        ["bundle", "add-expert", "--checkpoint", expert, "--head", head, "--out", out],
    ]
    for words in commands:
        done = sammoe(*words)
        assert done.returncode == 0, done.stderr
    return out


def dice(mask: Mask, target: Mask) -> float:
    return 2 * float((mask & target).sum()) / float(mask.sum() + target.sum())


def answer(bundle: Path, folder: Path, seed: int, *flags: str) -> tuple[Mask, Mask]:
    """Click on a new ball a little above its middle; mask and target."""
    image, label = ball(seed)
    scan = write_scan(folder / f"{seed}.nii.gz", image, AFFINE)
    x, y, z = np.argwhere(label).mean(0).round().astype(int)
    out = folder / f"{seed}{''.join(flags)}.nii.gz"
    place = ("--point", f"{x},{y},{z}", "--modality", "MR")
    done = sammoe("segment", scan, "--out", out, *place, "--bundle", bundle, *flags)
    assert done.returncode == 0, done.stderr
    return read_volume(out).voxels > 0, label > 0


def test_the_new_expert_knows_its_task(grown: Path, tmp_path: Path) -> None:
    scores = {
        kind: [dice(*answer(grown, tmp_path, seed, "--expert", kind)) for seed in (100, 101, 102)]
        for kind in (TASK, "general")
    }
    assert np.mean(scores[TASK]) > 0.6
    assert np.mean(scores[TASK]) > np.mean(scores["general"]) + 0.1


def test_the_service_lists_it_and_its_head_knows_its_prompts(grown: Path, tmp_path: Path) -> None:
    image, label = ball(103)
    scan = write_scan(tmp_path / "scan.nii.gz", image, AFFINE)
    index = np.argwhere(label)
    low, high = index.min(0), index.max(0)
    inside = {"box": [low.tolist(), high.tolist()], "space": "voxel"}
    # As large a box, with as much of the ball's lower half as of the body under it.
    under = {"box": [(low - [0, 0, 14]).clip(0).tolist(), (high - [0, 0, 14]).tolist()]}
    with serving(grown, tmp_path / "state") as server, server.client() as http:
        names = [expert["name"] for expert in http.get("/v1/capabilities").json()["experts"]]
        assert names[-1] == TASK
        added = http.post(
            "/v1/volumes?modality=MR",
            content=scan.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        clicks = f"/v1/volumes/{added.json()['id']}/segmentations"
        own, other = (
            http.post(clicks, json=body).json()["route"]["scores"]
            for body in (inside, inside | under)
        )
    assert own.keys() == set(names)
    assert own[TASK] > other[TASK]
