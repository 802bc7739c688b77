"""One release of weights as a folder: Triton model repository plus the manifest ``bundle.json``."""

from sammoe.bundle.bundle import MANIFEST_NAME, Bundle, load_bundle, manifest_digest
from sammoe.bundle.digests import file_digest, folder_digest, folder_name
from sammoe.bundle.features import FEATURES_FILE, ReferenceFeatures, load_reference
from sammoe.bundle.manifest import (
    ENCODER,
    GATE,
    GENERAL_DECODER,
    PROMPT_KINDS,
    SELECTOR,
    Code,
    Expert,
    Manifest,
    ModelConfig,
    PromptKind,
    Provenance,
    Routing,
    WindowSettings,
    decoder_name,
)
from sammoe.bundle.selector import add_selector
from sammoe.bundle.triton import TENSORRT_CONFIG, TensorSpec, config_pbtxt, tensorrt_pbtxt
from sammoe.bundle.writer import add_model, write_manifest

__all__ = [
    "ENCODER",
    "FEATURES_FILE",
    "GATE",
    "GENERAL_DECODER",
    "MANIFEST_NAME",
    "PROMPT_KINDS",
    "SELECTOR",
    "TENSORRT_CONFIG",
    "Bundle",
    "Code",
    "Expert",
    "Manifest",
    "ModelConfig",
    "PromptKind",
    "Provenance",
    "ReferenceFeatures",
    "Routing",
    "TensorSpec",
    "WindowSettings",
    "add_model",
    "add_selector",
    "config_pbtxt",
    "decoder_name",
    "file_digest",
    "folder_digest",
    "folder_name",
    "load_bundle",
    "load_reference",
    "manifest_digest",
    "tensorrt_pbtxt",
    "write_manifest",
]
