"""What undo takes back of what a viewer draws, where prompts wait for an answer."""

import numpy as np
import pytest

from sammoe.segmentation import Leases, Point, Prompt, Workspace
from sammoe.segmentation.drawing import Change, Drawing
from sammoe.store import DrawnRecord, LeaseRecord, PromptRecord, VolumeRecord
from tests.scans import INSIDE, SHAPE
from tests.unit.segmentation.conftest import OWNER

FIRST, SECOND, THIRD = INSIDE, (30.0, 34.0, 20.0), (30.0, 38.0, 20.0)


class Viewer:
    """One that is connected and has sent its scan."""

    def __init__(self, workspace: Workspace, token: str) -> None:
        self.leases = Leases(workspace)
        self.drawing = Drawing(workspace, self.leases)
        self._token = token

    async def lease(self) -> LeaseRecord:
        """As it is now."""
        return await self.leases.find(OWNER, self._token)

    async def wait(self, *places: tuple[float, float, float]) -> None:
        """Click, and ask for no answer."""
        for place in places:
            await self.drawing.add(await self.lease(), Prompt((Point(*place),)), answer=False)

    async def click(self, place: tuple[float, float, float]) -> Change:
        return await self.drawing.add(await self.lease(), Prompt((Point(*place),)), answer=True)

    async def predict(self) -> Change:
        return await self.drawing.predict(await self.lease())

    async def undo(self) -> Change:
        return await self.drawing.undo(await self.lease())


@pytest.fixture
async def viewer(workspace: Workspace, volume: VolumeRecord) -> Viewer:
    leases = Leases(workspace)
    token = await leases.claim(OWNER)
    await leases.use(await leases.find(OWNER, token), volume_id=volume.id)
    return Viewer(workspace, token)


def waiting(*places: tuple[float, float, float]) -> PromptRecord:
    return PromptRecord(points=places, labels=(1,) * len(places))


async def test_after_a_prediction_only_the_last_prompt_is_taken_back(
    viewer: Viewer, workspace: Workspace
) -> None:
    await viewer.wait(FIRST, SECOND)
    assert (await viewer.predict()).part is not None
    undone = await viewer.undo()
    assert undone.part is not None
    assert not undone.part.mask.any()
    assert (await viewer.lease()).drawn == DrawnRecord(prompt=waiting(FIRST))
    assert not (await viewer.undo()).ran
    await viewer.click(THIRD)
    name = (await viewer.lease()).drawn.segmentation
    assert name is not None
    record = await workspace.get_segmentation(OWNER, name)
    assert record.prompt == waiting(FIRST, THIRD)


async def test_what_was_answered_before_a_prediction_is_gone_back_to(viewer: Viewer) -> None:
    await viewer.click(FIRST)
    answered = (await viewer.lease()).drawn
    await viewer.wait(SECOND)
    await viewer.predict()
    assert (await viewer.undo()).ran
    assert (await viewer.lease()).drawn == answered


async def test_a_mask_that_was_brought_is_gone_back_to(viewer: Viewer) -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[20:40, 20:40, 10:30] = True
    await viewer.drawing.bring(await viewer.lease(), lambda: mask)
    brought = (await viewer.lease()).drawn
    await viewer.wait(SECOND)
    await viewer.predict()
    assert (await viewer.undo()).ran
    assert (await viewer.lease()).drawn == brought


async def test_undone_once_a_prediction_of_the_rest_can_not_be(viewer: Viewer) -> None:
    await viewer.wait(FIRST, SECOND)
    assert (await viewer.undo()).ran
    await viewer.predict()
    answered = (await viewer.lease()).drawn
    assert not (await viewer.undo()).ran
    assert (await viewer.lease()).drawn == answered


async def test_a_prompt_that_is_answered_at_once_leaves_those_that_waited(viewer: Viewer) -> None:
    await viewer.wait(FIRST)
    await viewer.click(SECOND)
    await viewer.undo()
    assert (await viewer.lease()).drawn == DrawnRecord(prompt=waiting(FIRST))


async def test_another_structure_has_nothing_to_undo(viewer: Viewer) -> None:
    await viewer.wait(FIRST, SECOND)
    await viewer.predict()
    await viewer.drawing.reset(await viewer.lease())
    assert not (await viewer.undo()).ran
    assert (await viewer.lease()).drawn == DrawnRecord()
