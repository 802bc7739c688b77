"""Text of ``config.pbtxt``, Triton's description of one model (protobuf text format).

``name`` is left out on purpose: Triton then takes the folder's, and the folder is named after the
digest of its files, which this file is one of. ``max_batch_size`` is 1: Triton must not merge
requests by itself, because merged requests differ in the last bits and the same click shall give
the same bytes. ``KIND_AUTO`` loads with and without a GPU; the instance count is explicit because
the default differs between backends.

A server started with ``--model-config-name=tensorrt`` reads ``configs/tensorrt.pbtxt`` of each
model that has one: the same model from a TensorRT plan.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DataType = Literal["TYPE_FP32", "TYPE_FP16", "TYPE_INT32", "TYPE_STRING"]

TENSORRT_CONFIG = "configs/tensorrt.pbtxt"
"""In a model's folder, beside ``config.pbtxt``."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: ``dims`` without the batch axis, -1 = any length.

    ``warm_up`` gives the dims of the zeros that are run before the model counts as ready; only
    needed where ``dims`` has a -1.
    """

    name: str
    data_type: DataType
    dims: tuple[int, ...]
    warm_up: tuple[int, ...] | None = None


def config_pbtxt(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    instances: int,
    threads: int,
) -> str:
    """``config.pbtxt`` of one ONNX model.

    Parameters
    ----------
    inputs, outputs
        In the graph's order.
    instances
        How many copies may run at once on one device.
    threads
        ONNX Runtime's threads within one operator, per instance.
    """
    warm_up = "\n".join(_warm_up(spec) for spec in inputs)
    return f"""backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: 1
{_tensors("input", inputs)}
{_tensors("output", outputs)}
instance_group [ {{ kind: KIND_AUTO count: {instances} }} ]
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{threads}" }} }}
parameters {{ key: "inter_op_thread_count" value: {{ string_value: "1" }} }}
model_warmup [ {{
  name: "zeros"
  batch_size: 1
{warm_up}
}} ]
"""


def tensorrt_pbtxt(config: str) -> str:
    """The same model as a TensorRT plan: ``config.pbtxt`` of `config_pbtxt`, whose parameters are
    ONNX Runtime's."""
    plan = config.replace('backend: "onnxruntime"', 'platform: "tensorrt_plan"')
    plan = plan.replace('"model.onnx"', '"model.plan"')
    return re.sub(r"^parameters .*\n", "", plan, flags=re.MULTILINE)


def selector_pbtxt(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, instances: int
) -> str:
    """``config.pbtxt`` of the selector. It takes no part in batching, so ``dims`` are whole shapes.

    It has no warm-up: that would run while the models that it asks are still being loaded.

    Parameters
    ----------
    inputs, outputs
        An answer may lack outputs.
    instances
        How many answer at once; each answers one batch of requests at a time.
    """
    return f"""backend: "python"
max_batch_size: 0
{_tensors("input", inputs)}
{_tensors("output", outputs)}
instance_group [ {{ kind: KIND_AUTO count: {instances} }} ]
parameters {{ key: "FORCE_CPU_ONLY_INPUT_TENSORS" value: {{ string_value: "no" }} }}
"""


def _tensors(kind: str, specs: Sequence[TensorSpec]) -> str:
    lines = ",\n".join(
        f'  {{ name: "{spec.name}" data_type: {spec.data_type} dims: {list(spec.dims)} }}'
        for spec in specs
    )
    return f"{kind} [\n{lines}\n]"


def _warm_up(spec: TensorSpec) -> str:
    dims = list(spec.warm_up or spec.dims)
    return (
        f'  inputs {{ key: "{spec.name}" value: '
        f"{{ data_type: {spec.data_type} dims: {dims} zero_data: true }} }}"
    )
