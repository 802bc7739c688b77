"""One scan stored in several orientations, clicked at one place, over each dialect: one mask.

``loadtests/bench_orientations.py`` tries all 48.
"""

from pathlib import Path

import numpy as np

from loadtests.bench_orientations import WAYS, orientations, spread, template_scan
from sammoe.bundle import load_bundle
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, LocalStore

BUNDLE = Path(__file__).resolve().parents[2] / "model_repo"
TURNED = 22
"""All axes elsewhere, two of them mirrored."""


async def test_a_scan_is_segmented_alike_however_it_is_stored(tmp_path: Path) -> None:
    scan, reference = template_scan("thalamus", margin=20)
    tried = [next(orientations()), list(orientations())[TURNED]]
    engine = LocalEngine(load_bundle(BUNDLE), EngineOptions(encoder_threads=1, decoder_threads=1))
    store = LocalStore(tmp_path / "state")
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    for way in WAYS:
        found = await spread(workspace, way, scan, reference, tried)
        if way.declared:
            assert found.lowest > 0.5, way.name
            assert found.agreement > 0.999, way.name
        else:
            assert found.agreement < 0.999  # the networks were shown another scan
    await workspace.close()
    store.close()
    await engine.close()


def test_there_are_48_orientations() -> None:
    assert len({one.tobytes() for one in orientations()}) == 48
    assert np.array_equal(next(orientations()), [[0, 1], [1, 1], [2, 1]])
