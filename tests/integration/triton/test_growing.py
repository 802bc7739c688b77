"""A mask of several windows is the same, byte for byte, whichever engine looks at them."""

from pathlib import Path

import pytest

from sammoe.bundle import Bundle
from sammoe.engine import Engine
from sammoe.segmentation import Extent, Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.volume.packed import pack
from tests.integration.triton.server import TritonServer
from tests.integration.triton.test_answers import both
from tests.scans import nifti

pytestmark = pytest.mark.integration

TWO = Prompt((Point(30, 24, 20), Point(30, 54, 20)))
BOX = Prompt(box=((4.0, 10.0, 4.0), (56.0, 140.0, 46.0)))
FAR = Prompt((Point(30, 120, 20),))


async def masks(engine: Engine, folder: Path, scan: Path) -> list[bytes | None]:
    """Followed, covered, refined elsewhere, and a candidate computed late."""
    store = LocalStore(folder)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    volume, _ = await workspace.volumes.add("alice", scan, modality="MR")
    follows = await workspace.segment("alice", volume.id, TWO, render=pack)
    assert len(follows.record.windows) > 1
    covers = await workspace.segment(
        "alice", volume.id, BOX, extent=Extent(16, spacing=1.5), render=pack
    )
    wanders = await workspace.segment(
        "alice", volume.id, FAR, parent=follows.record.id, render=pack
    )
    pasted, _ = await workspace.mask("alice", covers.record.id, "expert")
    await workspace.close()
    store.close()
    late = pack(pasted, volume.geometry)
    return [follows.rendered, covers.rendered, wanders.rendered, late]


async def test_growing_masks_are_the_same(
    triton: TritonServer, bundle: Bundle, tmp_path: Path
) -> None:
    scan = tmp_path / "long.nii"
    scan.write_bytes(nifti(shape=(60, 150, 50)))
    async with both(triton, bundle) as (local, remote):
        here = await masks(local, tmp_path / "local", scan)
        there = await masks(remote, tmp_path / "remote", scan)
    assert here == there
    assert all(here)
