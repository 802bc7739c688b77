"""Users of all dialects at once in one process, each of whom knows what they must see.

A schedule says who does what; when, is up to chance. Every user has a scan and a way of speaking
(``/v1``, nnInteractive, MONAI Label), and after each thing done compares the whole mask that came
with the one that the same clicks give to somebody who is alone. Answers are the same bytes then or
somebody saw what was another's.
"""

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import numpy as np
from numpy.typing import NDArray

from sammoe.api import create_app
from sammoe.api.nninteractive.wire import pack, read_packed
from sammoe.engine import Engine
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.segmentation.retelling import Told
from sammoe.settings import Settings
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.volume.arrays import volume_from_array
from sammoe.volume.packed import unpack
from tests import scans

Dialect = Literal["v1", "nninteractive", "monailabel"]
Verb = Literal["positive", "negative", "undo", "reset", "look", "peek"]
Mask = NDArray[np.bool_]
Click = tuple[tuple[int, int, int], bool]
Chain = tuple[Click, ...]

DIALECTS: Final[tuple[Dialect, ...]] = ("v1", "nninteractive", "monailabel")
VERBS: Final[tuple[Verb, ...]] = ("positive", "negative", "undo", "reset", "look", "peek")
PRINCIPALS: Final = ("ann", "ben")
SCANS: Final = 4

_KEYS: Final = {name: f"{name}-has-a-key-of-some-length" for name in PRINCIPALS}
_SHAPE: Final = (15, 14, 13)
_SPACING: Final = 2.5
_AFFINE: Final = np.diag([-_SPACING, -_SPACING, _SPACING, 1.0])
_PLACES: Final = 12
_MAX_BYTES: Final = 1 << 24


@dataclass(frozen=True)
class Seat:
    """A user: how they speak, whose key they have, which scan is theirs, and what they do."""

    dialect: Dialect
    principal: str
    scan: int
    verbs: tuple[Verb, ...]


@dataclass(frozen=True)
class Schedule:
    """Users at once; ``seed`` makes their pauses."""

    seats: tuple[Seat, ...]
    seed: int = 0


def random_schedule(seed: int) -> Schedule:
    """Two to four users with four to eight things to do each."""
    chance = random.Random(seed)
    seats = tuple(
        Seat(
            chance.choice(DIALECTS),
            chance.choice(PRINCIPALS),
            chance.randrange(SCANS),
            tuple(chance.choices(VERBS, (6, 2, 2, 1, 1, 1), k=chance.randint(4, 8))),
        )
        for _ in range(chance.randint(2, 4))
    )
    return Schedule(seats, seed)


def voxels(scan: int) -> NDArray[np.int16]:
    """A scan [i, j, k] unlike the others."""
    return np.random.default_rng(scan).integers(1, 900, _SHAPE).astype(np.int16)


def places(slot: int) -> list[tuple[int, int, int]]:
    """Where the user at a slot clicks, in this order: nobody else clicks there."""
    chance = random.Random(1000 + slot)
    chosen: list[tuple[int, int, int]] = []
    for _ in range(_PLACES):
        i, j, k = (chance.randrange(3, n - 1) for n in _SHAPE)
        chosen.append((i - (i - slot) % 4, j, k))
    return chosen


