"""Whatever users do in whatever order, a model of a few lines says what there is afterwards."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import Conflict, LeaseGone, NoLeaseFree, NotFound
from sammoe.segmentation import Leases, LeaseTerms, Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore
from tests import scans
from tests.bundles import write_test_bundle

T = TypeVar("T")

PEOPLE = st.sampled_from(["ann", "bob"])
PLACES = st.tuples(st.integers(20, 40), st.integers(20, 40), st.integers(10, 30))
LEASES = 2


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    bundle = write_test_bundle(tmp_path_factory.mktemp("bundle"))
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    yield engine
    asyncio.run(engine.close())


class Sessions(RuleBasedStateMachine):
    """Volumes, segmentations and leases of two people, over restarts."""

    engine: LocalEngine

    volumes = Bundle("volumes")
    segmentations = Bundle("segmentations")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sammoe-sessions-"))
        self.runner = asyncio.Runner()
        # (owner, volume) -> {segmentation: (parent, voxels)}; tokens -> owner.
        self.there: dict[tuple[str, str], dict[str, tuple[str | None, int]]] = {}
        self.connected: dict[str, str] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.store = LocalStore(self.folder / "state")
        self.workspace = self.do(self._opened())
        self.viewers = Leases(self.workspace, LeaseTerms(leases=LEASES))

    async def _opened(self) -> Workspace:
        return Workspace(self.engine, self.store, EmbeddingCache(1 << 24))

    def teardown(self) -> None:
        if hasattr(self, "workspace"):
            self.do(self.workspace.close())
            self.store.close()
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        self.do(self.workspace.close())
        self.store.close()
        self.begin()

    @rule(target=volumes, owner=PEOPLE, seed=st.integers(0, 2))
    def add(self, owner: str, seed: int) -> tuple[str, str]:
        path = self.folder / "scan.nii"
        path.write_bytes(scans.nifti(seed))
        known = set(self.there)
        record, is_new = self.do(self.workspace.volumes.add(owner, path, modality="MR"))
        assert is_new == ((owner, record.id) not in known)
        self.there.setdefault((owner, record.id), {})
        return owner, record.id

    @rule(target=segmentations, volume=volumes, place=PLACES)
    def click(self, volume: tuple[str, str], place: tuple[int, int, int]) -> Any:
        prompt = Prompt((_point(place),))
        if volume not in self.there:
            with pytest.raises(NotFound):
                self.do(self.workspace.segment(*volume, prompt))
            return multiple()
        made = self.do(self.workspace.segment(*volume, prompt))
        self.there[volume][made.record.id] = (None, made.record.voxel_count)
        return volume, made.record.id

    @rule(target=segmentations, parent=segmentations, place=PLACES, positive=st.booleans())
    def refine(
        self, parent: tuple[tuple[str, str], str], place: tuple[int, int, int], positive: bool
    ) -> Any:
        volume, name = parent
        prompt = Prompt((_point(place, positive=positive),))
        if name not in self.there.get(volume, {}):
            with pytest.raises(NotFound):
                self.do(self.workspace.segment(*volume, prompt, parent=name))
            return multiple()
        made = self.do(self.workspace.segment(*volume, prompt, parent=name))
        self.there[volume][made.record.id] = (name, made.record.voxel_count)
        return volume, made.record.id

    @rule(of=segmentations)
    def undo(self, of: tuple[tuple[str, str], str]) -> None:
        volume, name = of
        kept = self.there.get(volume, {})
        if name not in kept:
            with pytest.raises(NotFound):
                self.do(self.workspace.undo(volume[0], name))
        elif kept[name][0] not in kept:
            with pytest.raises(Conflict):
                self.do(self.workspace.undo(volume[0], name))
        else:
            assert self.do(self.workspace.undo(volume[0], name)).id == kept[name][0]

    @rule(of=segmentations, somebody=PEOPLE)
    def look(self, of: tuple[tuple[str, str], str], somebody: str) -> None:
        volume, name = of
        if somebody != volume[0] or name not in self.there.get(volume, {}):
            for work in (self.workspace.get_segmentation, self.workspace.mask):
                with pytest.raises(NotFound):
                    self.do(work(somebody, name))
            return
        pasted, _ = self.do(self.workspace.mask(somebody, name))
        assert int(pasted.mask.sum()) == self.there[volume][name][1]

    @rule(of=consumes(segmentations))
    def delete_segmentation(self, of: tuple[tuple[str, str], str]) -> None:
        volume, name = of
        if self.there.get(volume, {}).pop(name, None) is None:
            with pytest.raises(NotFound):
                self.do(self.workspace.delete_segmentation(volume[0], name))
        else:
            self.do(self.workspace.delete_segmentation(volume[0], name))

    @rule(volume=consumes(volumes), somebody=PEOPLE)
    def delete_volume(self, volume: tuple[str, str], somebody: str) -> None:
        if somebody != volume[0] or volume not in self.there:
            with pytest.raises(NotFound):
                self.do(self.workspace.volumes.delete(somebody, volume[1]))
            return
        self.do(self.workspace.volumes.delete(*volume))
        del self.there[volume]

    @rule(target=leases, owner=PEOPLE)
    def claim(self, owner: str) -> Any:
        if len(self.connected) == LEASES:
            with pytest.raises(NoLeaseFree):
                self.do(self.viewers.claim(owner))
            return multiple()
        token = self.do(self.viewers.claim(owner))
        self.connected[token] = owner
        return token

    @rule(token=leases, somebody=PEOPLE)
    def use(self, token: str, somebody: str) -> None:
        if self.connected.get(token) != somebody:
            with pytest.raises(LeaseGone):
                self.do(self.viewers.find(somebody, token))
            return
        record = self.do(self.viewers.find(somebody, token))
        assert self.do(self.viewers.use(record)).id == record.id

    @precondition(lambda self: self.connected)
    @rule(token=consumes(leases))
    def release(self, token: str) -> None:
        owner = self.connected.pop(token, None)
        if owner is not None:
            self.do(self.viewers.end(self.do(self.viewers.find(owner, token))))

    @invariant()
    def lists_are_the_model_s(self) -> None:
        if not hasattr(self, "workspace"):
            return
        for owner in ("ann", "bob"):
            listed = self.do(self.workspace.volumes.list(owner)).items
            assert {record.id for record in listed} == {v for o, v in self.there if o == owner}
        for volume, kept in self.there.items():
            page = self.do(self.workspace.list_segmentations(*volume))
            assert {one.id: (one.parent, one.voxel_count) for one in page.items} == kept


@pytest.mark.fault("S18", "S29")
def test_what_there_is_is_what_the_model_says(engine: LocalEngine) -> None:
    machine = type("Machine", (Sessions,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _point(place: tuple[int, int, int], *, positive: bool = True) -> Point:
    x, y, z = place
    return Point(float(x), float(y), float(z), positive=positive)
