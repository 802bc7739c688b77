"""MONAI Label's module: info, a session, a click, one beside, taken back, and a box."""

import importlib
import tempfile
from typing import Any
from unittest.mock import MagicMock

import vtk

from examples.slicer.scene import BESIDE, CAUDATE, THALAMUS, Scene

MODEL = "sam_med3d_moe"


def run(scene: Scene, url: str) -> None:
    """Use the module's own code as its window would."""
    module = importlib.import_module("MONAILabel")
    widget = _widget(module, scene, f"{url}/monailabel")
    widget.fetchInfo()
    print("models:", ", ".join(widget.models))
    assert widget.onUploadImage(init_sample=False, session=True)
    thalamus = widget.selected = scene.segment("structure", (0.9, 0.5, 0.2))
    widget.dgPositivePointListNode.AddControlPoint(vtk.vtkVector3d(*THALAMUS))
    widget.onClickDeepgrow(None)
    first = scene.voxels(thalamus)
    print(f"click: {first.sum()} voxels")
    widget.dgNegativePointListNode.AddControlPoint(vtk.vtkVector3d(*BESIDE))
    widget.onClickDeepgrow(None)
    print(f"a click beside it: {scene.voxels(thalamus).sum()} voxels")
    widget.dgNegativePointListNode.RemoveAllControlPoints()
    widget.onClickDeepgrow(None)
    assert (scene.voxels(thalamus) == first).all()
    caudate = widget.selected = scene.segment("lesion", (0.2, 0.7, 0.9))
    widget.dgPositivePointListNode.RemoveAllControlPoints()
    box = scene.add("vtkMRMLMarkupsROINode")
    box.SetCenter(CAUDATE)
    box.SetSize((16, 32, 22))
    widget.ui.sam2PlaceWidget.currentNode.return_value = box
    widget.onClickDeepgrow(None)
    print(f"box {widget.getROIPointsXYZ(box)}: {scene.voxels(caudate).sum()} voxels")
    assert scene.holds(thalamus, THALAMUS)
    assert scene.holds(caudate, CAUDATE)


def _widget(module: Any, scene: Scene, url: str) -> Any:
    """The module's widget and logic, without what it shows."""

    widget = module.MONAILabelWidget()
    widget.tmpdir = tempfile.mkdtemp(prefix="monailabel-")  # the logic removes it
    widget.logic = module.MONAILabelLogic(widget.tmpdir)
    widget.logic.setServer(url)
    widget.logic.setClientId("radiologist")
    widget.ui = MagicMock()
    for shown in ("reportProgress", "updateGUIFromParameterNode", "updateServerSettings"):
        setattr(widget, shown, lambda *_: None)
    widget.getParamsFromConfig = lambda *_: {}
    widget.getPermissionForImageDataUpload = lambda: True
    segmentation = scene.segmentation.GetSegmentation()
    widget.currentSegment = lambda: (widget.selected, segmentation.GetSegment(widget.selected))
    widget.ui.deepgrowModelSelector.currentText = MODEL
    widget.ui.freezeUpdateCheckBox.checked = False
    widget.ui.sam2PlaceWidget.currentNode.return_value = None
    widget._segmentNode = scene.segmentation
    widget.current_sample = {"id": scene.volume.GetName(), "session": True}
    widget.dgPositivePointListNode = scene.add("vtkMRMLMarkupsFiducialNode")
    widget.dgNegativePointListNode = scene.add("vtkMRMLMarkupsFiducialNode")
    return widget
