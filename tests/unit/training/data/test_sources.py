"""The pool: written whole, read back the same, resumed without making anything twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from sammoe.errors import DataSetInvalid
from sammoe.training.data.phantoms import torso
from sammoe.training.data.shapes import shapes
from sammoe.training.data.sources import load, load_pool, make_pool, save
from sammoe.training.data.tissues import TISSUE


def test_a_map_comes_back_as_it_was(tmp_path: Path) -> None:
    source = shapes(np.random.default_rng(0))
    save(source, tmp_path / "one.npz")
    back = load(tmp_path / "one.npz")
    assert np.array_equal(back.labels, source.labels)
    assert (back.names, back.weights, back.unions) == (source.names, source.weights, source.unions)
    assert (back.kind, back.spacing_mm, back.tissue) == ("shapes", 1.5, None)
    assert [p.name for p in tmp_path.iterdir()] == ["one.npz"]


def test_a_torso_gets_its_tissues_back(tmp_path: Path) -> None:
    save(torso(np.random.default_rng(0)), tmp_path / "one.npz")
    assert load(tmp_path / "one.npz").tissue == TISSUE


def test_a_pool_is_resumed_and_grows(tmp_path: Path) -> None:
    first = make_pool(tmp_path, {"shapes": 2}, seed=3)
    before = [p.stat().st_mtime_ns for p in first]
    more = make_pool(tmp_path, {"torso": 1, "shapes": 3}, seed=3)
    assert more[1:3] == first
    assert [p.stat().st_mtime_ns for p in first] == before
    assert len(load_pool(tmp_path)) == 4
    assert [m.kind for m in load_pool(tmp_path, "torso")] == ["torso"]
    again = make_pool(tmp_path / "again", {"shapes": 3}, seed=3)
    assert np.array_equal(load(again[2]).labels, load(more[3]).labels)


def test_another_version_is_refused(tmp_path: Path) -> None:
    about = np.array(json.dumps({"version": 0}))
    np.savez(tmp_path / "old.npz", labels=np.zeros((2, 2, 2), np.uint8), about=about)
    with pytest.raises(
        DataSetInvalid, match=r"old\.npz is damaged, or of another version \(pool version 0\)"
    ):
        load(tmp_path / "old.npz")


@pytest.mark.parametrize("kept", [0, 100, -200])
def test_a_damaged_map_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.npz"
    save(shapes(np.random.default_rng(0)), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataSetInvalid, match=r"cut\.npz is damaged, .*: remove it"):
        load(path)
