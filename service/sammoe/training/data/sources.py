"""A pool of label maps made once and kept on disk, one file each, for a training run to draw from.

A file is a compressed .npz with ``labels`` uint8 [X, Y, Z] and ``about``, JSON text: ``version``,
``kind``, ``spacing_mm``, ``names``, ``weights`` and ``unions``. CT appearance goes by kind, so that
a better table needs no new pool.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from sammoe.errors import DataSetInvalid
from sammoe.files import NPZ_DAMAGE, replacing
from sammoe.training.data.labelmap import LabelMap
from sammoe.training.data.phantoms import torso
from sammoe.training.data.shapes import shapes
from sammoe.training.data.tissues import TISSUE
from sammoe.training.workers import work_force

_VERSION = 1
_MAKERS: dict[str, Callable[[np.random.Generator], LabelMap]] = {"torso": torso, "shapes": shapes}


def make_pool(folder: Path, counts: dict[str, int], seed: int = 0, workers: int = 0) -> list[Path]:
    """Make what is missing of a pool: `counts` says how many of "torso" and of "shapes".

    File n of a kind depends on `seed` and n only, so a stopped run may be resumed or made larger.
    About 1.5 s a torso and 0.1 s for shapes, shared out between ``workers`` processes (0: this
    one). Returns the files, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (kind, n, folder / f"{kind}_{seed}_{n:05d}.npz")
        for kind, count in counts.items()
        for n in range(count)
    ]
    missing = [(kind, seed, n, path) for kind, n, path in jobs if not path.exists()]
    with tqdm(missing, desc="label maps", disable=None) as bar:
        if workers and missing:
            with work_force(workers) as pool:
                for _ in pool.map(_make, missing, chunksize=4):
                    bar.update()
        else:
            for job in bar:
                _make(job)
    return [path for _, _, path in jobs]


def _make(job: tuple[str, int, int, Path]) -> None:
    kind, seed, n, path = job
    save(_MAKERS[kind](np.random.default_rng([seed, sorted(_MAKERS).index(kind), n])), path)


def load_pool(folder: Path, kind: str | None = None) -> list[LabelMap]:
    """Every map in a folder, or those of one kind, by name of the file. About 3 MB each."""
    return [load(path) for path in sorted(folder.glob(f"{kind or '*'}_*.npz"))]


def save(source: LabelMap, path: Path) -> None:
    """Write one map; the file appears whole or not at all."""
    about = {
        "version": _VERSION,
        "kind": source.kind,
        "spacing_mm": source.spacing_mm,
        "names": {str(k): v for k, v in source.names.items()},
        "weights": {str(k): v for k, v in source.weights.items()},
        "unions": {str(k): list(v) for k, v in source.unions.items()},
    }
    with replacing(path) as stream:
        np.savez_compressed(stream, labels=source.labels, about=np.array(json.dumps(about)))


def load(path: Path) -> LabelMap:
    """Read one map. Raises `DataSetInvalid` for a file that is damaged or of another version."""
    with path.open("rb") as stream:
        try:
            return _read(stream)
        except (*NPZ_DAMAGE, AttributeError, TypeError) as error:
            raise DataSetInvalid(
                f"{path} is damaged, or of another version ({error}): remove it, to have it made"
                " anew"
            ) from error


def _read(stream: BinaryIO) -> LabelMap:
    with np.load(stream) as file:
        labels, about = file["labels"], json.loads(str(file["about"]))
    if about["version"] != _VERSION:
        raise ValueError(f"pool version {about['version']}")
    return LabelMap(
        labels,
        float(about["spacing_mm"]),
        _by_id(about["names"]),
        _by_id(about["weights"]),
        {k: tuple(v) for k, v in _by_id(about["unions"]).items()},
        TISSUE if about["kind"] == "torso" else None,
        about["kind"],
    )


def _by_id(table: dict[str, Any]) -> dict[int, Any]:
    return {int(k): v for k, v in table.items()}
