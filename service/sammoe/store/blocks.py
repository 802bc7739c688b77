"""Fields as blocks of cells in a file: only what is known takes place there."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sammoe.store.frames import damaged
from sammoe.store.logits import deflated, inflated
from sammoe.store.records import FieldRecord, Fields, SegmentationRecord
from sammoe.volume.field import CELLS_PER_PATCH, Field, whole_cells

_SIDE = 8
"""Cells along a block's side, a whole number of model voxels: a quarter of an official window."""


def cut_fields(fields: Fields) -> tuple[tuple[FieldRecord, ...], bytes]:
    """Cut fields into blocks.

    Returns
    -------
    What a record says about them, candidates of one shape together; and the file's payload.
    """
    groups: list[tuple[FieldRecord, list[str]]] = []
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, field in fields.items():
        place, arrays[name] = _cut(field)
        for known, names in groups:
            if known == place:
                names.append(name)
                break
        else:
            groups.append((place, [name]))
    records = tuple(
        place.model_copy(update={"candidates": tuple(names)}) for place, names in groups
    )
    order = [name for _, names in groups for name in names]
    return records, deflated([arrays[name] for name in order])


def join_fields(record: SegmentationRecord, payload: memoryview) -> Fields:
    """Put a file's blocks together again; read-only.

    Raises
    ------
    StoreUnavailable
        The payload is not what the record says.
    """
    if record.fields is None:
        return _windows(record, payload)
    sizes = [len(place.blocks) * place.side**3 * len(place.candidates) for place in record.fields]
    values = inflated(payload, sum(sizes))
    found: dict[str, Field] = {}
    at = 0
    for place in record.fields:
        for name in place.candidates:
            count = len(place.blocks) * place.side**3
            found[name] = _joined(place, values[at : at + count])
            at += count
    return found


def _cut(field: Field) -> tuple[FieldRecord, NDArray[np.float32]]:
    """One field's place, without its name, and its blocks [N, b, b, b]."""
    unit = whole_cells(field.patch)
    side = -(-_SIDE // unit) * unit
    counts = [-(-count // side) for count in field.values.shape]
    padding = [(0, n * side - count) for n, count in zip(counts, field.values.shape, strict=True)]
    values = field.values
    if any(after for _, after in padding):
        values = np.pad(values, padding, constant_values=np.float32(np.nan))
    a, b, c = counts
    blocks = values.reshape(a, side, b, side, c, side).transpose(0, 2, 4, 1, 3, 5)
    known = ~np.isnan(blocks).all(axis=(3, 4, 5))
    place = FieldRecord(
        candidates=(),
        spacing=field.spacing,
        patch=field.patch,
        start=field.start,
        side=side,
        blocks=tuple(map(tuple, np.argwhere(known).tolist())),
    )
    return place, blocks[known]


def _joined(place: FieldRecord, values: NDArray[np.float32]) -> Field:
    side, places = place.side, np.array(place.blocks, dtype=np.int64).reshape(-1, 3)
    if not len(places):
        raise damaged()
    first = places.min(axis=0)
    places = places - first
    a, b, c = (places.max(axis=0) + 1).tolist()
    blocks = np.full((a, b, c, side, side, side), np.nan, np.float32)
    blocks[tuple(places.T)] = values.reshape(-1, side, side, side)
    whole = blocks.transpose(0, 3, 1, 4, 2, 5).reshape(a * side, b * side, c * side)
    voxels = side * place.patch // CELLS_PER_PATCH
    x, y, z = (int(s + voxels * f) for s, f in zip(place.start, first, strict=True))
    return Field(place.spacing, place.patch, (x, y, z), _trimmed(whole))


def _trimmed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the padding after the last known cell of each axis."""
    known = ~np.isnan(values)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        last = int(np.flatnonzero(known.any(axis=others))[-1]) + 1
        keep = (slice(None),) * axis + (slice(last),)
        values, known = values[keep], known[keep]
    values.setflags(write=False)
    return values


def _windows(record: SegmentationRecord, payload: memoryview) -> Mapping[str, Field]:
    """Candidates of the one window of a record of version 1."""
    window = record.windows[0]
    if len(record.windows) != 1:
        raise damaged()
    values = inflated(payload, window.cells**3 * len(window.candidates))
    blocks = values.reshape(-1, *(window.cells,) * 3)
    return {
        name: Field.of_window(window.window, block)
        for name, block in zip(window.candidates, blocks, strict=True)
    }
