"""The way back from a window, which the service itself never takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.volume.geometry import Geometry
from sammoe.volume.window import Window, model_grid


def window_to_source(
    geometry: Geometry, window: Window, voxel: NDArray[Any]
) -> NDArray[np.float64]:
    """Map window voxel coordinates [N, 3] to source indices [N, 3]; undoes `source_to_window`."""
    shifted = np.asarray(voxel, dtype=np.float64) + np.asarray(window.start)
    return model_grid(geometry, window.spacing).to_source(shifted)
