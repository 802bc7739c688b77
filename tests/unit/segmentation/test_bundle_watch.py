"""Another bundle takes over while the workspace answers: on real engines and real folders, followed
as such, or by the record of a store in a bucket."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sammoe.audit import AuditLog, Deeds
from sammoe.bundle import MANIFEST_NAME, Bundle, load_bundle, manifest_digest, releases
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import Conflict, EngineError, ExpertGone, ExpertUnknown
from sammoe.segmentation import BundleWatch, Point, Prompt, WatchTimes, Workspace
from sammoe.store import EmbeddingCache, LocalStore, ReleaseRecord, Store, VolumeRecord, now
from sammoe.store.object_files import ObjectFiles
from tests.bundles import with_self_test, write_test_bundle
from tests.scans import INSIDE
from tests.unit.audit.test_log import said
from tests.unit.segmentation.conftest import OWNER
from tests.unit.segmentation.engines import WatchedEngine

CLICK = Prompt((Point(*INSIDE),))
OPTIONS = EngineOptions(encoder_threads=1, decoder_threads=1)
TIMES = WatchTimes(look=0.01, retry=0.0, ready=0.1, grace=0.0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without experts."""
    return with_self_test(write_test_bundle(tmp_path_factory.mktemp("plain")))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with the experts ``cord`` and ``lesion``."""
    root = tmp_path_factory.mktemp("grown")
    return with_self_test(write_test_bundle(root, experts=("cord", "lesion")))


class Engines:
    """Starts watched engines, and keeps them."""

    def __init__(self) -> None:
        self.made: list[WatchedEngine] = []
        self.fails = 0

    async def __call__(self, bundle: Bundle, like: Engine | None) -> Engine:
        if self.fails:
            self.fails -= 1
            raise EngineError("no server")
        self.made.append(WatchedEngine(LocalEngine(bundle, OPTIONS)))
        return self.made[-1]


@pytest.fixture
def served(plain: Bundle, tmp_path: Path) -> Path:
    """The folder that is served, with `plain` in it."""
    releases.publish(plain, tmp_path / "served")
    return tmp_path / "served"


@pytest.fixture(params=["no record", "a bucket's record"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Where `Publisher` keeps a record, if it does."""
    store: Store
    if request.param == "a bucket's record":
        store = Store(ObjectFiles("memory:///", tmp_path / "state"))
    else:
        store = LocalStore(tmp_path / "state")
    yield store
    store.close()


@dataclass(frozen=True)
class Publisher:
    """Does what the command does, with a store or without."""

    folder: Path
    store: Store | None

    def publish(self, bundle: Bundle) -> None:
        releases.publish(bundle, self.folder)
        self.activate()

    def rollback(self) -> None:
        releases.rollback(self.folder)
        self.activate()

    def activate(self) -> None:
        """Let the record name what the folder holds, whatever that is."""
        digest = manifest_digest(self.folder)
        if self.store is not None and digest is not None:
            activate(self.store, digest)


def activate(store: Store, digest: str) -> None:
    """Let the store's record name a bundle."""
    release = ReleaseRecord(digest=digest, name="any", since=now(), by="ann@desk")
    store.published.activate(release, store.published.look())


@pytest.fixture
def publisher(request: pytest.FixtureRequest, served: Path, store: Store) -> Publisher:
    followed = request.node.callspec.params["store"] != "no record"
    return Publisher(served, store if followed else None)


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
async def workspace(
    served: Path, store: Store, cache: EmbeddingCache, engines: Engines
) -> AsyncIterator[Workspace]:
    workspace = Workspace(await engines(load_bundle(served), None), store, cache)
    yield workspace
    await workspace.close()
    await workspace.engine.close()


@pytest.fixture
def watch(workspace: Workspace, engines: Engines) -> BundleWatch:
    return BundleWatch(workspace, engines, times=TIMES)


async def test_a_published_bundle_answers_and_embeddings_still_hit(
    workspace: Workspace,
    publisher: Publisher,
    watch: BundleWatch,
    engines: Engines,
    grown: Bundle,
    volume: VolumeRecord,
) -> None:
    first = (await workspace.segment(OWNER, volume.id, CLICK)).record
    publisher.publish(grown)
    await watch.look()
    assert workspace.bundle.digest == grown.digest

    refined = await workspace.segment(OWNER, volume.id, Prompt(), parent=first.id)
    assert refined.timings.cache == "hit"
    assert sum(engine.encodes for engine in engines.made) == 2  # one of them the self-test's
    assert refined.record.bundle_digest == grown.digest != first.bundle_digest
    assert "bundle_changed" in [doubt.code for doubt in refined.record.warnings]
    assert set(refined.record.route.scores) == {"cord", "lesion"}
    again = await workspace.segment(OWNER, volume.id, Prompt(), parent=refined.record.id)
    assert "bundle_changed" not in [doubt.code for doubt in again.record.warnings]
    assert (workspace.swaps.switched, workspace.swaps.refused) == (1, 0)


