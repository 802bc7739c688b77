"""Full-size networks with seeded random weights, and sessions that run their graphs."""

from pathlib import Path

import onnxruntime
import torch

from sammoe.model import SamMed3D, SamMed3DConfig, build_sam_med3d


def random_vit_b() -> SamMed3D:
    """``vit_b`` with its position tables random too: zero ones would hide mistakes."""
    torch.manual_seed(0)
    model = build_sam_med3d(SamMed3DConfig.vit_b())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(0, 0.2)
    return model.eval()


def session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with ``threads`` within one operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
