"""SAM-Med3D-MoE: click on a structure in a CT or MR scan, get its 3D mask."""

import os

# Before anything imports it: ONNX Runtime numbers the machine and tells its maker of its use.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
