import re

from sammoe.bundle import TensorSpec, config_pbtxt, tensorrt_pbtxt
from sammoe.bundle.triton import selector_pbtxt

TEXT = config_pbtxt(
    [
        TensorSpec("embedding", "TYPE_FP16", (16, 2, 2, 2)),
        TensorSpec("coords", "TYPE_FP32", (-1, 3), warm_up=(1, 3)),
    ],
    [TensorSpec("logits", "TYPE_FP32", (1, 8, 8, 8))],
    instances=2,
    threads=1,
)


def test_the_config_names_backend_instances_and_threads() -> None:
    assert 'backend: "onnxruntime"' in TEXT
    assert "max_batch_size: 1" in TEXT
    assert "{ kind: KIND_AUTO count: 2 }" in TEXT
    assert 'key: "intra_op_thread_count" value: { string_value: "1" }' in TEXT


def test_the_name_is_left_to_the_folder() -> None:
    assert re.search(r"^name:", TEXT, flags=re.MULTILINE) is None


def test_tensors_keep_order_and_free_lengths() -> None:
    assert TEXT.index('"embedding"') < TEXT.index('"coords"') < TEXT.index('"logits"')
    assert '{ name: "coords" data_type: TYPE_FP32 dims: [-1, 3] }' in TEXT


def test_warm_up_runs_zeros_of_definite_length() -> None:
    warm_up = TEXT[TEXT.index("model_warmup") :]
    assert 'key: "coords" value: { data_type: TYPE_FP32 dims: [1, 3] zero_data: true }' in warm_up
    assert "-1" not in warm_up


def test_brackets_close() -> None:
    assert TEXT.count("{") == TEXT.count("}")
    assert TEXT.count("[") == TEXT.count("]")


def test_the_same_model_from_a_plan_has_nothing_of_onnx_runtime() -> None:
    plan = tensorrt_pbtxt(TEXT)
    assert 'platform: "tensorrt_plan"' in plan
    assert 'default_model_filename: "model.plan"' in plan
    assert "onnx" not in plan
    assert "parameters" not in plan
    start = TEXT.index("input [")
    assert plan[plan.index("input [") :].startswith(TEXT[start : TEXT.index("parameters")])


def test_the_selector_takes_whole_shapes_and_no_part_in_batching() -> None:
    text = selector_pbtxt(
        [TensorSpec("request", "TYPE_STRING", (1,))],
        [TensorSpec("masks", "TYPE_FP32", (-1, 8, 8, 8))],
        instances=2,
    )
    assert 'backend: "python"' in text
    assert "max_batch_size: 0" in text
    assert "{ kind: KIND_AUTO count: 2 }" in text
    assert (text.count("{"), text.count("[")) == (text.count("}"), text.count("]"))
