"""Networks become ONNX graphs, checked, and graphs become a bundle."""

from sammoe.export.bundles import export_bundle
from sammoe.export.parts import ExpertDecoder
from sammoe.export.reading import Networks, load_networks
from sammoe.export.release import Release, official_windows

__all__ = [
    "ExpertDecoder",
    "Networks",
    "Release",
    "export_bundle",
    "load_networks",
    "official_windows",
]
