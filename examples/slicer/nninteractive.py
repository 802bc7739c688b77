"""SlicerNNInteractive: a click, one beside, undo, a box, and back to the first segment."""

import importlib
from typing import Any
from unittest.mock import MagicMock

from examples.slicer.scene import BESIDE, CAUDATE, THALAMUS, Scene


def run(scene: Scene, url: str) -> None:
    """Use the module's own code as its window would."""
    module = importlib.import_module("SlicerNNInteractive")
    thalamus = scene.segment("thalamus", (0.9, 0.5, 0.2))
    widget = _widget(module, scene, f"{url}/nninteractive", thalamus)
    widget.point_prompt(xyz=widget.ras_to_xyz(THALAMUS), positive_click=True)
    first = scene.voxels(thalamus)
    print(f"click: {first.sum()} voxels")
    widget.point_prompt(xyz=widget.ras_to_xyz(BESIDE), positive_click=False)
    print(f"a click beside it: {scene.voxels(thalamus).sum()} voxels")
    widget.on_undo()
    assert (scene.voxels(thalamus) == first).all()
    caudate = widget.selected = scene.segment("caudate", (0.2, 0.7, 0.9))
    x, y, z = CAUDATE
    corners = [widget.ras_to_xyz((x + sign * 7, y + sign * 15, z)) for sign in (1, -1)]
    widget.bbox_prompt(*corners, positive_click=True)
    print(f"box: {scene.voxels(caudate).sum()} voxels")
    widget.selected = thalamus
    widget.point_prompt(xyz=widget.ras_to_xyz(BESIDE), positive_click=False)
    print(f"the first segment again, a click beside it: {scene.voxels(thalamus).sum()} voxels")
    widget.release_session()
    assert scene.holds(thalamus, THALAMUS)
    assert scene.holds(caudate, CAUDATE)


def _widget(module: Any, scene: Scene, url: str, segment: str) -> Any:
    """The module's widget, connected, without what it shows."""

    widget = module.SlicerNNInteractiveWidget()
    widget.selected = segment
    widget.get_mode = lambda: "remote"
    widget.update_server = lambda: setattr(widget, "server", url)
    widget.get_volume_node = lambda: scene.volume
    widget.get_segmentation_node = lambda: scene.segmentation
    widget.get_current_segment_id = lambda: widget.selected
    widget.get_selected_segmentation_node_and_segment_id = lambda: (
        scene.segmentation,
        widget.selected,
    )
    widget._backend_installed_for_mode = lambda _: True
    widget._on_session_ready = lambda: print("taken:", widget.session.supported_interactions)
    widget.ui = MagicMock()
    widget.api_key = ""
    widget.session = widget._session_executor = widget._session_mode = widget.target_buffer = None
    widget._heartbeat_timer = None
    widget._prediction_in_flight = False
    widget.SESSION_LOST_ERRORS = ()
    widget.previous_states, widget.prompt_types = {}, {}
    return widget
