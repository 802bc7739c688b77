"""What a message of Triton's client means; the messages are a real server's."""

import pytest
from tritonclient.utils import InferenceServerException

from sammoe.engine.triton_connection import ModelOut, ServerGone, failure
from sammoe.errors import DeadlineExceeded, EngineBusy, EngineError, EngineOutputInvalid


def said(message: str, status: str = "StatusCode.INTERNAL") -> EngineError:
    return failure(InferenceServerException(message, status))


@pytest.mark.parametrize(
    ("message", "model", "dead"),
    [
        ("Stub process 'decoder_cord-44bc6b2366fa_0_1' is not healthy.", "cord-44bc6b2366fa", True),
        (
            "decoder_cord-44bc6b2366fa: Failed to process the request(s) for model instance"
            " 'decoder_cord-44bc6b2366fa_0_0', message: Stub process"
            " 'decoder_cord-44bc6b2366fa_0_0' is not healthy.",
            "cord-44bc6b2366fa",
            True,
        ),
        (
            "Request for unknown model: 'decoder_cord-44bc6b2366fa' is not found",
            "cord-44bc6b2366fa",
            False,
        ),
        (
            "Failed for execute the inference request. Model 'decoder_cord-44bc6b2366fa' is not"
            " ready.",
            "cord-44bc6b2366fa",
            False,
        ),
    ],
)
def test_a_model_that_is_out_is_named(message: str, model: str, dead: bool) -> None:
    error = said(message)
    assert isinstance(error, ModelOut)
    assert (error.model, error.dead) == (f"decoder_{model}", dead)
    assert error.code == "engine_unavailable"


def test_nan_keeps_its_code() -> None:
    error = said("engine_output_invalid: The model answered with NaN or Inf in logits of gate.")
    assert isinstance(error, EngineOutputInvalid)
    assert error.detail == "The model answered with NaN or Inf in logits of gate."


@pytest.mark.parametrize(
    ("message", "status", "kind"),
    [
        ("failed to connect to all addresses", "StatusCode.UNAVAILABLE", ServerGone),
        ("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED", DeadlineExceeded),
        ("Exceeds maximum queue size", "StatusCode.UNAVAILABLE", EngineBusy),
        ("something else\nwith more lines", "StatusCode.INTERNAL", EngineError),
        ("", "", EngineError),
    ],
)
def test_the_rest_is_told_in_one_line(message: str, status: str, kind: type[EngineError]) -> None:
    error = said(message, status)
    assert type(error) is kind
    assert "\n" not in error.detail
