"""The REST protocol of MONAI Label: 3D Slicer, OHIF and MITK, unmodified."""

from sammoe.api.monailabel.routes import router

__all__ = ["router"]
