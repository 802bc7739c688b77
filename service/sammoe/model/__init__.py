"""SAM-Med3D in PyTorch: the networks alone. Nothing here knows the service."""

from sammoe.model.build import SamMed3D, build_sam_med3d
from sammoe.model.config import SamMed3DConfig

__all__ = ["SamMed3D", "SamMed3DConfig", "build_sam_med3d"]
