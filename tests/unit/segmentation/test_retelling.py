"""Clients that tell all clicks each time."""

from sammoe.segmentation import Workspace
from sammoe.segmentation.retelling import Told, segment_told
from sammoe.store import VolumeRecord
from tests.scans import INSIDE
from tests.unit.segmentation.conftest import OWNER

ONE = Told(positive=(INSIDE,))
TWO = Told(positive=(INSIDE,), negative=((INSIDE[0] + 8, INSIDE[1], INSIDE[2]),))


async def told(workspace: Workspace, volume: VolumeRecord, what: Told) -> str:
    name, _ = await segment_told(workspace, OWNER, volume.id, what)
    return name


async def test_what_was_told_before_is_the_same_segmentation(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    first = await told(workspace, volume, ONE)
    second = await told(workspace, volume, TWO)
    assert (await workspace.get_segmentation(OWNER, second)).parent == first
    assert [await told(workspace, volume, what) for what in (ONE, TWO)] == [first, second]


async def test_what_was_deleted_is_made_once_more_and_not_again_and_again(
    workspace: Workspace, volume: VolumeRecord
) -> None:
    first = await told(workspace, volume, ONE)
    await workspace.delete_segmentation(OWNER, first)
    again = await told(workspace, volume, ONE)
    assert again != first
    assert await told(workspace, volume, ONE) == again
    listed = await workspace.list_segmentations(OWNER, volume.id)
    assert [record.id for record in listed.items] == [again]