class Truth:
    """What clicks give to somebody who is alone.

    Parameters
    ----------
    workspace
        Nobody else uses it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._volumes: dict[int, str] = {}
        self._made: dict[tuple[int, Chain], tuple[str, Mask]] = {}

    async def mask(self, scan: int, chain: Chain) -> Mask:
        """The mask after clicks, one after the other."""
        if not chain:
            return np.zeros(_SHAPE, np.bool_)
        return (await self._segment(scan, chain))[1]

    async def _segment(self, scan: int, chain: Chain) -> tuple[str, Mask]:
        known = self._made.get((scan, chain))
        if known is not None:
            return known
        parent = (await self._segment(scan, chain[:-1]))[0] if chain[:-1] else None
        place, positive = chain[-1]
        made = await self._workspace.segment(
            "alone",
            await self._volume(scan),
            Prompt((Point(*place, positive=positive),)),
            parent=parent,
        )
        answer = made.record.id, made.pasted.full(_SHAPE) != 0
        self._made[scan, chain] = answer
        return answer

    async def _volume(self, scan: int) -> str:
        if scan not in self._volumes:
            array = voxels(scan).T
            record = await self._workspace.volumes.keep(
                "alone", lambda: (volume_from_array(array, [_SPACING] * 3, "kji"), f"{scan:064x}")
            )
            self._volumes[scan] = record.id
        return self._volumes[scan]


@dataclass
class Log:
    """What the users saw.

    Attributes
    ----------
    checks
        Masks compared.
    wrong
        What was not as it must be.
    segmentations
        Principal and id of all that were made over ``/v1``.
    told
        By principal and scan: what was told over MONAI Label, and the clicks in the order in which
        the service was shown them.
    """

    checks: int = 0
    wrong: list[str] = field(default_factory=list)
    segmentations: list[tuple[str, str]] = field(default_factory=list)
    told: dict[tuple[str, int], dict[Told, Chain]] = field(default_factory=dict)


class Stopped(Exception):
    """A user was refused, and can not go on."""


class User:
    """Somebody who does what their seat says, and checks what comes."""

    def __init__(
        self, http: httpx.AsyncClient, truth: Truth, log: Log, seat: Seat, slot: int
    ) -> None:
        self.http = http
        self.log = log
        self.seat = seat
        self.slot = slot
        self.headers = {"Authorization": f"Bearer {_KEYS[seat.principal]}"}
        self._truth = truth
        self._left = iter(places(slot))

    async def begin(self) -> None:
        """Send the scan."""

    async def act(self, verb: Verb) -> None:
        """Do one thing."""
        raise NotImplementedError

    async def end(self) -> None:
        """Leave."""

    def place(self) -> tuple[int, int, int]:
        """Where to click next."""
        return next(self._left)

    async def check(self, seen: Mask, chain: Chain, what: str) -> None:
        """Compare what is seen with what must be."""
        self.log.checks += 1
        if not np.array_equal(seen, await self._truth.mask(self.seat.scan, chain)):
            self.say(f"{what}: not the mask of {chain}")

    def say(self, text: str) -> None:
        """Something is wrong."""
        self.log.wrong.append(f"{self.seat.dialect} {self.seat.principal} {self.slot}: {text}")

    async def ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        """A request of this user that must succeed."""
        headers = {**self.headers, **sent.pop("headers", {})}
        answer = await self.http.request(method, path, headers=headers, **sent)
        if answer.is_error:
            self.say(f"{method} {path}: {answer.status_code} {answer.text}")
            raise Stopped
        return answer


class V1User(User):
    """Over the REST API."""

    volume = ""

    async def begin(self) -> None:
        content = write_scan(self.seat.scan)
        sent = {"headers": {"Content-Type": "application/octet-stream"}, "content": content}
        self.volume = (await self.ask("POST", "/v1/volumes", **sent)).json()["id"]
        self.trail: list[tuple[str, Chain]] = []
        self.made: list[tuple[str, Chain]] = []

    async def act(self, verb: Verb) -> None:
        if verb == "peek":
            await self._peek()
        elif verb == "look":
            if self.made:
                name, chain = random.Random(self.slot).choice(self.made)
                await self._look(name, chain)
        elif verb == "reset":
            self.trail = []
        elif verb == "undo":
            if len(self.trail) > 1:
                name = self.trail.pop()[0]
                before, chain = self.trail[-1]
                answer = (await self.ask("POST", f"/v1/segmentations/{name}/undo")).json()
                if answer["id"] != before:
                    self.say("undo leads to another segmentation")
                await self._look(answer["id"], chain)
        else:
            await self._click(positive=verb == "positive" or not self.trail)

    async def _click(self, *, positive: bool) -> None:
        place = self.place()
        parent, chain = self.trail[-1] if self.trail else (None, ())
        body = {
            "space": "voxel",
            "points": [{"position": place, "label": int(positive)}],
            "parent": parent,
        }
        answer = await self.ask(
            "POST",
            f"/v1/volumes/{self.volume}/segmentations",
            json=body,
            headers={"Accept": "application/vnd.sammoe.mask"},
        )
        name, chain = answer.headers["X-Segmentation-Id"], (*chain, (place, positive))
        self.trail.append((name, chain))
        self.made.append((name, chain))
        self.log.segmentations.append((self.seat.principal, name))
        await self.check(_unpacked(answer.content), chain, "click")

    async def _look(self, name: str, chain: Chain) -> None:
        path = f"/v1/segmentations/{name}/mask"
        answer = await self.ask("GET", path, headers={"Accept": "application/vnd.sammoe.mask"})
        await self.check(_unpacked(answer.content), chain, "look")

    async def _peek(self) -> None:
        """What is another principal's is not there."""
        for principal, name in self.log.segmentations[-8:]:
            if principal != self.seat.principal:
                path = f"/v1/segmentations/{name}/mask"
                answer = await self.http.get(path, headers=self.headers)
                if answer.status_code != 404:
                    self.say(f"another's segmentation: {answer.status_code}")


