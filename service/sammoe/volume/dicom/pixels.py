"""Pixels of slices into one array, scaled to values.

Uncompressed ones are read straight into the array; compressed ones are decoded by pydicom, side by
side in processes where there are many. Values stay integers where slopes are 1 and intercepts are
whole, in the smallest type that holds them; all else is float32.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from sammoe.errors import DicomPixelsDamaged, DicomPixelsUnsupported, SammoeError
from sammoe.volume.dicom.instance import NATIVE, Frame, Instance, Pixels
from sammoe.volume.limits import ReadLimits

Allocate = Callable[[tuple[int, int, int], np.dtype[Any]], NDArray[Any]]
"""Makes an array [slice, row, column]; in memory that forks share, if they shall help."""

Slice = tuple[Instance, Frame]

_JPEG: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})
_JPEG_END: Final = b"\xff\xd9"
_JPEG_TAIL: Final = 16
"""The end may be padded."""
_STRICT: Final[dict[str, str]] = {JPEGLSLossless: "pyjpegls", JPEGLSNearLossless: "pyjpegls"}
"""Where pydicom has several decoders, the one that notices damage."""

_BATCH: Final = 8
"""Compressed frames that are decoded at a time."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Frames of one instance, and where in the array each goes."""

    instance: Instance
    frames: tuple[tuple[Frame, int], ...]


def read_values(
    slices: Sequence[Slice],
    allocate: Allocate,
    limits: ReadLimits,
    *,
    inverted: bool,
    processes: int = 1,
) -> NDArray[Any]:
    """Read and scale the pixels of slices.

    Parameters
    ----------
    slices
        In the array's order; all of one size.
    allocate
        Called once, or twice where values need more room than what is stored.
    limits
        Checked before anything is allocated.
    inverted
        Whether to turn numbers of MONOCHROME1 round: the least becomes the greatest that the bits
        hold.
    processes
        How many may decode side by side; more than one needs memory that is shared with forks.

    Returns
    -------
    [slice, row, column]; an integer type of up to 32 bits, or float32.

    Raises
    ------
    TooLarge
        There are too many voxels.
    DicomPixelsDamaged
        There are fewer than declared, or they can not be decoded.
    DicomPixelsUnsupported
        Numbers do not fit into the bits that are said to hold them.
    """
    pixels = slices[0][0].pixels
    shape = (len(slices), pixels.rows, pixels.columns)
    stored = {instance.pixels.dtype for instance, _ in slices}
    whole = all(frame.slope == 1 and frame.intercept % 1 == 0 for _, frame in slices)
    kind = stored.pop() if whole and len(stored) == 1 else np.dtype(np.float32)
    limits.admit(shape[::-1], kind.itemsize)
    values = allocate(shape, kind)
    jobs = _jobs(slices)
    packed = sum(not _is_native(job.instance.pixels) for job in jobs)
    if processes > 1 and packed > 1:
        _fill_in_processes(values, jobs, inverted, processes)
    else:
        _fill(values, jobs, inverted)
    if kind.kind == "f":
        return values
    return _shifted(values, [int(frame.intercept) for _, frame in slices], allocate, limits)


def _jobs(slices: Sequence[Slice]) -> list[_Job]:
    """Slices by instance, in batches, each in the order of the file."""
    placed = sorted(
        ((instance, frame, place) for place, (instance, frame) in enumerate(slices)),
        key=lambda one: (str(one[0].path), one[1].number),
    )
    jobs = []
    for _, same in groupby(placed, key=lambda one: one[0].path):
        frames = list(same)
        for start in range(0, len(frames), _BATCH):
            batch = frames[start : start + _BATCH]
            jobs.append(_Job(batch[0][0], tuple((frame, place) for _, frame, place in batch)))
    return jobs


def _is_native(pixels: Pixels) -> bool:
    return pixels.transfer_syntax in NATIVE


def _fill(values: NDArray[Any], jobs: Iterable[_Job], inverted: bool) -> None:
    for job in jobs:
        pixels = job.instance.pixels
        turned = inverted and pixels.inverted
        if _is_native(pixels) and values.dtype == pixels.dtype:
            # Nothing is copied: the file is read to where its values stay.
            places = [values[place] for _, place in job.frames]
            for _ in _read_native(job, places):
                pass
            for stored in places:
                _settle(stored, pixels, turned)
            continue
        frames = _read_native(job, _rooms(job)) if _is_native(pixels) else _decode(job)
        for (frame, place), stored in zip(job.frames, frames, strict=True):
            _settle(stored, pixels, turned)
            if values.dtype.kind == "f":
                values[place] = stored * np.float64(frame.slope) + frame.intercept
            else:
                values[place] = stored


def _rooms(job: _Job) -> Iterable[NDArray[Any]]:
    """Room for each frame of a job, one after the other."""
    pixels = job.instance.pixels
    return (np.empty((pixels.rows, pixels.columns), pixels.dtype) for _ in job.frames)


_shared: NDArray[Any] | None = None
"""In a process that helps: the array to fill, inherited when it was forked."""


def _fill_in_processes(
    values: NDArray[Any], jobs: Sequence[_Job], inverted: bool, processes: int
) -> None:
    context = get_context("fork")
    with ProcessPoolExecutor(processes, context, _inherit, (values,)) as pool:
        try:
            for done in [pool.submit(_help, job, inverted) for job in jobs]:
                done.result()
        except BrokenProcessPool:
            raise _damaged() from None
        except SammoeError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _inherit(values: NDArray[Any]) -> None:
    global _shared
    _shared = values


