"""Clients that tell all clicks each time, and never say which answer they refine.

The longest part of what is told that was answered before becomes the parent; the rest is shown
click by click, as if it had come so. What was answered is remembered in the store, by what was
told.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

from sammoe.engine import AUTO
from sammoe.errors import NotFound, TooLarge
from sammoe.segmentation.prompt import Point, Prompt, Triple
from sammoe.segmentation.workspace import Workspace
from sammoe.store import StoredResponse
from sammoe.volume.paste import Pasted

MAX_TOLD: Final = 64
"""Clicks in one request."""

_LOOK_BACK: Final = 8
"""So many of the last clicks may be new; where more are, all is shown again."""


@dataclass(frozen=True)
class Told:
    """All that a client points at.

    Attributes
    ----------
    positive, negative
        Places on the structure and beside it, voxel index; each in the order of clicking.
    box
        First and last voxel inside.
    """

    positive: tuple[Triple, ...] = ()
    negative: tuple[Triple, ...] = ()
    box: tuple[Triple, Triple] | None = None

    def steps(self, after: "Told | None") -> Iterator[tuple["Told", Prompt]]:
        """What is told after each further click, and what that click adds."""
        now = after or Told(box=self.box)
        if after is None and (self.box is not None or not self.positive):
            first = tuple(Point(*place, positive=False) for place in self.negative)
            yield now, Prompt(() if self.box else first, self.box)
        for place in self.positive[len(now.positive) :]:
            now = replace(now, positive=(*now.positive, place))
            yield now, Prompt((Point(*place),))
        for place in self.negative[len(now.negative) :]:
            now = replace(now, negative=(*now.negative, place))
            yield now, Prompt((Point(*place, positive=False),))

    def parts(self) -> Iterator["Told"]:
        """All of it, then what may have been told before the last clicks, longest first."""
        positive, negative = len(self.positive), len(self.negative)
        for fewer in range(min(_LOOK_BACK, positive + negative) + 1):
            for cut in range(max(0, fewer - negative), min(fewer, positive) + 1):
                part = replace(
                    self,
                    positive=self.positive[: positive - cut],
                    negative=self.negative[: negative - (fewer - cut)],
                )
                if part.positive or part.box:
                    yield part


async def segment_told(
    workspace: Workspace, principal: str, volume_id: str, told: Told, expert: str = AUTO
) -> tuple[str, Pasted]:
    """Answer all that is told.

    Returns
    -------
    The segmentation's id, and its mask.

    Raises
    ------
    TooLarge
        More than `MAX_TOLD` clicks.
    SammoeError
        See `Workspace.segment`.
    """
    if len(told.positive) + len(told.negative) > MAX_TOLD:
        raise TooLarge(f"At most {MAX_TOLD} clicks are taken in one request.")
    memory = _Memory(workspace, principal, volume_id, expert)
    known, parent = None, None
    for part in told.parts():
        parent = await memory.recall(part)
        if parent is not None:
            known = part
            break
    if parent is not None and known == told:
        pasted, _ = await workspace.mask(principal, parent)
        return parent, pasted
    made = None
    for now, prompt in told.steps(known):
        made = await workspace.segment(principal, volume_id, prompt, parent=parent, expert=expert)
        parent = made.record.id
        await memory.keep(now, parent)
    assert made is not None
    return made.record.id, made.pasted


class _Memory:
    """Which segmentation answered what was told."""

    def __init__(self, workspace: Workspace, principal: str, volume_id: str, expert: str) -> None:
        self._workspace = workspace
        self._principal = principal
        self._volume_id = volume_id
        self._expert = expert
        # Another bundle is another story: its windows may have another form.
        self._bundle = workspace.bundle.digest

    async def recall(self, told: Told) -> str | None:
        """The segmentation, if it is still there."""
        responses = self._workspace.store.responses
        kept = await asyncio.to_thread(responses.get, self._principal, self._key(told), "told")
        if kept is None:
            return None
        name = kept.body.decode()
        try:
            await self._workspace.get_segmentation(self._principal, name)
        except NotFound:
            # Else it would stay, and what is made now never be remembered.
            await asyncio.to_thread(responses.forget, self._principal, self._key(told))
            return None
        return name

    async def keep(self, told: Told, name: str) -> None:
        """Remember it."""
        response = StoredResponse(200, {}, name.encode(), self._volume_id)
        responses = self._workspace.store.responses
        await asyncio.to_thread(responses.put, self._principal, self._key(told), "told", response)

    def _key(self, told: Told) -> str:
        text = json.dumps([self._volume_id, self._bundle, self._expert, asdict(told)])
        return f"told {hashlib.sha256(text.encode()).hexdigest()}"
