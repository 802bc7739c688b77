"""The way of a click, on a real engine and a real store."""

import asyncio
import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.engine import AUTO, LOGIT_LIMIT
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import Conflict, NotFound, StoreUnavailable
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.segmentation.parents import ANSWER, Candidate, field_of
from sammoe.store import EmbeddingCache, LocalStore, VolumeRecord
from sammoe.store.folder_files import FolderFiles
from sammoe.volume.geometry import Geometry
from sammoe.volume.packed import pack
from sammoe.volume.paste import Pasted
from sammoe.volume.volume import Modality
from tests.bundles import BALL_VOXELS, write_test_bundle
from tests.scans import INSIDE, SHAPE, nifti
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine

CLICK = Prompt((Point(*INSIDE),))
BITE = Prompt((Point(INSIDE[0] + 8, INSIDE[1], INSIDE[2], positive=False),))


def ball_voxels(spacing: float = 1.5) -> float:
    """How many of the scan's voxels the general decoder's ball holds."""
    return float(4 / 3 * np.pi * (BALL_VOXELS * spacing) ** 3 / 1.5)


def logits_of(store: LocalStore, name: str) -> NDArray[np.float32]:
    return field_of(*store.segmentations.with_fields(OWNER, name)).values


async def test_click_gives_a_ball_around_it(workspace: Workspace, volume: VolumeRecord) -> None:
    made = await workspace.segment(OWNER, volume.id, CLICK, render=pack)
    places = np.argwhere(made.pasted.mask) + made.pasted.offset
    assert len(places) == pytest.approx(ball_voxels(), rel=0.15)
    np.testing.assert_allclose(places.mean(axis=0), INSIDE, atol=0.7)
    assert made.rendered == pack(made.pasted, volume.geometry)
    assert made.volume == volume


async def test_record_is_kept_before_the_answer(workspace: Workspace, volume: VolumeRecord) -> None:
    made = await workspace.segment(OWNER, volume.id, CLICK)
    record = made.record
    assert record == await workspace.get_segmentation(OWNER, record.id)
    assert (record.owner, record.volume_id, record.parent) == (OWNER, volume.id, None)
    assert (record.prompt.points, record.prompt.labels) == ((INSIDE,), (1,))
    assert (record.route.used, record.choice.expert) == ("general", "auto")
    assert record.bundle_digest == workspace.bundle.digest
    assert record.voxel_count == np.count_nonzero(made.pasted.mask)


async def test_phases_of_miss_and_hit(workspace: Workspace, volume: VolumeRecord) -> None:
    first = (await workspace.segment(OWNER, volume.id, CLICK)).timings
    second = (await workspace.segment(OWNER, volume.id, CLICK)).timings
    assert (first.cache, second.cache) == ("miss", "hit")
    long = ["queue", "read", "crop", "encode", "decode", "paste", "store"]
    assert list(first.phases_ms) == long
    assert list(second.phases_ms) == [name for name in long if name not in {"crop", "encode"}]
    assert all(value >= 0 for value in first.phases_ms.values())


async def test_hit_and_miss_give_the_same_bytes(
    workspace: Workspace, engine: LocalEngine, store: LocalStore, volume: VolumeRecord
) -> None:
    miss = await workspace.segment(OWNER, volume.id, CLICK, render=pack)
    hit = await workspace.segment(OWNER, volume.id, CLICK, render=pack)
    cold = Workspace(engine, store, EmbeddingCache(0))
    fresh = await cold.segment(OWNER, volume.id, CLICK, render=pack)
    assert miss.rendered == hit.rendered == fresh.rendered
    one, two, three = (logits_of(store, made.record.id) for made in (miss, hit, fresh))
    assert one.tobytes() == two.tobytes() == three.tobytes()
    await cold.close()


