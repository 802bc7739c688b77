"""The selector's folder in a bundle: what Triton runs between the gate and the decoders."""

import json
from pathlib import Path
from typing import Final

import sammoe
from sammoe.bundle.digests import file_digest
from sammoe.bundle.manifest import SELECTOR, SELECTOR_MANIFEST, Manifest
from sammoe.bundle.triton import TensorSpec, selector_pbtxt
from sammoe.bundle.writer import add_model

_INSTANCES: Final = 2

_SOURCES: Final = {"1/model.py": "selector_model.py", "1/selector.py": "selector.py"}
"""Files of the folder -> modules of `sammoe.engine` that they are copies of, as text: nothing of
the engine is imported here."""


def add_selector(root: Path, manifest: Manifest) -> Manifest:
    """Write the selector of a bundle whose other folders are in ``root``; one it had is left.

    The folder holds the manifest as it is without a selector, so its name, which is made of its
    files' digests, belongs to this bundle alone.

    Returns
    -------
    Manifest
        With the selector.
    """
    bare = without_selector(manifest)
    engine = Path(sammoe.__file__).parent / "engine"
    files: dict[str, bytes | Path] = {
        "config.pbtxt": _config(bare).encode(),
        SELECTOR_MANIFEST: _canonical(bare),
        **{name: engine / source for name, source in _SOURCES.items()},
    }
    folder, digests = add_model(root, SELECTOR, files)
    return Manifest(**dict(bare) | {"selector": folder, "files": dict(bare.files) | digests})


def is_current(manifest: Manifest) -> bool:
    """Whether the selector's modules are those of this program, and decide as it does."""
    engine = Path(sammoe.__file__).parent / "engine"
    return all(
        manifest.files.get(f"{manifest.selector}/{name}") == file_digest(engine / source)
        for name, source in _SOURCES.items()
    )


def without_selector(manifest: Manifest) -> Manifest:
    """The manifest as it was before a selector was added."""
    files = {
        name: digest
        for name, digest in manifest.files.items()
        if name.partition("/")[0] != manifest.selector
    }
    return manifest.model_copy(update={"selector": None, "files": files})


def _canonical(manifest: Manifest) -> bytes:
    """Equal manifests, equal bytes, whatever the order in which they came about."""
    return json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True).encode()


def _config(manifest: Manifest) -> str:
    model = manifest.model
    grid, cells = (model.grid,) * 3, (model.cells,) * 3
    inputs = [
        TensorSpec("embedding", "TYPE_FP16", (1, model.embedding_channels, *grid)),
        TensorSpec("coords", "TYPE_FP32", (1, -1, 3)),
        TensorSpec("labels", "TYPE_INT32", (1, -1)),
        TensorSpec("mask", "TYPE_FP32", (1, 1, *cells)),
        TensorSpec("request", "TYPE_STRING", (1,)),
    ]
    outputs = [
        TensorSpec("masks", "TYPE_FP32", (-1, *cells)),
        TensorSpec("route", "TYPE_STRING", (1,)),
        TensorSpec("gate_features", "TYPE_FP32", (1, model.gate_features)),
    ]
    return selector_pbtxt(inputs, outputs, instances=_INSTANCES)
