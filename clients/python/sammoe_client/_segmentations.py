"""Segmentations: masks with how they came about, to be refined, undone, looked at and saved."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sammoe_client._clicks import CandidateName, Click, members
from sammoe_client._effects import Give, Giving, Read, Steps
from sammoe_client._events import Event, Events
from sammoe_client._files import write, write_nifti
from sammoe_client._masks import Mask, unpack
from sammoe_client._methods import Context, Handle, M, call, iterate
from sammoe_client._parsing import parsed
from sammoe_client._requests import (
    EVENTS,
    NIFTI,
    NRRD,
    PACKED,
    Request,
    delete,
    get,
    json_body,
    part,
    post,
)
from sammoe_client._sending import send, stream
from sammoe_client._values import (
    Doubt,
    Indices,
    Measures,
    Route,
    SegmentationInfo,
    Timings,
    VolumeInfo,
)
from sammoe_client.errors import ClientError, Disconnected, UnexpectedAnswer, refusal


@dataclass(frozen=True, eq=False)
class Progress:
    """A mask while it is followed beyond the first window.

    Attributes
    ----------
    windows, encodes
        Looked at so far, and for how many of them the image encoder had to run.
    """

    windows: int
    encodes: int
    _packed: bytes
    _shape: Indices

    @cached_property
    def mask(self) -> Mask:
        """What is known so far: bool [i, j, k] on the volume's own grid."""
        return unpack(self._packed, self._shape)


OnProgress = Callable[[Progress], None]
"""Told each step; what it raises stops the segmentation, and nothing is kept."""


class Segmentation(Handle[M]):
    """One immutable answer, with its mask. Refining makes another one.

    Attributes
    ----------
    info
        Everything that the service tells of it: prompts, windows, candidates, sizes.
    volume
        The scan that it lies on.
    chosen
        Which of its masks this is: ``fused`` is the answer.
    timings
        Where the service's time went.
    """

    def __init__(
        self,
        context: Context[M],
        info: SegmentationInfo,
        volume: VolumeInfo,
        packed: bytes,
        *,
        chosen: CandidateName = "fused",
        timings: Timings | None = None,
    ) -> None:
        super().__init__(context)
        self.info = info
        self.volume = volume
        self.chosen = chosen
        self.timings = timings or Timings(info.timings_ms)
        self._packed = packed

    def __repr__(self) -> str:
        return (
            f"<Segmentation {self.id}: {self.route.used}, {self.chosen}, {self.volume_ml:.2f} ml>"
        )

    @property
    def id(self) -> str:
        """Its name at the service."""
        return self.info.id

    @property
    def route(self) -> Route:
        """What the gate said and what came of it; ``route.scores`` has each expert's score."""
        return self.info.route

    @property
    def warnings(self) -> tuple[Doubt, ...]:
        """What makes the answer doubtful."""
        return self.info.warnings

    @property
    def volume_ml(self) -> float:
        """Size of the answer in ml (of ``fused``, also where another candidate was chosen)."""
        return self.info.volume_ml

    @cached_property
    def mask(self) -> Mask:
        """The mask: bool [i, j, k], of the shape and in the axis order of the volume as stored."""
        return unpack(self._packed, self.volume.shape)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index (i, j, k, 1) of `mask` to RAS+ mm, [4, 4]."""
        return np.array(self.volume.affine)

    @call
    def refine(
        self, *, on_progress: OnProgress | None = None, **click: Unpack[Click]
    ) -> "Steps[Segmentation[M]]":
        """Add clicks or a box; what was clicked before counts on. Goes on from the chosen mask.

        Parameters
        ----------
        on_progress
            Told how the mask grows. Without an Idempotency-Key then: what breaks off is not tried
            again.
        click
            See `Click`.
        """
        wanted = self._refining(click)
        return (yield from segmented(self._context, self.volume, wanted, on_progress))

    @iterate
    def refining(self, **click: Unpack[Click]) -> "Giving[Progress | Segmentation[M]]":
        """As `refine`, step by step: each `Progress`, then the segmentation. Leaving stops it."""
        yield from growing(self._context, self.volume, self._refining(click))

    @call
    def undo(self) -> "Steps[Segmentation[M]]":
        """The segmentation that this one refines. Nothing is deleted; redo is to use this one."""
        request = post(f"{self._path}/undo")
        answer = yield from send(request, self._context.retries)
        info = parsed(SegmentationInfo, answer.content)
        return (yield from fetched(self._context, info, self.volume))

    @call
    def candidate(self, name: CandidateName) -> "Steps[Segmentation[M]]":
        """The same segmentation with another of its masks, computed now if the click did not.

        Refining that goes on from that mask.
        """
        return (yield from fetched(self._context, self.info, self.volume, name, self.timings))

    @call
    def measure(self) -> Steps[Measures]:
        """Sizes of the answer."""
        answer = yield from send(get(self._path), self._context.retries)
        return parsed(Measures, answer.content)

    @call
    def to_nifti(self, path: str | PathLike[str]) -> Steps[Path]:
        """Write the mask as .nii.gz, or .nii: uint8, on the volume's own grid."""
        return write_nifti(path, (yield from self._file(NIFTI)))

    @call
    def to_nrrd(self, path: str | PathLike[str]) -> Steps[Path]:
        """Write the mask as .nrrd: uint8, on the volume's own grid."""
        return write(path, (yield from self._file(NRRD)))

    @call
    def delete(self) -> Steps[None]:
        """Delete it at the service; those that refine it stay.

        Raises
        ------
        Conflict
            A result holds it.
        """
        yield from send(delete(self._path), self._context.retries)

    @property
    def _path(self) -> str:
        return f"/v1/segmentations/{part(self.id)}"

    def _refining(self, click: Mapping[str, Any]) -> dict[str, Any]:
        return {**members(click), "parent": self.id, "candidate": self.chosen}

    def _file(self, form: str) -> Steps[bytes]:
        request = get(f"{self._path}/mask", accept=form, candidate=self.chosen)
        answer = yield from send(request, self._context.retries)
        return answer.content


