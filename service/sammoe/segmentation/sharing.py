"""Which records a principal can reach: its own, and those of its projects.

A volume belongs to its owner, and so does all that is made on it, whoever makes it: there it lies,
and there it counts. A project is a name that a volume may have. Members work on its volumes in the
owner's place; to everybody else they are not there.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sammoe.errors import NotFound
from sammoe.store import ResultRecord, SegmentationRecord, Store, VolumeRecord, is_id, is_within

_REMEMBERED: Final = 4096

T = TypeVar("T", SegmentationRecord, ResultRecord)


@dataclass(frozen=True, slots=True, repr=False)
class Reached:
    """A volume, or one that a record belongs to, as somebody can reach it.

    Attributes
    ----------
    owner
        In whose place to work on it.
    project
        Through which it was reached; None: it is the principal's own.
    study, series
        UIDs of the series that it came from, if it did.
    """

    owner: str
    volume_id: str
    project: str | None
    study: str | None
    series: str | None


class Sharing:
    """Finds records for principals; raises `StoreUnavailable`. For one event loop.

    What it remembers of a volume never changes, and it remembers it for who has reached it: so for
    an id of somebody else's as much is done as for one that is nobody's.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, str | None, str], Reached] = OrderedDict()

    async def volume(
        self, principal: str, projects: Iterable[str], volume_id: str
    ) -> Reached | None:
        """Reach a volume; None where there is none for this principal."""
        return await self._reach(principal, projects, volume_id, self._find_volume)

    async def segmentation(
        self, principal: str, projects: Iterable[str], name: str
    ) -> Reached | None:
        """Reach the volume of a segmentation."""
        find = partial(self._within, self._store.segmentations.get)
        return await self._reach(principal, projects, name, find)

    async def result(self, principal: str, projects: Iterable[str], name: str) -> Reached | None:
        """Reach the volume of a result."""
        find = partial(self._within, self._store.results.get)
        return await self._reach(principal, projects, name, find)

    async def _reach(
        self,
        principal: str,
        projects: Iterable[str],
        name: str,
        find: Callable[[str, str | None, str], Reached | None],
    ) -> Reached | None:
        if not is_id(name):
            return None
        ways = [(principal, None), *((principal, project) for project in sorted(projects))]
        for way in ways:
            if (known := self._known.get((*way, name))) is not None:
                self._known.move_to_end((*way, name))
                return known
        for way in ways:
            found = await asyncio.to_thread(find, *way, name)
            if found is not None:
                self._known[*way, name] = found
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
                return found
        return None

    def _find_volume(self, principal: str, project: str | None, name: str) -> Reached | None:
        volumes = self._store.volumes
        owner = principal if project is None else volumes.owner_in(project, name)
        if owner is None:
            return None
        try:
            record = volumes.get(owner, name)
        except NotFound:
            return None
        if project is not None and record.project != project:
            return None
        return _reached(record, project)

    def _within(
        self, get: Callable[[str, str], T], principal: str, project: str | None, name: str
    ) -> Reached | None:
        if project is None:
            try:
                return self._find_volume(principal, None, get(principal, name).volume_id)
            except NotFound:
                return None
        for volume_id in self._store.volumes.ids_in(project):
            if not is_within(name, volume_id):
                continue
            reached = self._find_volume(principal, project, volume_id)
            if reached is None:
                continue
            try:
                if get(reached.owner, name).volume_id == volume_id:
                    return reached
            except NotFound:
                continue
        return None


def _reached(record: VolumeRecord, project: str | None) -> Reached:
    source = record.source
    return Reached(
        owner=record.owner,
        volume_id=record.id,
        project=project,
        study=None if source is None else source.study,
        series=None if source is None else source.series,
    )
