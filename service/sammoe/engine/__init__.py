"""Engines run a bundle: the encoder, the decoders, the gate, and the selector between them.

`sammoe.engine.local.LocalEngine` is imported by its own name: it loads ONNX Runtime, which those
who only want the decoders' inputs or the selector do not need.
"""

from sammoe.engine.choice import AUTO, GENERAL, Choice, check_choice
from sammoe.engine.inputs import DecoderInputs, decoder_inputs
from sammoe.engine.protocol import Decoded, Engine
from sammoe.engine.route import Route
from sammoe.engine.selector import (
    LOGIT_LIMIT,
    Decision,
    Selection,
    accepts,
    agreement,
    clip_logits,
    decide,
    fuse,
    misfit,
    prompt_kind,
    select,
)
from sammoe.engine.workers import Load, Ran, WorkerPool

__all__ = [
    "AUTO",
    "GENERAL",
    "LOGIT_LIMIT",
    "Choice",
    "Decision",
    "Decoded",
    "DecoderInputs",
    "Engine",
    "Load",
    "Ran",
    "Route",
    "Selection",
    "WorkerPool",
    "accepts",
    "agreement",
    "check_choice",
    "clip_logits",
    "decide",
    "decoder_inputs",
    "fuse",
    "misfit",
    "prompt_kind",
    "select",
]
