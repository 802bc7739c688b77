"""Masks that the page's own decoder is tested with: written by `pack`, read by both.

``SAMMOE_WRITE_FIXTURES=1`` writes them anew.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import Pasted

FOLDER = Path(__file__).resolve().parents[3] / "clients/viewer/test/data"

SHAPE = (5, 7, 6)


def _masks() -> dict[str, Pasted]:
    random = np.random.default_rng(7)
    scattered = random.random((4, 3, 5)) < 0.4
    return {
        "corner": Pasted(np.ones((1, 1, 1), bool), (4, 6, 5)),
        "empty": Pasted(np.zeros((0, 0, 0), bool), (0, 0, 0)),
        "full": Pasted(np.ones(SHAPE, bool), (0, 0, 0)),
        "scattered": Pasted(scattered, (1, 3, 0)),
    }


def _voxels(pasted: Pasted) -> list[list[int]]:
    full: NDArray[np.uint8] = pasted.full(SHAPE)
    voxels: list[list[int]] = np.argwhere(full).tolist()
    return voxels


@pytest.mark.parametrize("name", list(_masks()))
def test_the_page_is_tested_with_what_the_service_packs(name: str) -> None:
    wanted = _masks()[name]
    packed, told = FOLDER / f"{name}.sammoe", FOLDER / f"{name}.json"
    if os.environ.get("SAMMOE_WRITE_FIXTURES"):
        FOLDER.mkdir(exist_ok=True)
        packed.write_bytes(pack(wanted, Geometry(SHAPE, np.eye(4))))
        told.write_text(json.dumps({"shape": SHAPE, "voxels": _voxels(wanted)}) + "\n")
    found, shape = unpack(packed.read_bytes())
    assert shape == SHAPE
    assert json.loads(told.read_text()) == {"shape": list(SHAPE), "voxels": _voxels(wanted)}
    assert _voxels(found) == _voxels(wanted)
