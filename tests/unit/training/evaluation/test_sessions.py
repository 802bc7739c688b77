from pathlib import Path

import numpy as np
import pytest

from sammoe.engine import AUTO, GENERAL, Choice
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.training.datasets import DataSet
from sammoe.training.evaluation.metrics import Mask
from sammoe.training.evaluation.sessions import LOOK, Embeddings, Scene, Shown, visible
from sammoe.training.evaluation.systems import Mixture
from sammoe.volume.volume import Volume
from sammoe.volume.window import source_to_window
from tests.unit.segmentation.engines import WatchedEngine

STORY = (
    Prompt(box=((4.0, 4.0, 4.0), (12.0, 11.5, 9.0))),
    Prompt(points=(Point(9, 9, 6),)),
    Prompt(points=(Point(4, 5, 6, positive=False), Point(15, 9, 8))),
)


@pytest.fixture
def volume(dataset: DataSet) -> Volume:
    return dataset.cases[0].read_image()


async def served(
    engine: LocalEngine, state: Path, dataset: DataSet, story: tuple[Prompt, ...], expert: str
) -> list[Mask]:
    """Masks of the workspace, each prompt refining the answer before."""
    store = LocalStore(state)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 24))
    record, _ = await workspace.add_volume("alice", dataset.cases[0].image, modality="MR")
    masks, parent = [], None
    for prompt in story:
        made = await workspace.segment("alice", record.id, prompt, parent=parent, expert=expert)
        masks.append(made.pasted.full(record.shape).astype(bool))
        parent = made.record.id
    await workspace.close()
    store.close()
    return masks


@pytest.mark.parametrize("story", [STORY, STORY[1:]])
@pytest.mark.parametrize("expert", [AUTO, GENERAL, "round"])
async def test_masks_are_those_of_the_workspace(
    engine: LocalEngine,
    dataset: DataSet,
    volume: Volume,
    story: tuple[Prompt, ...],
    expert: str,
    tmp_path: Path,
) -> None:
    scene, shown, masks = Scene(engine, volume), None, []
    for prompt in story:
        planned = scene.plan(prompt, shown)
        if expert == AUTO:
            logits = (await Mixture(scene, "ours").answer(planned)).logits
        else:
            decoded = await scene.decode(planned, Choice(expert))
            (logits,) = decoded.candidates.values()
        shown = Shown(planned, logits)
        masks.append(scene.mask(logits, planned.window))
    expected = await served(engine, tmp_path / "state", dataset, story, expert)
    assert all(mask.any() for mask in expected)
    assert not np.array_equal(expected[0], expected[-1])
    for mask, wanted in zip(masks, expected, strict=True):
        assert np.array_equal(mask, wanted)


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


def test_what_a_window_shows(engine: LocalEngine, volume: Volume) -> None:
    scene = Scene(engine, volume)
    assert scene.reachable(None).all()
    window = scene.plan(Prompt(points=(Point(9, 9, 6),))).window
    seen = visible(window, volume.geometry)
    assert np.array_equal(seen, scene.reachable(window))
    places = source_to_window(volume.geometry, window, np.argwhere(np.ones(seen.shape)))
    inside = ((places >= -0.5) & (places <= window.side - 0.5)).all(1)
    assert np.array_equal(seen.ravel(), inside)