class NnInteractiveUser(User):
    """As 3D Slicer, napari and MITK: state at the server, changes drawn into one's own mask."""

    async def begin(self) -> None:
        claimed = (await self._post("claim")).json()
        self.headers["X-Lease-Token"] = claimed["lease_token"]
        self.mask: Mask
        self.chain: Chain
        self.before: Chain | None
        await self._send_image()

    async def act(self, verb: Verb) -> None:
        if verb == "peek":
            await self._send_image()
        elif verb == "look":
            await self._post("heartbeat")
            await self._draw(await self._post("predict", json={}))
        elif verb == "reset":
            await self._post("reset_interactions", json={})
            self.mask[...] = False
            self.chain, self.before = (), None
        elif verb == "undo":
            await self._draw(await self._post("undo", json={}))
            if self.before is not None:
                self.chain, self.before = self.before, None
        else:
            await self._click(positive=verb == "positive" or not self.chain)
        await self.check(self.mask.T, self.chain, verb)

    async def end(self) -> None:
        await self._post("release")

    async def _send_image(self) -> None:
        meta = json.dumps({"image_properties": {"spacing": [_SPACING] * 3}})
        await self._post(
            "set_image",
            content=pack(voxels(self.seat.scan).T[None]),
            headers={"X-Meta": meta, "Content-Type": "application/octet-stream"},
        )
        await self._post("set_target_buffer", json={"shape": _SHAPE[::-1], "dtype": "uint8"})
        self.mask = np.zeros(_SHAPE[::-1], np.bool_)
        self.chain, self.before = (), None

    async def _click(self, *, positive: bool) -> None:
        place = self.place()
        body = {"coordinates": place[::-1], "include_interaction": positive}
        await self._draw(await self._post("add_point_interaction", json=body))
        self.chain, self.before = (*self.chain, (place, positive)), self.chain

    async def _draw(self, answer: httpx.Response) -> None:
        box = json.loads(answer.headers.get("X-Meta", "{}")).get("bbox")
        if box is not None:
            part = read_packed(memoryview(answer.content), _MAX_BYTES).unpack()
            self.mask[tuple(slice(first, end) for first, end in box)] = part != 0

    async def _post(self, name: str, **sent: Any) -> httpx.Response:
        return await self.ask("POST", f"/nninteractive/{name}", **sent)


