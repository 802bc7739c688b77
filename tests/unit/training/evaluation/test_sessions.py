from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sammoe.engine import AUTO, GENERAL, Choice, Decoded, DecoderInputs
from sammoe.engine.local import LocalEngine
from sammoe.errors import OutsideWindow
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.metrics import Mask
from sammoe.training.evaluation.sessions import LOOK, Embeddings, Scene, visible
from sammoe.volume.reading import read_volume
from sammoe.volume.volume import Modality, Volume
from sammoe.volume.window import source_to_window
from tests.scans import nifti
from tests.unit.segmentation.engines import WatchedEngine

STORY = (
    Prompt(box=((4.0, 4.0, 4.0), (12.0, 11.5, 9.0))),
    Prompt(points=(Point(9, 9, 6),)),
    Prompt(points=(Point(4, 5, 6, positive=False), Point(15, 9, 8))),
)

LONG = (60, 150, 50)


@pytest.fixture
def volume(dataset: DataSet) -> Volume:
    return dataset.cases[0].read_image()


async def served(
    engine: LocalEngine, state: Path, dataset: DataSet, story: tuple[Prompt, ...], expert: str
) -> list[tuple[Mask, dict[str, float]]]:
    """Masks of the workspace, each prompt refining the answer before, and what the gate said."""
    store = LocalStore(state)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 24))
    record, _ = await workspace.volumes.add("alice", dataset.cases[0].image, modality="MR")
    answers, parent = [], None
    for prompt in story:
        made = await workspace.segment("alice", record.id, prompt, parent=parent, expert=expert)
        mask = made.pasted.full(record.shape).astype(bool)
        answers.append((mask, made.record.route.scores))
        parent = made.record.id
    await workspace.close()
    store.close()
    return answers


@pytest.mark.parametrize("story", [STORY, STORY[1:]])
@pytest.mark.parametrize("expert", [AUTO, GENERAL, "round"])
@pytest.mark.parametrize("one_window", [False, True])
async def test_answers_are_those_of_the_workspace(
    engine: LocalEngine,
    dataset: DataSet,
    volume: Volume,
    story: tuple[Prompt, ...],
    expert: str,
    one_window: bool,  # which makes no difference to what lies well inside of one
    tmp_path: Path,
) -> None:
    scene, shown, answers = Scene(engine, volume, one_window=one_window), None, []
    for prompt in story:
        begun = scene.begin(prompt, shown)
        grown = await scene.grow(begun, Choice(expert))
        shown = scene.shown(begun, grown.field, grown.route)
        answers.append((scene.mask(grown.field), grown.route.scores))
    expected = await served(engine, tmp_path / "state", dataset, story, expert)
    assert all(mask.any() for mask, _ in expected)
    assert not np.array_equal(expected[0][0], expected[-1][0])
    for (mask, scores), (wanted, said) in zip(answers, expected, strict=True):
        assert np.array_equal(mask, wanted)
        assert scores == said


async def test_windows_are_embedded_once_and_equal_prompts_decoded_once(
    engine: LocalEngine, volume: Volume
) -> None:
    watched = WatchedEngine(engine)
    embeddings: Embeddings = {}
    scene = Scene(watched, volume, embeddings)
    planned = scene.plan(STORY[1])
    first = await scene.decode(planned, LOOK)
    watched.inputs = None
    again = scene.plan(STORY[1])
    assert await scene.decode(again, LOOK) is first
    assert (await scene.general(again)) is first.candidates["general"]
    assert watched.inputs is None
    other = Scene(watched, volume, embeddings)
    general = await other.general(other.plan(STORY[1]))
    assert watched.inputs is not None
    assert watched.encodes == 1
    assert np.array_equal(general, first.candidates["general"])


async def test_masks_are_followed_as_in_the_workspace(engine: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "long.nii"
    path.write_bytes(nifti(shape=LONG))
    prompts = (
        Prompt(points=(Point(30, 24, 20), Point(30, 54, 20))),
        Prompt(points=(Point(30, 110, 20),)),
        Prompt(points=(Point(30, 54, 26, positive=False),)),
    )
    store = LocalStore(tmp_path / "state")
    workspace = Workspace(engine, store, EmbeddingCache(1 << 24))
    record, _ = await workspace.volumes.add("alice", path, modality="MR")
    watched = WatchedEngine(engine)
    scene = Scene(watched, read_volume(path, modality="MR"))
    for expert in (AUTO, GENERAL):
        shown, parent, windows = None, None, set()
        for prompt in prompts:
            made = await workspace.segment("alice", record.id, prompt, parent=parent, expert=expert)
            begun = scene.begin(prompt, shown)
            grown = await scene.grow(begun, Choice(expert))
            shown = scene.shown(begun, grown.field, grown.route)
            parent = made.record.id
            looked = [(one.window, one.kept) for one in grown.looked]
            assert looked == [(one.window, one.kept) for one in made.record.windows]
            assert np.array_equal(scene.mask(grown.field), made.pasted.full(LONG).astype(bool))
            windows |= {one.window for one in grown.looked}
        assert len(windows) > 2
    assert watched.encodes <= len(windows) + 2  # both ways share them
    alone = Scene(engine, read_volume(path, modality="MR"), one_window=True)
    begun = alone.begin(prompts[0])
    stays = await alone.grow(begun, Choice(AUTO))
    assert len(stays.looked) == 1
    with pytest.raises(OutsideWindow):
        alone.begin(prompts[1], alone.shown(begun, stays.field, stays.route))
    await workspace.close()
    store.close()


async def test_a_small_structure_costs_no_more_decodes_than_looking(
    engine: LocalEngine, volume: Volume
) -> None:
    calls = []

    class Counting(WatchedEngine):
        async def decode(
            self,
            embedding: NDArray[np.float16],
            inputs: DecoderInputs,
            choice: Choice,
            modality: Modality = Modality.UNKNOWN,
        ) -> Decoded:
            calls.append(choice)
            return await super().decode(embedding, inputs, choice, modality)

    scene = Scene(Counting(engine), volume)
    begun = scene.begin(Prompt(points=(Point(14, 9, 8),)))
    looked = await scene.look(begun)
    assert looked.route.top is not None
    for choice in (Choice(AUTO), Choice(GENERAL), Choice(looked.route.top)):
        await scene.grow(begun, choice)
    fused = await scene.grow(begun, Choice(AUTO), fused=True)
    assert fused.route.fused
    assert calls == [LOOK]


def test_what_a_window_shows(engine: LocalEngine, volume: Volume) -> None:
    scene = Scene(engine, volume)
    assert scene.reachable(None).all()
    window = scene.plan(Prompt(points=(Point(9, 9, 6),))).window
    seen = visible(window, volume.geometry)
    assert np.array_equal(seen, scene.reachable(window))
    places = source_to_window(volume.geometry, window, np.argwhere(np.ones(seen.shape)))
    inside = ((places >= -0.5) & (places <= window.side - 0.5)).all(1)
    assert np.array_equal(seen.ravel(), inside)
