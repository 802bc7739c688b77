"""What a viewer draws under its lease, prompt by prompt, and what changes in its mask."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sammoe.errors import InvalidInput, LeaseGone, NotFound, PriorInvalid
from sammoe.segmentation.leases import Leases
from sammoe.segmentation.prompt import Point, Prompt
from sammoe.segmentation.workspace import Workspace
from sammoe.store import DrawnRecord, LeaseRecord, PromptRecord, StoredResponse, VolumeRecord
from sammoe.volume.arrays import changed
from sammoe.volume.geometry import Geometry
from sammoe.volume.packed import pack, unpack
from sammoe.volume.paste import Pasted, cut
from sammoe.volume.volume import Volume

NOTHING: Final = Pasted(np.zeros((0, 0, 0), np.bool_), (0, 0, 0))


@dataclass(frozen=True, eq=False)
class Change:
    """What came of a request.

    Attributes
    ----------
    ran
        Whether anything was answered or undone.
    part
        What to write into the viewer's mask; None when nothing differs.
    """

    ran: bool
    part: Pasted | None = None


class Drawing:
    """The use cases of a viewer that has a lease.

    Raises
    ------
    InvalidInput
        From every method but `set_image`: no image was sent.
    """

    def __init__(self, workspace: Workspace, leases: Leases) -> None:
        self._workspace = workspace
        self._leases = leases

    async def set_image(self, lease: LeaseRecord, read: Callable[[], Volume]) -> VolumeRecord:
        """Segment another scan from now on; the one before is deleted.

        Once begun it goes on to its end, even if who waits is cancelled: nobody would delete a scan
        that no lease knows.

        Parameters
        ----------
        read
            Makes the scan, in a worker.
        """
        return await asyncio.shield(self._set_image(lease, read))

    async def _set_image(self, lease: LeaseRecord, read: Callable[[], Volume]) -> VolumeRecord:
        def named() -> tuple[Volume, str]:
            # A scan of its own for each lease: what ends one must not take it from another.
            volume = read()
            name = f"{lease.id} {volume.content_digest()}"
            return volume, hashlib.sha256(name.encode()).hexdigest()

        record = await self._workspace.volumes.keep(lease.owner, named)
        # First: a volume takes the leases with it under which it is worked on.
        try:
            await self._leases.use(lease, volume_id=record.id, drawn=DrawnRecord(), before=None)
        except LeaseGone:
            # It ended while the scan came, so that nobody else would delete it.
            if record.id != lease.volume_id:
                with suppress(NotFound):
                    await self._workspace.volumes.delete(lease.owner, record.id)
            raise
        if lease.volume_id not in {None, record.id}:
            await self._leases.drop_volume(lease)
        return record

    async def geometry(self, lease: LeaseRecord) -> Geometry:
        """Of the scan."""
        record = await self._workspace.volumes.get(lease.owner, _volume(lease))
        return record.geometry

    async def reset(self, lease: LeaseRecord) -> None:
        """Start another structure."""
        await self._leases.use(lease, drawn=DrawnRecord(), before=None)

    async def bring(self, lease: LeaseRecord, read: Callable[[], NDArray[np.bool_]]) -> None:
        """Go on from a mask that the viewer has; an empty one is none.

        It is kept as it is beside the segmentation that is made of it at the networks' resolution:
        undone back to, it is a person's work.

        Parameters
        ----------
        read
            Makes it, in a worker: bool [i, j, k].
        """
        found: list[Pasted] = []

        def noted() -> NDArray[np.bool_]:
            mask = read()
            found.append(cut(mask))
            return mask

        try:
            record = await self._workspace.keep_mask(lease.owner, _volume(lease), noted)
        except PriorInvalid:
            if found and not found[0].mask.size:
                await self.reset(lease)
                return
            raise
        await self._keep_own(lease, record.id, found[0])
        first = found[0].offset
        i, j, k = (start + n - 1 for start, n in zip(first, found[0].mask.shape, strict=True))
        drawn = DrawnRecord(segmentation=record.id, brought=(first, (i, j, k)))
        await self._leases.use(lease, drawn=drawn, before=None)

    async def add(self, lease: LeaseRecord, prompt: Prompt, *, answer: bool) -> Change:
        """Add a point or a box, and answer all that waits, unless more is to come.

        What a structure is not waits for what it is.

        Raises
        ------
        PromptInvalid
            See `Workspace.segment`; nothing was added.
        """
        geometry = await self.geometry(lease)
        new, drawn = prompt.to_index(geometry), lease.drawn
        waiting = PromptRecord(
            points=drawn.prompt.points + new.points,
            labels=drawn.prompt.labels + new.labels,
            box=new.box or drawn.prompt.box,
        )
        after = drawn.model_copy(update={"prompt": waiting})
        if not (answer and _says_where(after)):
            await self._leases.use(lease, drawn=after, before=drawn)
            return Change(ran=False)
        return await self._answer(lease, after, drawn)

    async def predict(self, lease: LeaseRecord) -> Change:
        """Answer what waits."""
        if lease.drawn.prompt == PromptRecord() or not _says_where(lease.drawn):
            await self._leases.use(lease)
            return Change(ran=False)
        # No prompt came: what can be taken back is still the last of those that waited.
        return await self._answer(lease, lease.drawn, lease.before)

    async def undo(self, lease: LeaseRecord) -> Change:
        """Take the last prompt back; once."""
        if lease.before is None:
            await self._leases.use(lease)
            return Change(ran=False)
        own = await self._own(lease, lease.before)
        new = own or await self._mask(lease, lease.before)
        part = changed(await self._mask(lease, lease.drawn), new)
        # Without its own, the viewer has the mask that was made of that from here on.
        drawn = lease.before if own else lease.before.model_copy(update={"brought": None})
        await self._leases.use(lease, drawn=drawn, before=None)
        return Change(ran=True, part=part)

    async def _answer(
        self, lease: LeaseRecord, drawn: DrawnRecord, before: DrawnRecord | None
    ) -> Change:
        made = await self._workspace.segment(
            lease.owner, _volume(lease), _prompt(drawn.prompt), parent=drawn.segmentation
        )
        # Of a mask that was brought the viewer has its own, which lies within its corners.
        old = NOTHING if drawn.brought else await self._mask(lease, lease.drawn)
        change = Change(ran=True, part=changed(old, made.pasted, drawn.brought))
        # Last: who stops waiting before has the mask that the lease says.
        after = DrawnRecord(segmentation=made.record.id)
        await self._leases.use(lease, drawn=after, before=before)
        return change

    async def _keep_own(self, lease: LeaseRecord, segmentation: str, mask: Pasted) -> None:
        """Keep a viewer's own mask as long as answers are kept."""
        packed = await asyncio.to_thread(pack, mask, await self.geometry(lease))
        kept = StoredResponse(200, {}, packed, _volume(lease))
        put = self._workspace.store.responses.put
        await asyncio.to_thread(put, lease.owner, f"brought {segmentation}", "brought", kept)

    async def _own(self, lease: LeaseRecord, drawn: DrawnRecord) -> Pasted | None:
        """The viewer's own mask where it brought one; None if it is not kept any more."""
        if drawn.brought is None:
            return None
        get = self._workspace.store.responses.get
        key = f"brought {drawn.segmentation}"
        kept = await asyncio.to_thread(get, lease.owner, key, "brought")
        return None if kept is None else (await asyncio.to_thread(unpack, kept.body))[0]

    async def _mask(self, lease: LeaseRecord, drawn: DrawnRecord) -> Pasted:
        if drawn.segmentation is None:
            return NOTHING
        pasted, _ = await self._workspace.mask(lease.owner, drawn.segmentation)
        return pasted


def _volume(lease: LeaseRecord) -> str:
    if lease.volume_id is None:
        raise InvalidInput("No image was sent under this lease: send one first.")
    return lease.volume_id


def _says_where(drawn: DrawnRecord) -> bool:
    """Whether anything says where the structure is."""
    prompt = drawn.prompt
    return drawn.segmentation is not None or prompt.box is not None or any(prompt.labels)


def _prompt(record: PromptRecord) -> Prompt:
    clicks = zip(record.points, record.labels, strict=True)
    points = tuple(Point(*place, positive=bool(label)) for place, label in clicks)
    return Prompt(points, record.box)