class MonaiLabelUser(User):
    """As 3D Slicer, OHIF and MITK: all clicks each time."""

    async def begin(self) -> None:
        # Both principals call their scans alike.
        self.image = f"ward {self.slot}"
        files = {"file": ("scan.nii.gz", write_scan(self.seat.scan))}
        await self.ask("PUT", f"/monailabel/datastore/?image={self.image}", files=files)
        self.clicks: Chain = ()
        # The same scan of the same principal is the same volume, whoever sent it.
        self.told = self.log.told.setdefault((self.seat.principal, self.seat.scan), {})

    async def act(self, verb: Verb) -> None:
        if verb == "reset":
            self.clicks = ()
        elif verb == "undo":
            self.clicks = self.clicks[:-1]
        elif verb in ("positive", "negative"):
            positive = verb == "positive" or not self.clicks
            self.clicks = (*self.clicks, (self.place(), positive))
        if self.clicks:
            await self._infer()

    async def _infer(self) -> None:
        positive, negative = (
            tuple(tuple(map(float, place)) for place, label in self.clicks if label is wanted)
            for wanted in (True, False)
        )
        told = Told(positive, negative)  # type: ignore[arg-type]
        params = {
            "foreground": positive,
            "background": negative,
            "result_extension": ".nrrd",
            "result_compress": False,
        }
        answer = await self.ask(
            "POST",
            f"/monailabel/infer/sam_med3d_moe?image={self.image}&output=image",
            files={"params": (None, json.dumps(params))},
        )
        raw = answer.content.partition(b"\n\n")[2]
        seen = np.frombuffer(raw, np.uint8).reshape(_SHAPE, order="F") != 0
        await self.check(seen, self._chain(told), "infer")

    def _chain(self, told: Told) -> Chain:
        """In which order the service was shown what is told: after the longest part it knew."""
        known = next((part for part in told.parts() if part in self.told), None)
        chain = () if known is None else self.told[known]
        for step, prompt in told.steps(known):
            (point,) = prompt.points
            place = (round(point.x), round(point.y), round(point.z))
            chain = (*chain, (place, point.positive))
            self.told[step] = chain
        return chain


_USERS: Final[dict[Dialect, type[User]]] = {
    "v1": V1User,
    "nninteractive": NnInteractiveUser,
    "monailabel": MonaiLabelUser,
}


@asynccontextmanager
async def service(engine: Engine, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A whole service with an empty store, without a socket."""
    store = LocalStore(folder)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    keys = ",".join(f"{name}:{key}" for name, key in _KEYS.items())
    app = create_app(workspace, Settings.load({"api_keys": keys}))
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000", timeout=None
        ) as http:
            yield http
    finally:
        await workspace.close()
        store.close()


@asynccontextmanager
async def truth(engine: Engine, folder: Path) -> AsyncIterator[Truth]:
    """What is true, by the same engine and a store of its own."""
    store = LocalStore(folder)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    try:
        yield Truth(workspace)
    finally:
        await workspace.close()
        store.close()


async def play(http: httpx.AsyncClient, truth: Truth, schedule: Schedule, log: Log) -> None:
    """Let all users of a schedule do all that they do."""
    chance = random.Random(schedule.seed)
    users = [
        _USERS[seat.dialect](http, truth, log, seat, slot)
        for slot, seat in enumerate(schedule.seats)
    ]
    pauses = [[chance.randrange(12) for _ in seat.verbs] for seat in schedule.seats]
    async with asyncio.TaskGroup() as tasks:
        for user, ticks in zip(users, pauses, strict=True):
            tasks.create_task(_live(user, ticks))


async def _live(user: User, pauses: Sequence[int]) -> None:
    with suppress(Stopped):
        await user.begin()
        for verb, ticks in zip(user.seat.verbs, pauses, strict=True):
            for _ in range(ticks):
                await asyncio.sleep(0)
            await user.act(verb)
        await user.end()


def write_scan(scan: int) -> bytes:
    """A scan as .nii.gz; equal bytes each time."""
    return gzip.compress(scans.as_nifti(voxels(scan), _AFFINE), 1, mtime=0)


def _unpacked(content: bytes) -> Mask:
    pasted, shape = unpack(content)
    mask: Mask = pasted.full(shape) != 0
    return mask