async def test_going_back_tells_that_an_expert_is_gone(
    workspace: Workspace,
    publisher: Publisher,
    watch: BundleWatch,
    grown: Bundle,
    volume: VolumeRecord,
) -> None:
    publisher.publish(grown)
    await watch.look()
    named = (await workspace.segment(OWNER, volume.id, CLICK, expert="lesion")).record
    scored = (await workspace.segment(OWNER, volume.id, CLICK)).record
    publisher.rollback()
    await watch.look()
    for parent in (named, scored):
        with pytest.raises(ExpertGone, match="lesion was there for the parent and is gone") as gone:
            await workspace.segment(OWNER, volume.id, Prompt(), parent=parent.id, expert="lesion")
        assert isinstance(gone.value, Conflict)
    with pytest.raises(ExpertUnknown):
        await workspace.segment(OWNER, volume.id, Prompt(), parent=named.id, expert="liver")
    refined = await workspace.segment(OWNER, volume.id, Prompt(), parent=named.id)
    assert refined.record.route.used == "general"
    pasted, _ = await workspace.mask(OWNER, named.id, "expert")
    assert pasted.mask.any()


@pytest.mark.fault("F19")
async def test_a_click_under_way_is_finished_by_the_bundle_that_began_it(
    workspace: Workspace,
    publisher: Publisher,
    watch: BundleWatch,
    engines: Engines,
    grown: Bundle,
    volume: VolumeRecord,
) -> None:
    old = engines.made[0]
    old.open.clear()
    click = asyncio.create_task(workspace.segment(OWNER, volume.id, CLICK))
    while not old.encodes:
        await asyncio.sleep(0.01)
    publisher.publish(grown)
    look = asyncio.create_task(watch.look())
    while workspace.bundle.digest != grown.digest:
        await asyncio.sleep(0.01)
    assert not look.done()
    old.open.set()
    made = await click
    await look
    assert made.record.bundle_digest == old.bundle.digest


async def test_only_what_no_bundle_needs_is_unloaded(
    workspace: Workspace,
    publisher: Publisher,
    watch: BundleWatch,
    engines: Engines,
    grown: Bundle,
    plain: Bundle,
) -> None:
    publisher.publish(grown)
    await watch.look()
    await asyncio.gather(*watch._retired)
    assert engines.made[0].unloaded == [plain.manifest.selector]
    publisher.rollback()
    await watch.look()
    await asyncio.gather(*watch._retired)
    mine = {*grown.manifest.folders.values()} - {*plain.manifest.folders.values()}
    assert engines.made[1].unloaded == sorted(mine)


async def test_engines_still_in_their_grace_are_closed_at_the_end(
    workspace: Workspace, publisher: Publisher, engines: Engines, grown: Bundle
) -> None:
    watch = BundleWatch(workspace, engines, times=WatchTimes(look=0.01, grace=60.0))
    async with watch.running():
        publisher.publish(grown)
        while workspace.bundle.digest != grown.digest:
            await asyncio.sleep(0.01)
    assert engines.made[0].unloaded == []
    assert engines.made[1].unloaded is None


