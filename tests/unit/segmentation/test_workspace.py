"""Use cases around volumes, lists, masks and kept answers."""

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from sammoe.engine.local import LocalEngine
from sammoe.errors import (
    Conflict,
    ExpertUnknown,
    NoForeground,
    NotFound,
    UnsupportedFormat,
)
from sammoe.segmentation import Candidate, Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore, StoredResponse, VolumeRecord
from sammoe.volume.volume import Modality, ModalitySource
from tests.scans import AFFINE, INSIDE, SHAPE, nifti
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine

CLICK = Prompt((Point(*INSIDE),))


async def test_added_volume_is_described(workspace: Workspace, scan: Path) -> None:
    record, created = await workspace.volumes.add(OWNER, scan, filename="scan.nii", modality="MR")
    assert created
    assert record == await workspace.volumes.get(OWNER, record.id)
    assert (record.owner, record.shape, record.dtype) == (OWNER, SHAPE, "int16")
    np.testing.assert_allclose(record.geometry.affine, AFFINE)
    assert (record.modality, record.modality_source) == (Modality.MR, ModalitySource.USER)


async def test_same_file_is_the_same_volume_of_its_owner(workspace: Workspace, scan: Path) -> None:
    first, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    again, created = await workspace.volumes.add(
        OWNER, scan, modality="MR", file_digest=first.file_digest
    )
    assert (again.id, created) == (first.id, False)
    other, created = await workspace.volumes.add("bob", scan, modality="MR")
    assert created
    assert other.content_digest == first.content_digest
    assert (await workspace.volumes.add(OWNER, scan))[1]


async def test_bad_file_is_refused_and_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(b"hello")
    with pytest.raises(UnsupportedFormat):
        await workspace.volumes.add(OWNER, path)
    assert (await workspace.volumes.list(OWNER)).items == ()


async def test_volumes_are_listed_newest_first(workspace: Workspace, tmp_path: Path) -> None:
    made = []
    for seed in range(3):
        path = tmp_path / f"{seed}.nii"
        path.write_bytes(nifti(seed, shape=(40, 40, 40)))
        made.append((await workspace.volumes.add(OWNER, path))[0].id)
    first = await workspace.volumes.list(OWNER, limit=2)
    rest = await workspace.volumes.list(OWNER, first.cursor, 2)
    assert [record.id for record in first.items + rest.items] == made[::-1]


