"""Libraries that would tell others of this machine do not."""

import os
import subprocess
import sys
from pathlib import Path

RUN = "import sammoe.engine.runtime, onnxruntime; onnxruntime.get_available_providers()"


def test_onnx_runtime_keeps_no_number_of_this_machine_and_nothing_to_send(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    subprocess.run([sys.executable, "-c", RUN], env=kept | {"HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*"))