def fetched(
    context: Context[M],
    info: SegmentationInfo,
    volume: VolumeInfo,
    chosen: CandidateName = "fused",
    timings: Timings | None = None,
) -> Steps[Segmentation[M]]:
    """A segmentation with its mask."""
    path = f"/v1/segmentations/{part(info.id)}/mask"
    answer = yield from send(get(path, accept=PACKED, candidate=chosen), context.retries)
    return Segmentation(context, info, volume, answer.content, chosen=chosen, timings=timings)


def segmented(
    context: Context[M],
    volume: VolumeInfo,
    wanted: Mapping[str, Any],
    on_progress: OnProgress | None,
) -> Steps[Segmentation[M]]:
    """The answer to a click, once: sent again, it is the same one."""
    if on_progress is not None:
        return (yield from _told(growing(context, volume, wanted), on_progress))
    request = post(_path(volume), json_body(wanted))
    answer = yield from send(request, context.retries)
    info = parsed(SegmentationInfo, answer.content)
    timings = Timings.parse(answer.headers.get("server-timing", ""))
    return (yield from fetched(context, info, volume, timings=timings))


def growing(
    context: Context[M], volume: VolumeInfo, wanted: Mapping[str, Any]
) -> Giving[Progress | Segmentation[M]]:
    """The answer to a click while it grows, and in the end."""
    request = Request("POST", _path(volume), {}, {"Accept": EVENTS}, json_body(wanted))
    yield from stream(request, context.retries)
    events = Events()
    while piece := (yield Read()):
        for event in events.feed(piece):
            made = _understood(event, context, volume)
            yield Give(made)
            if isinstance(made, Segmentation):
                return
    raise Disconnected("The connection broke before the mask was whole, and nothing was kept.")


def _told(
    steps: Giving[Progress | Segmentation[M]], on_progress: OnProgress
) -> Steps[Segmentation[M]]:
    """Steps whose progress is told to somebody, and whose last item is what they return."""
    with closing(steps):
        effect = next(steps)
        while True:
            if isinstance(effect, Give):
                if isinstance(effect.item, Segmentation):
                    return effect.item
                on_progress(effect.item)
                effect = next(steps)
                continue
            try:
                reply = yield effect
            except ClientError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)


def _understood(
    event: Event, context: Context[M], volume: VolumeInfo
) -> Progress | Segmentation[M]:
    try:
        data = json.loads(event.data)
        match event.name:
            case "progress":
                packed = base64.b64decode(data["mask"])
                return Progress(int(data["windows"]), int(data["encodes"]), packed, volume.shape)
            case "segmentation":
                told = json.dumps(data["segmentation"]).encode()
                info, packed = parsed(SegmentationInfo, told), base64.b64decode(data["mask"])
                return Segmentation(context, info, volume, packed)
            case "problem":
                raise refusal(int(data["status"]), event.data)
    except (ValueError, TypeError, KeyError):
        pass
    raise UnexpectedAnswer("An event can not be understood.")


def _path(volume: VolumeInfo) -> str:
    return f"/v1/volumes/{part(volume.id)}/segmentations"
