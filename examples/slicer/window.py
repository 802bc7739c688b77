"""What Slicer's window adds to its libraries, as far as the modules ask for it."""

import contextlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import MagicMock

import SimpleITK
import slicer
import slicer.util

from examples.slicer.scene import Scene

_WIDGETS = ("PythonQt", "PythonQt.QtGui", "SampleData", "ctk", "qt", "vtkSegmentationCore")
_BASES = ("", "Widget", "Logic", "Test")


class Base:
    """In place of a class of the window that modules inherit."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class Dialog(Base):
    """One that nobody sees."""

    def __getattr__(self, name: str) -> Any:
        return MagicMock()


def stand_in(scene: Scene) -> None:
    """Let the modules be imported, and their messages be errors."""
    for name in _WIDGETS:
        sys.modules[name] = MagicMock()
    vars(sys.modules["qt"]).update(QObject=Base, QDialog=Dialog)
    _module("slicer.i18n", tr=lambda text: text, translate=lambda _, text: text)
    bases = [f"ScriptedLoadableModule{base}" for base in _BASES]
    _module("slicer.ScriptedLoadableModule", **{base: type(base, (Base,), {}) for base in bases})
    _module("sitkUtils", PushVolumeToSlicer=_push)
    logic = SimpleNamespace(logic=lambda: scene.app.segmentations_logic)
    slicer.modules = SimpleNamespace(segmentations=logic)
    slicer.app = MagicMock()
    slicer.util.VTKObservationMixin = Base
    slicer.util.RenderBlocker = contextlib.nullcontext
    slicer.util.saveNode = _save
    slicer.util.settingsValue = lambda _, otherwise, **__: otherwise
    slicer.util.errorDisplay = slicer.util.warningDisplay = _said


def _module(name: str, **content: Any) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


def _said(text: str, detailedText: str = "", **_: Any) -> NoReturn:
    raise SystemExit(f"the module says: {text}\n{detailedText}")


def _save(node: Any, path: str) -> None:
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(path)
    if not storage.WriteData(node):
        raise SystemExit(f"Slicer can not write {path}")


def _push(image: Any, _: None, className: str) -> Any:
    """A SimpleITK image as a node; Slicer has a way through memory, and this goes by a file."""
    node = slicer.mrmlScene.AddNewNodeByClass(className)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nrrd"
        SimpleITK.WriteImage(image, path)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.ReadData(node)
    return node
