"""Networks become ONNX graphs, checked, and graphs become a bundle."""

from sammoe.export.bundles import export_bundle
from sammoe.export.parts import ExpertDecoder
from sammoe.export.release import Release, official_windows

__all__ = ["ExpertDecoder", "Release", "export_bundle", "official_windows"]
