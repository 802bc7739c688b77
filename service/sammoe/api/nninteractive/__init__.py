"""The nnInteractive 2.x remote protocol: 3D Slicer, napari and MITK, unmodified."""

from sammoe.api.nninteractive.routes import router

__all__ = ["router"]