async def test_refinement_has_all_clicks_and_the_parent_s_logits(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    first = await workspace.segment(OWNER, volume.id, CLICK)
    assert watched.inputs is not None
    assert not watched.inputs.mask.any()
    second = await workspace.segment(OWNER, volume.id, BITE, parent=first.record.id)
    np.testing.assert_array_equal(watched.inputs.labels, [[1, 0, -1]])
    prior = np.clip(logits_of(store, first.record.id), -LOGIT_LIMIT, LOGIT_LIMIT)
    np.testing.assert_array_equal(watched.inputs.mask[0, 0], prior)
    assert second.record.parent == first.record.id
    assert second.record.windows[0].window == first.record.windows[0].window
    assert second.timings.cache == "hit"
    assert second.record.voxel_count < first.record.voxel_count
    await workspace.close()


async def test_refinement_after_a_restart_gives_the_same_bytes(
    workspace: Workspace, engine: LocalEngine, volume: VolumeRecord, tmp_path: Path
) -> None:
    first = await workspace.segment(OWNER, volume.id, CLICK)
    before = await workspace.segment(OWNER, volume.id, BITE, parent=first.record.id, render=pack)
    reopened = LocalStore(tmp_path / "state")
    restarted = Workspace(engine, reopened, EmbeddingCache(1 << 24))
    after = await restarted.segment(OWNER, volume.id, BITE, parent=first.record.id, render=pack)
    assert (before.timings.cache, after.timings.cache) == ("hit", "miss")
    assert before.rendered == after.rendered
    ours, theirs = (logits_of(reopened, made.record.id) for made in (before, after))
    assert ours.tobytes() == theirs.tobytes()
    await restarted.close()
    reopened.close()


async def test_refinement_remembers_what_the_gate_said_of_the_answer(
    mixture: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path, tmp_path: Path
) -> None:
    watched = WatchedEngine(mixture)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    record = (await workspace.segment(OWNER, volume.id, CLICK)).record
    said = tuple(record.route.scores.values())
    assert said

    async def earlier(
        parent: str, expert: str = AUTO, refined: Candidate = ANSWER
    ) -> tuple[float, ...]:
        await workspace.segment(
            OWNER, volume.id, BITE, parent=parent, expert=expert, refined=refined
        )
        return watched.choices[-1].earlier

    assert watched.choices[-1].earlier == ()
    assert await earlier(record.id) == said
    # Who takes another mask says that the gate was wrong; who names an expert does not ask it.
    assert await earlier(record.id, refined="general") == ()
    assert await earlier(record.id, expert="cord") == ()
    named = (await workspace.segment(OWNER, volume.id, CLICK, expert="cord")).record
    assert await earlier(named.id) == ()
    await workspace.close()

    other = write_test_bundle(tmp_path / "other", experts=("cord", "lesion"), tau=0.4)
    another = WatchedEngine(LocalEngine(other, EngineOptions(1, 1)))
    workspace, watched = Workspace(another, store, cache), another
    assert await earlier(record.id) == ()
    await workspace.close()
    await another.close()


@pytest.mark.fault("S29")
async def test_two_may_refine_one_segmentation(workspace: Workspace, volume: VolumeRecord) -> None:
    first = (await workspace.segment(OWNER, volume.id, CLICK)).record
    both = await asyncio.gather(
        *(workspace.segment(OWNER, volume.id, BITE, parent=first.id) for _ in range(2))
    )
    assert len({made.record.id for made in both}) == 2
    assert {made.record.parent for made in both} == {first.id}


async def test_check_that_rejects_leaves_the_expert_s_mask_as_a_candidate(
    store: LocalStore, cache: EmbeddingCache, scan: Path, tmp_path: Path
) -> None:
    bundle = write_test_bundle(
        tmp_path / "bundle", experts=("cord",), slack=-5, agreement=0.9, reference=True
    )
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    workspace = Workspace(engine, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    made = await workspace.segment(OWNER, volume.id, CLICK, tau=0.0)
    route = made.record.route
    assert (route.used, route.top, route.check) == ("general", "cord", "rejected")
    assert route.agreement is not None
    assert route.distance is not None
    assert [doubt.code for doubt in made.record.warnings] == ["candidates_disagree"]
    assert made.record == await workspace.get_segmentation(OWNER, made.record.id)
    sizes = {}
    for name in ("fused", "general", "expert"):
        pasted, _ = await workspace.mask(OWNER, made.record.id, name)
        sizes[name] = np.count_nonzero(pasted.mask)
    assert sizes["fused"] == sizes["general"] == made.record.voxel_count < sizes["expert"]
    # What is refined is what was shown: the general mask.
    watched = WatchedEngine(engine)
    again = Workspace(watched, store, cache)
    await again.segment(OWNER, volume.id, BITE, parent=made.record.id)
    assert watched.inputs is not None
    assert watched.modality is Modality.MR
    _, fields = store.segmentations.with_fields(OWNER, made.record.id)
    np.testing.assert_array_equal(watched.inputs.mask[0, 0], fields["general"].values)
    await again.close()
    await workspace.close()
    await engine.close()


async def test_parent_must_be_of_this_volume(
    workspace: Workspace, volume: VolumeRecord, tmp_path: Path
) -> None:
    first = (await workspace.segment(OWNER, volume.id, CLICK)).record
    path = tmp_path / "other.nii"
    path.write_bytes(nifti(1))
    other, _ = await workspace.volumes.add(OWNER, path)
    with pytest.raises(Conflict, match="another volume") as caught:
        await workspace.segment(OWNER, other.id, BITE, parent=first.id)
    assert caught.value.pointer == "/parent"
    for name in ("0" * 26, "nonsense"):
        with pytest.raises(NotFound, match="no such segmentation"):
            await workspace.segment(OWNER, volume.id, BITE, parent=name)


@pytest.mark.fault("S28")
async def test_fifty_first_clicks_are_one_encode(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan)
    clicks = [workspace.segment(OWNER, volume.id, CLICK, render=pack) for _ in range(50)]
    made = await asyncio.gather(*clicks)
    assert watched.encodes == 1
    assert len({segmented.rendered for segmented in made}) == 1
    assert len({segmented.record.id for segmented in made}) == 50
    await workspace.close()


@pytest.mark.fault("S30")
async def test_embeddings_are_shared_by_equal_scans_of_two_principals(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine)
    workspace = Workspace(watched, store, cache)
    for owner in (OWNER, "bob"):
        volume, _ = await workspace.volumes.add(owner, scan)
        await workspace.segment(owner, volume.id, CLICK)
    assert watched.encodes == 1
    await workspace.close()


@pytest.mark.fault("S27")
async def test_later_click_does_not_wait_for_a_first_one_s_encode(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path, tmp_path: Path
) -> None:
    watched = WatchedEngine(engine)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan)
    await workspace.segment(OWNER, volume.id, CLICK)
    path = tmp_path / "other.nii"
    path.write_bytes(nifti(1))
    other, _ = await workspace.volumes.add(OWNER, path)
    watched.open.clear()
    slow = asyncio.create_task(workspace.segment(OWNER, other.id, CLICK))
    while watched.encodes < 2:
        await asyncio.sleep(0.01)
    assert (await workspace.segment(OWNER, volume.id, BITE_AND_CLICK)).timings.cache == "hit"
    assert not slow.done()
    watched.open.set()
    assert (await slow).timings.cache == "miss"
    await workspace.close()


BITE_AND_CLICK = replace(CLICK, points=CLICK.points + BITE.points)


@pytest.mark.fault("S34")
async def test_client_that_leaves_does_not_stop_the_encode_of_the_others(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine, opened=False)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan)
    leaves = asyncio.create_task(workspace.segment(OWNER, volume.id, CLICK))
    while not watched.encodes:
        await asyncio.sleep(0.01)
    stays = asyncio.create_task(workspace.segment(OWNER, volume.id, CLICK))
    while not cache.counters.joined:
        await asyncio.sleep(0.01)
    leaves.cancel()
    watched.open.set()
    assert (await stays).record.voxel_count > 0
    assert watched.encodes == 1
    with pytest.raises(asyncio.CancelledError):
        await leaves
    await workspace.close()


