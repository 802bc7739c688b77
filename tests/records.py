"""Made-up records for tests of the store."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.store import (
    ChoiceRecord,
    PromptRecord,
    RouteRecord,
    SegmentationRecord,
    Store,
    VolumeRecord,
    WindowRecord,
)
from sammoe.volume.field import Field
from sammoe.volume.volume import Modality, ModalitySource
from sammoe.volume.window import Window

OWNER = "alice"
CELLS = 4


def volume_record(store: Store, **changes: Any) -> VolumeRecord:
    """Return the record of a new volume of 3 x 4 x 5 voxels of 1 mm."""
    fields: dict[str, Any] = {
        "id": store.new_id(),
        "owner": OWNER,
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "file_digest": "f" * 64,
        "content_digest": "c" * 64,
        "shape": (3, 4, 5),
        "affine": tuple(map(tuple, np.eye(4).tolist())),
        "dtype": "int16",
        "modality": Modality.MR,
        "modality_source": ModalitySource.USER,
        "modality_asked": "MR",
        **changes,
    }
    return VolumeRecord(**fields)


def voxels(seed: int = 0) -> NDArray[np.int16]:
    """Return voxels that fit `volume_record`."""
    return np.random.default_rng(seed).integers(-99, 99, (3, 4, 5), dtype=np.int16)


def add_volume(store: Store, **changes: Any) -> VolumeRecord:
    """Keep a new volume."""
    record = volume_record(store, **changes)
    return store.volumes.add(record, voxels())


def segmentation_record(store: Store, volume: VolumeRecord, **changes: Any) -> SegmentationRecord:
    """Return the record of a new segmentation with one window and two candidates."""
    fields: dict[str, Any] = {
        "id": store.new_id(),
        "owner": volume.owner,
        "created": datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
        "volume_id": volume.id,
        "parent": None,
        "prompt": PromptRecord(points=((1.0, 2.5, 3.0),), labels=(1,), box=None),
        "windows": (
            WindowRecord(
                window=Window(1.5, (0, -2, 4), 8), candidates=("general", "fused"), cells=CELLS
            ),
        ),
        "route": RouteRecord(
            used="cord",
            fused=True,
            scores={"cord": 0.9},
            top="cord",
            s_top=0.9,
            tau=0.5,
            check="accepted",
            agreement=0.75,
            distance=0.5,
        ),
        "choice": ChoiceRecord(expert="auto", tau=None),
        "bundle_digest": "b" * 64,
        "timings_ms": {"decode": 1.5},
        "voxel_count": 17,
        **changes,
    }
    return SegmentationRecord(**fields)


def fields(value: float = 1.0) -> dict[str, Field]:
    """Return candidates that fit `segmentation_record`: all ``value``, and all ``-value``."""
    block = np.full((CELLS, CELLS, CELLS), value, np.float32)
    window = Window(1.5, (0, -2, 4), 8)
    return {
        "general": Field.of_window(window, block),
        "fused": Field.of_window(window, -block),
    }
