"""A backend for Triton that runs a model's ``model.onnx`` in Python, on the CPU.

It stands in for two of NVIDIA's container under their names: ``onnxruntime``, and ``tensorrt``,
whose ``model.plan`` would need a GPU to be made and run. It runs in the server's interpreter, where
nothing of ours is installed. Sessions are set up as `sammoe.engine.runtime` does it, so that both
give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What the backend makes of each instance of a model."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the graph."""
        check_numpy()
        config = json.loads(args["model_config"])
        self._outputs = [output["name"] for output in config["output"]]
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(
            path, options(config), providers=["CPUExecutionProvider"]
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Run each request by itself: merged ones would differ in the last bits."""
        return [self._run(request) for request in requests]

    def _run(self, request: Any) -> Any:
        asked = set(request.requested_output_names())
        names = [name for name in self._outputs if name in asked]
        feed = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            values = self._session.run(names, feed)
        except Exception as error:  # ONNX Runtime's own exceptions have no common public base.
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        tensors = [pb_utils.Tensor(n, value) for n, value in zip(names, values, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def options(config: Mapping[str, Any]) -> ort.SessionOptions:
    """As `sammoe.engine.runtime` sets a session up, with the threads of the model's description,
    which one for TensorRT does not have."""
    parameters = config.get("parameters", {})
    threads = parameters.get("intra_op_thread_count", {}).get("string_value", "1")
    made = ort.SessionOptions()
    made.intra_op_num_threads = int(threads)
    made.inter_op_num_threads = 1
    made.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    made.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    made.add_session_config_entry("session.intra_op.spin_duration_us", "50")
    made.log_severity_level = 3
    return made


def check_numpy() -> None:
    """Refuse a numpy that this server was not built for: with numpy 2 it is ready, and answers
    wrong numbers.

    Raises
    ------
    RuntimeError
        It is numpy 2, or known values do not survive the way into a tensor and back.
    """
    known = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = np.from_dlpack(pb_utils.Tensor("known", known))
    if int(np.__version__.partition(".")[0]) >= 2 or not np.array_equal(found, known):
        raise RuntimeError(f"numpy {np.__version__} does not fit this Triton: it needs numpy < 2")