@pytest.mark.fault("F15", "F24")
async def test_full_disk_answers_nothing_and_keeps_nothing(
    workspace: Workspace, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FolderFiles, "create", full)
    with pytest.raises(StoreUnavailable, match="full"):
        await workspace.segment(OWNER, volume.id, CLICK, render=pack)
    monkeypatch.undo()
    assert (await workspace.list_segmentations(OWNER, volume.id)).items == ()
    assert (await workspace.segment(OWNER, volume.id, CLICK)).record.voxel_count


async def test_failure_to_render_is_raised(workspace: Workspace, volume: VolumeRecord) -> None:
    def fail(_: Pasted, geometry: Geometry) -> bytes:
        raise KeyError(geometry.shape)

    with pytest.raises(KeyError, match=str(SHAPE[0])):
        await workspace.segment(OWNER, volume.id, CLICK, render=fail)


async def test_volume_deleted_during_a_click_is_not_found(
    engine: LocalEngine, store: LocalStore, cache: EmbeddingCache, scan: Path
) -> None:
    watched = WatchedEngine(engine, opened=False)
    workspace = Workspace(watched, store, cache)
    volume, _ = await workspace.volumes.add(OWNER, scan)
    click = asyncio.create_task(workspace.segment(OWNER, volume.id, CLICK))
    while not watched.encodes:
        await asyncio.sleep(0.01)
    await workspace.volumes.delete(OWNER, volume.id)
    watched.open.set()
    with pytest.raises(NotFound, match="no such volume"):
        await click
    await workspace.close()


async def test_deleting_an_equal_scan_leaves_those_who_wait_for_its_encode(
    workspace: Workspace,
    store: LocalStore,
    cache: EmbeddingCache,
    scan: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone, _ = await workspace.volumes.add(OWNER, scan, modality="MR")
    stays, _ = await workspace.volumes.add("bob", scan, modality="MR")
    read, deleted = store.volumes.voxels, threading.Event()

    def read_late(record: VolumeRecord) -> NDArray[np.generic]:
        assert deleted.wait(10)
        return read(record)

    monkeypatch.setattr(store.volumes, "voxels", read_late)
    first = asyncio.create_task(workspace.segment(OWNER, gone.id, CLICK))
    while not cache.counters.misses:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(workspace.segment("bob", stays.id, CLICK))
    while not cache.counters.joined:
        await asyncio.sleep(0.01)
    await workspace.volumes.delete(OWNER, gone.id)
    deleted.set()
    with pytest.raises(NotFound, match="no such volume"):
        await first
    assert (await second).record.owner == "bob"
