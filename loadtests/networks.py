"""Full-size networks with seeded random weights, and sessions that run their graphs."""

from pathlib import Path

import onnxruntime

from loadtests.random_weights import random_network
from sammoe.model import SamMed3D, SamMed3DConfig


def random_vit_b() -> SamMed3D:
    """``vit_b``."""
    return random_network(SamMed3DConfig.vit_b())


def session(graph: Path, threads: int, *, spinning: bool = False) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with ``threads`` within one operator.

    ``spinning``: as it is by itself, where a thread goes on looking for work for 60 ms after a
    call, into what is measured next. Else for as long as in the service.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not spinning:
        options.add_session_config_entry("session.intra_op.spin_duration_us", "50")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
