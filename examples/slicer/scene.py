"""A scene of Slicer's own library: the scan, the segmentation, and three slice views."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import slicer
import slicer.util
import vtk
from numpy.typing import NDArray
from PIL import Image
from trame_slicer.core import SlicerApp
from trame_slicer.views import DirectRendering, SliceView
from vtkmodules.util.numpy_support import vtk_to_numpy

Millimetres = tuple[float, float, float]

THALAMUS: Final = (10.0, -18.0, 8.0)
BESIDE: Final = (10.0, -30.0, 8.0)
CAUDATE: Final = (-11.0, 14.0, 8.0)
"""Places in the sample scan, RAS+ mm."""

VIEWS: Final = (("Red", "Axial", 8.0), ("Green", "Coronal", -18.0), ("Yellow", "Sagittal", -10.0))
SIDE: Final = 340
"""Pixels of a view."""

COLOURS: Final = 64


class Scene:
    """One scan and one segmentation."""

    def __init__(self, scan: Path) -> None:
        self.app = SlicerApp()
        slicer.mrmlScene = self.app.scene
        (self.volume,) = self.app.io_manager.load_volumes(str(scan))
        self.segmentation = self.add("vtkMRMLSegmentationNode")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)

    def add(self, kind: str) -> Any:
        """A new node."""
        return self.app.scene.AddNewNodeByClass(kind)

    def segment(self, name: str, colour: tuple[float, float, float]) -> str:
        """A new, empty segment; its id."""
        segmentation = self.segmentation.GetSegmentation()
        return str(segmentation.AddEmptySegment(name, name, colour))

    def voxels(self, segment: str) -> NDArray[np.bool_]:
        """A segment, bool [k, j, i]."""
        read = slicer.util.arrayFromSegmentBinaryLabelmap
        return np.asarray(read(self.segmentation, segment, self.volume), np.bool_)

    def holds(self, segment: str, place: Millimetres) -> bool:
        """Whether a segment has a place in it."""
        to_index = vtk.vtkMatrix4x4()
        self.volume.GetRASToIJKMatrix(to_index)
        i, j, k = (round(x) for x in to_index.MultiplyPoint((*place, 1.0))[:3])
        return bool(self.voxels(segment)[k, j, i])

    def picture(self, path: Path) -> None:
        """Save the three slice views."""
        pixels = np.hstack([self._view(*view) for view in VIEWS])
        picture = Image.fromarray(pixels).quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        picture.save(path, optimize=True)

    def _view(self, name: str, orientation: str, offset: float) -> NDArray[np.uint8]:
        view = SliceView(
            self.app.scene, self.app.app_logic, name, scheduled_render_strategy=DirectRendering()
        )
        window = view.render_window()
        window.SetOffScreenRendering(1)
        window.SetSize(SIDE, SIDE)
        view.set_orientation(orientation)
        view.set_background_volume_id(self.volume.GetID())
        view.fit_view_to_content()
        view.set_slice_value(offset)
        view.render()
        shot = vtk.vtkWindowToImageFilter()
        shot.SetInput(window)
        shot.ReadFrontBufferOff()
        shot.Update()
        image = shot.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
        return np.ascontiguousarray(pixels[::-1, :, :3])