@pytest.mark.fault("F18")
@pytest.mark.parametrize("damage", ["manifest", "model", "self-test", "missing"])
async def test_a_bundle_that_is_not_fit_changes_nothing(
    workspace: Workspace,
    publisher: Publisher,
    watch: BundleWatch,
    engines: Engines,
    grown: Bundle,
    volume: VolumeRecord,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    served, before = workspace.bundle.path, workspace.bundle.digest
    publisher.publish(grown)
    manifest = served / MANIFEST_NAME
    good = manifest.read_text()
    model = load_bundle(served).model_path("decoder_lesion")
    graph = model.read_bytes()
    if damage == "manifest":
        manifest.write_text(good[:100])
    elif damage == "model":
        model.write_bytes(graph[:-1])
    elif damage == "missing":
        model.unlink()
    else:
        case = grown.manifest.self_test
        assert case is not None
        outputs = dict.fromkeys(case.outputs, (9.0,))
        wrong = case.model_copy(update={"outputs": outputs})
        changed = grown.manifest.model_copy(update={"self_test": wrong})
        manifest.write_text(changed.model_dump_json())
    publisher.activate()
    for _ in range(3):
        await watch.look()
    assert workspace.bundle.digest == before
    assert (workspace.swaps.switched, workspace.swaps.refused) == (0, 1)
    assert len([r for r in caplog.records if "is refused" in r.getMessage()]) == 1
    await workspace.segment(OWNER, volume.id, CLICK)
    assert all(engine.unloaded == [] for engine in engines.made[1:])

    manifest.write_text(good)
    model.write_bytes(graph)
    publisher.activate()
    await watch.look()
    assert workspace.bundle.digest == grown.digest


async def test_the_stores_record_counts_and_not_the_folders(
    workspace: Workspace, watch: BundleWatch, grown: Bundle, plain: Bundle
) -> None:
    served = workspace.bundle.path
    activate(workspace.store, plain.digest)
    releases.publish(grown, served)
    await watch.look()
    assert workspace.bundle.digest == plain.digest
    for bundle in (grown, plain, grown):
        activate(workspace.store, bundle.digest)
        await watch.look()
        assert workspace.bundle.digest == bundle.digest
        assert workspace.swaps.awaited is None


async def test_what_answers_first_is_what_the_record_names(
    workspace: Workspace, engines: Engines, grown: Bundle, plain: Bundle
) -> None:
    releases.publish(grown, workspace.bundle.path)
    releases.rollback(workspace.bundle.path)
    activate(workspace.store, grown.digest)
    async with BundleWatch(workspace, engines, times=WatchTimes(look=60.0)).running():
        assert workspace.bundle.digest == grown.digest


async def test_a_bundle_whose_files_have_not_come_is_awaited(
    workspace: Workspace,
    watch: BundleWatch,
    grown: Bundle,
    plain: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    activate(workspace.store, grown.digest)
    for _ in range(3):
        await watch.look()
    assert (workspace.bundle.digest, workspace.swaps.awaited) == (plain.digest, grown.digest)
    assert len([r for r in caplog.records if "does not hold it" in r.getMessage()]) == 1
    assert workspace.swaps.refused == 0

    releases.publish(grown, workspace.bundle.path)
    await watch.look()
    assert (workspace.bundle.digest, workspace.swaps.awaited) == (grown.digest, None)


async def test_a_record_that_can_not_be_read_changes_nothing(
    workspace: Workspace,
    watch: BundleWatch,
    grown: Bundle,
    plain: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    releases.publish(grown, workspace.bundle.path)
    activate(workspace.store, plain.digest)
    files = workspace.store._files
    good = files.read("published.json")
    files.write("published.json", [good[:-9]])
    for _ in range(3):
        await watch.look()
    assert workspace.bundle.digest == plain.digest
    assert len([r for r in caplog.records if "can not be read" in r.getMessage()]) == 1
    files.write("published.json", [good.replace(plain.digest.encode(), grown.digest.encode())])
    await watch.look()
    assert workspace.bundle.digest == grown.digest


async def test_a_refused_bundle_is_left_alone_for_a_while(
    workspace: Workspace, publisher: Publisher, engines: Engines, grown: Bundle
) -> None:
    watch = BundleWatch(workspace, engines, times=WatchTimes(retry=60.0))
    publisher.publish(grown)
    engines.fails = 1
    await watch.look()
    await watch.look()
    assert len(engines.made) == 1
    assert workspace.bundle.digest != grown.digest


async def test_the_log_tells_which_bundles_answer_and_which_were_refused(
    workspace: Workspace, publisher: Publisher, engines: Engines, grown: Bundle, tmp_path: Path
) -> None:
    log = AuditLog(tmp_path / "audit")
    watch = BundleWatch(workspace, engines, Deeds(log), WatchTimes(retry=0.0, grace=0.0))
    publisher.publish(grown)
    engines.fails = 2
    for _ in range(4):
        await watch.look()
    log.close()
    told = said(log.folder)[1:]
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("bundle.switch", "failed"),
        ("bundle.switch", "success"),
    ]
    for line in told:
        assert line["who"] == {"principal": "service", "via": "service"}
        assert line["objects"] == {"bundle": grown.digest}


async def test_a_switch_that_is_cut_short_leaves_no_engine_open(
    workspace: Workspace,
    publisher: Publisher,
    engines: Engines,
    grown: Bundle,
    volume: VolumeRecord,
) -> None:
    old = engines.made[0]
    old.open.clear()
    click = asyncio.create_task(workspace.segment(OWNER, volume.id, CLICK))
    while not old.encodes:
        await asyncio.sleep(0.01)
    watch = BundleWatch(workspace, engines, times=WatchTimes(look=0.01, grace=60.0))
    async with watch.running():
        publisher.publish(grown)
        while workspace.bundle.digest != grown.digest:
            await asyncio.sleep(0.01)
    assert [engine.unloaded for engine in engines.made] == [[], None]
    old.open.set()
    await asyncio.gather(click, return_exceptions=True)


async def test_a_fault_of_ours_does_not_end_the_watching(
    workspace: Workspace,
    publisher: Publisher,
    engines: Engines,
    grown: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = BundleWatch(workspace, engines, times=TIMES)
    looks = [RuntimeError("ours")]
    look = watch.look

    async def failing() -> None:
        if looks:
            raise looks.pop()
        await look()

    monkeypatch.setattr(watch, "look", failing)
    publisher.publish(grown)
    async with watch.running():
        async with asyncio.timeout(30):
            while workspace.bundle.digest != grown.digest:
                await asyncio.sleep(0.01)


def test_engines_share_what_is_the_same(plain: Bundle, grown: Bundle) -> None:
    one = LocalEngine(plain, OPTIONS)
    two = LocalEngine(grown, OPTIONS, one)
    assert two._encoder is one._encoder
    assert two._graphs.keys() > set(two._graphs.keys() & one._graphs.keys())