def _help(job: _Job, inverted: bool) -> None:
    assert _shared is not None
    _fill(_shared, [job], inverted)


def _read_native(job: _Job, rooms: Iterable[NDArray[Any]]) -> Iterable[NDArray[Any]]:
    """Read uncompressed frames into the rooms given, and give each back."""
    instance = job.instance
    pixels = instance.pixels
    size = pixels.frame_bytes
    there = pixels.length
    if there is None or there < size * len(instance.frames):
        raise DicomPixelsDamaged(
            f"An image of {pixels.columns} x {pixels.rows} pixels, {pixels.allocated} bits each, "
            f"and {len(instance.frames)} frame(s) declares {there} bytes of them."
        )
    with instance.path.open("rb", buffering=0) as file:
        for (frame, _), room in zip(job.frames, rooms, strict=True):
            file.seek(pixels.offset + frame.number * size)
            view, done = room.data.cast("B"), 0
            while done < size:
                more = file.readinto(view[done:])
                if not more:
                    raise DicomPixelsDamaged("A DICOM file ends within its pixels: it was cut off.")
                done += more
            yield room


def _decode(job: _Job) -> Iterable[NDArray[Any]]:
    instance = job.instance
    pixels = instance.pixels
    numbers = [frame.number for frame, _ in job.frames]
    found = []
    try:
        if pixels.transfer_syntax in _JPEG:
            _check_ends(instance, numbers)
        plugin = _STRICT.get(pixels.transfer_syntax, "")
        # As they are: unused bits are settled here for all transfer syntaxes alike.
        frames = iter_pixels(
            instance.path,
            indices=numbers,
            raw=True,
            decoding_plugin=plugin,
            correct_unused_bits=False,
        )
        found += [frame.astype(pixels.dtype) for frame in frames]
    # Every decoder answers damage in its own way.
    except Exception as error:
        raise _damaged() from error
    if any(frame.shape != (pixels.rows, pixels.columns) for frame in found):
        raise _damaged()
    return found


def _check_ends(instance: Instance, numbers: Sequence[int]) -> None:
    """See that no frame was cut off: the decoder of plain JPEG would fill the rest with grey."""
    wanted = set(numbers)
    with instance.path.open("rb") as file:
        file.seek(instance.pixels.offset)
        frames = generate_frames(file, number_of_frames=len(instance.frames))
        for number, frame in enumerate(frames):
            if number in wanted and _JPEG_END not in frame[-_JPEG_TAIL:]:
                raise _damaged()


def _damaged() -> DicomPixelsDamaged:
    return DicomPixelsDamaged("Compressed pixels can not be decoded; send the series again.")


def _settle(stored: NDArray[Any], pixels: Pixels, inverted: bool) -> None:
    """Make the numbers right in place: bits above those stored, and what is shown inverted."""
    spare = pixels.allocated - pixels.bits
    if spare and pixels.signed:
        extended = (stored << spare) >> spare
        if not np.array_equal(extended, stored):
            # Unsigned writers leave zeros there, and overlays anything.
            unsigned = stored.view(stored.dtype.str.replace("i", "u"))
            _check_spare(pixels, int(unsigned.max()))
            stored[...] = extended
    elif spare and (greatest := int(stored.max())) >> pixels.bits:
        _check_spare(pixels, greatest)
        stored &= (1 << pixels.bits) - 1
    if inverted:
        np.invert(stored, out=stored)
        if not pixels.signed:
            stored &= (1 << pixels.bits) - 1


def _check_spare(pixels: Pixels, greatest: int) -> None:
    if greatest >> pixels.bits and not pixels.overlay:
        raise DicomPixelsUnsupported(
            f"An image says that it stores {pixels.bits} bits, but uses more of its "
            f"{pixels.allocated}: its values are not clear."
        )


def _shifted(
    values: NDArray[Any], intercepts: Sequence[int], allocate: Allocate, limits: ReadLimits
) -> NDArray[Any]:
    """Add each slice's intercept, in place if the sums fit into integers of the same size."""
    if not any(intercepts):
        return values
    low = min(int(one.min()) + add for one, add in zip(values, intercepts, strict=True))
    high = max(int(one.max()) + add for one, add in zip(values, intercepts, strict=True))
    kind = _smallest(low, high)
    if kind.kind == "i" and kind.itemsize == values.itemsize:
        # Arithmetic modulo the type's size, whose outcome is known to fit.
        unsigned = values.view(f"<u{kind.itemsize}")
        for one, add in zip(unsigned, intercepts, strict=True):
            one += unsigned.dtype.type(add % (1 << 8 * kind.itemsize))
        return values.view(kind)
    shape = (values.shape[0], values.shape[1], values.shape[2])
    limits.admit(shape[::-1], kind.itemsize)
    sums = allocate(shape, kind)
    for place, (one, add) in enumerate(zip(values, intercepts, strict=True)):
        sums[place] = one + np.float64(add)
    return sums


def _smallest(low: int, high: int) -> np.dtype[Any]:
    for bits in (16, 32):
        if -(1 << bits - 1) <= low and high < 1 << bits - 1:
            return np.dtype(f"<i{bits // 8}")
    return np.dtype(np.float32)
