"""Small bundles whose graphs are any bytes: enough for everything that does not run them."""

from datetime import date
from pathlib import Path

from sammoe.bundle import (
    Expert,
    Manifest,
    ModelConfig,
    Provenance,
    WindowSettings,
    add_model,
    write_manifest,
)

MODEL = ModelConfig(
    embedding_channels=16, width=16, grid=2, boxes=True, architecture={"depth": 1, "scale": 0.4}
)
WINDOW = WindowSettings(
    side=16,
    patch=8,
    spacings=(1.5, 3.0),
    default_spacing={"CT": 3.0, "MR": 1.5, "unknown": 1.5},
    antialias=True,
    preprocessing_version=1,
)
PROVENANCE = Provenance(
    source="random", licence="Apache-2.0", created=date(2026, 1, 2), training_data="none"
)
EXPERT = Expert(
    name="cord",
    label="Spinal cord",
    modalities=("CT",),
    training_data="phantoms",
    licence="Apache-2.0",
)


def write_bundle(root: Path, experts: tuple[Expert, ...] = (), version: str = "") -> Manifest:
    """Write a bundle whose model files hold their plain names, all but the encoder's with the
    version."""
    plain_names = ["image_encoder", "decoder_general"]
    plain_names += [f"decoder_{expert.name}" for expert in experts]
    plain_names += ["gate"] if experts else []
    models: dict[str, str] = {}
    files: dict[str, str] = {}
    for plain in plain_names:
        content: dict[str, bytes | Path] = {
            "config.pbtxt": b"backend",
            "1/model.onnx": (plain if plain == "image_encoder" else plain + version).encode(),
        }
        models[plain], digests = add_model(root, plain, content)
        files |= digests
    manifest = Manifest(
        name=f"test{version}",
        model=MODEL,
        window=WINDOW,
        models=models,
        files=files,
        experts=experts,
        provenance=PROVENANCE,
    )
    write_manifest(root, manifest)
    return manifest