async def test_deleting_a_volume_takes_its_segmentations(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    made = await workspace.segment(OWNER, volume.id, CLICK)
    await workspace.volumes.delete(OWNER, volume.id)
    with pytest.raises(NotFound):
        await workspace.volumes.get(OWNER, volume.id)
    with pytest.raises(NotFound):
        await workspace.get_segmentation(OWNER, made.record.id)
    with pytest.raises(NotFound):
        await workspace.segment(OWNER, volume.id, CLICK)


@pytest.mark.fault("S18")
async def test_nothing_is_there_for_another_principal(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    name = (await workspace.segment(OWNER, volume.id, CLICK)).record.id
    for call in (
        workspace.volumes.get("bob", volume.id),
        workspace.volumes.delete("bob", volume.id),
        workspace.warmer.warm("bob", volume.id),
        workspace.segment("bob", volume.id, CLICK),
        workspace.list_segmentations("bob", volume.id),
        workspace.get_segmentation("bob", name),
        workspace.delete_segmentation("bob", name),
        workspace.undo("bob", name),
        workspace.mask("bob", name),
        workspace.measure("bob", name),
    ):
        with pytest.raises(NotFound, match="There is no such"):
            await call


async def test_segmentations_are_listed_and_deleted(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    made = [(await workspace.segment(OWNER, volume.id, CLICK)).record for _ in range(2)]
    assert (await workspace.list_segmentations(OWNER, volume.id)).items == tuple(made[::-1])
    await workspace.delete_segmentation(OWNER, made[0].id)
    assert (await workspace.list_segmentations(OWNER, volume.id)).items == (made[1],)


async def test_undo_goes_to_the_parent(workspace: Workspace, volume: VolumeRecord) -> None:
    first = (await workspace.segment(OWNER, volume.id, CLICK)).record
    second = (await workspace.segment(OWNER, volume.id, Prompt(), parent=first.id)).record
    assert await workspace.undo(OWNER, second.id) == first
    with pytest.raises(Conflict, match="nothing to undo"):
        await workspace.undo(OWNER, first.id)
    await workspace.delete_segmentation(OWNER, first.id)
    with pytest.raises(Conflict, match="was deleted"):
        await workspace.undo(OWNER, second.id)


async def test_mask_and_measures_are_those_of_the_click(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    made = await workspace.segment(OWNER, volume.id, CLICK)
    pasted, of = await workspace.mask(OWNER, made.record.id)
    assert of == volume
    np.testing.assert_array_equal(pasted.mask, made.pasted.mask)
    assert pasted.offset == made.pasted.offset
    measures = await workspace.measure(OWNER, made.record.id)
    assert measures.voxels == made.record.voxel_count == np.count_nonzero(pasted.mask)
    assert measures.ml == pytest.approx(measures.voxels * 1.5e-3)


async def test_every_candidate_that_was_made_can_be_fetched(
    mixture: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    workspace = Workspace(mixture, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")

    async def voxels(name: str, candidate: Candidate) -> int:
        pasted, _ = await workspace.mask(OWNER, name, candidate)
        return int(np.count_nonzero(pasted.mask))

    both = (await workspace.segment(OWNER, volume.id, CLICK)).record
    general, fused, expert = [
        await voxels(both.id, candidate) for candidate in ("general", "fused", "expert")
    ]
    assert both.route.fused
    assert general < fused <= expert
    assert fused == both.voxel_count
    alone = (await workspace.segment(OWNER, volume.id, CLICK, expert="general")).record
    assert await voxels(alone.id, "general") == await voxels(alone.id, "fused") == general
    assert await voxels(alone.id, "expert") == expert
    named = (await workspace.segment(OWNER, volume.id, CLICK, expert="lesion")).record
    assert await voxels(named.id, "fused") == await voxels(named.id, "expert")
    assert named.route.used == "lesion"
    with pytest.raises(ExpertUnknown):
        await workspace.segment(OWNER, volume.id, CLICK, expert="liver")
    await workspace.close()


async def settled(workspace: Workspace) -> None:
    """Wait for what goes on in the background."""
    await asyncio.wait_for(asyncio.gather(*workspace.warmer._background), 30)


async def test_warmed_window_is_a_hit(
    workspace: Workspace, volume: VolumeRecord, cache: EmbeddingCache
) -> None:
    assert await workspace.warmer.warm(OWNER, volume.id, CLICK) == 1
    await settled(workspace)
    made = await workspace.segment(OWNER, volume.id, CLICK)
    assert made.timings.cache == "hit"
    assert await workspace.warmer.warm(OWNER, volume.id, spacing=3.0) == 1
    await settled(workspace)
    assert cache.counters.entries == 2


async def test_nothing_to_see_in_the_background_is_logged_only(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voxels = np.zeros((80, 60, 60), np.int16)
    voxels[0, 0, :2] = 1, 2
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 80 60 60\nencoding: raw\nendian: little\n"
        "space: right-anterior-superior\nspace origin: (0,0,0)\n"
        "space directions: (1.5,0,0) (0,1.5,0) (0,0,1.5)\n\n"
    )
    path = tmp_path / "dark.nrrd"
    path.write_bytes(header.encode() + voxels.tobytes(order="F"))
    volume, _ = await workspace.volumes.add(OWNER, path, modality="MR")
    prompt = Prompt((Point(70, 50, 50),))
    with caplog.at_level(logging.WARNING, "sammoe.segmentation"):
        await workspace.warmer.warm(OWNER, volume.id, prompt)
        await settled(workspace)
    assert [record.getMessage().split()[-1] for record in caplog.records] == ["no_foreground"]
    with pytest.raises(NoForeground):
        await workspace.segment(OWNER, volume.id, prompt)


async def test_closing_ends_the_background_work(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine, opened=False)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan)
    await workspace.warmer.warm(OWNER, volume.id)
    (task,) = workspace.warmer._background
    while not watched.encodes:
        await asyncio.sleep(0.01)
    await workspace.close()
    assert task.cancelled()
    await cache.close()


class Handler:
    """Makes answers, each another one; may fail first."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self.failures = failures

    async def __call__(self, name: str) -> StoredResponse:
        self.calls += 1
        await asyncio.sleep(0)
        if self.calls <= self.failures:
            raise Conflict("not yet")
        return StoredResponse(201, {"n": str(self.calls)}, b"body")


async def test_same_key_is_answered_once(workspace: Workspace) -> None:
    handle = Handler()
    asked = [workspace.answer_once(OWNER, "key", "digest", handle) for _ in range(5)]
    answers = await asyncio.gather(*asked)
    assert handle.calls == 1
    assert {answer.headers["n"] for answer in answers} == {"1"}
    assert (await workspace.answer_once("bob", "key", "digest", handle)).headers["n"] == "2"
    with pytest.raises(Conflict):
        await workspace.answer_once(OWNER, "key", "another", handle)
    assert handle.calls == 2


async def test_error_is_not_kept(workspace: Workspace) -> None:
    handle = Handler(failures=1)
    with pytest.raises(Conflict, match="not yet"):
        await workspace.answer_once(OWNER, "key", "digest", handle)
    assert (await workspace.answer_once(OWNER, "key", "digest", handle)).headers["n"] == "2"


def test_uploads_lie_in_the_store(workspace: Workspace, store: LocalStore) -> None:
    assert workspace.temporary_folder == store.temporary_folder
    assert workspace.temporary_folder.is_dir()
