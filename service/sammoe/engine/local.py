"""The engine of this process: ONNX Runtime on the CPU."""

import asyncio
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER, GATE, GENERAL_DECODER, Bundle, decoder_name
from sammoe.engine.choice import AUTO, GENERAL, Choice, check_choice
from sammoe.engine.inputs import DecoderInputs, decoder_inputs
from sammoe.engine.protocol import Decoded
from sammoe.engine.route import Route
from sammoe.engine.runtime import Graph, OutputSpec
from sammoe.engine.selector import fuse, select
from sammoe.engine.workers import WorkerPool

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class EngineOptions:
    """Threads and queues of a `LocalEngine`.

    Attributes
    ----------
    encoder_threads, decoder_threads
        ONNX Runtime's threads within one operator; 0 = as many as this process has cores.
    encode_workers, decode_workers
        How many windows are embedded, and how many prompts decoded, at the same time. The two
        pools are separate: a later click never waits behind a first click's encode.
    encode_waiting, decode_waiting
        How many more may wait; beyond that the engine is busy.
    """

    encoder_threads: int = 0
    decoder_threads: int = 0
    encode_workers: int = 1
    decode_workers: int = 2
    encode_waiting: int = 16
    decode_waiting: int = 64


class LocalEngine:
    """Runs a bundle in this process; implements `sammoe.engine.protocol.Engine`.

    Making one loads every graph and runs it once on zeros, which takes seconds for full-size
    weights: do it before serving, off the event loop.

    Raises
    ------
    BundleInvalid
        A graph can not be loaded or does not fit the manifest; the detail names the file.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self._bundle = bundle
        self._experts = [expert.name for expert in bundle.manifest.experts]
        self._load(options.encoder_threads or _cores(), options.decoder_threads or _cores())
        self._warm_up()
        self._encoders = WorkerPool(
            "encoder", workers=options.encode_workers, waiting=options.encode_waiting
        )
        self._decoders = WorkerPool(
            "decoder", workers=options.decode_workers, waiting=options.decode_waiting
        )

    @property
    def bundle(self) -> Bundle:
        """The bundle that is run."""
        return self._bundle

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See `Engine.encode`."""
        ran = await self._encoders.run(lambda: self._encode(image))
        return ran.value

    async def decode(
        self, embedding: NDArray[np.float16], inputs: DecoderInputs, choice: Choice
    ) -> Decoded:
        """See `Engine.decode`."""
        check_choice(choice, self._bundle.manifest)
        ran = await self._decoders.run(lambda: self._decode(embedding, inputs, choice))
        candidates, route = ran.value
        return Decoded(candidates, route, ran.queue_ms)

    async def close(self) -> None:
        """See `Engine.close`."""
        await asyncio.gather(self._encoders.close(), self._decoders.close())

    def _load(self, encoder_threads: int, decoder_threads: int) -> None:
        bundle, model = self._bundle, self._bundle.manifest.model
        grid, cells = (model.grid,) * 3, (model.cells,) * 3
        embedding = OutputSpec("embedding", np.float16, (1, model.embedding_channels, *grid))
        logits = OutputSpec("logits", np.float32, (1, 1, *cells))
        features = OutputSpec("gate_features", np.float32, (1, model.gate_features))
        scores = OutputSpec("scores", np.float32, (1, len(self._experts)))
        # The names' order is that of the outputs in `_decode`.
        general = [logits, features] if self._experts else [logits]
        self._encoder = Graph(bundle.model_path(ENCODER), [embedding], threads=encoder_threads)
        self._general = Graph(bundle.model_path(GENERAL_DECODER), general, threads=decoder_threads)
        self._expert = {
            name: Graph(bundle.model_path(decoder_name(name)), [logits], threads=decoder_threads)
            for name in self._experts
        }
        self._gate = Graph(bundle.model_path(GATE), [scores], threads=1) if self._experts else None

    def _warm_up(self) -> None:
        manifest = self._bundle.manifest
        model, side = manifest.model, manifest.window.side
        self._encoder.warm_up({"image": np.zeros((1, 1, side, side, side), np.float32)})
        embedding = np.zeros((1, model.embedding_channels) + (model.grid,) * 3, np.float16)
        centre = [[side / 2] * 3]
        feed = _feed(embedding, decoder_inputs(centre, [1], None, None, manifest.window_rule()))
        for graph in (self._general, *self._expert.values()):
            graph.warm_up(feed)
        if self._gate is not None:
            self._gate.warm_up({"gate_features": np.zeros((1, model.gate_features), np.float32)})

    def _encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        embedding: NDArray[np.float16] = self._encoder.run({"image": image})[0]
        return embedding

    def _decode(
        self, embedding: NDArray[np.float16], inputs: DecoderInputs, choice: Choice
    ) -> tuple[dict[str, Logits], Route]:
        feed = _feed(embedding, inputs)
        if choice.expert in self._expert:
            expert: Logits = self._expert[choice.expert].run(feed)[0][0, 0]
            return {"expert": expert}, Route(used=choice.expert)
        answer = self._general.run(feed)
        general: Logits = answer[0][0, 0]
        if choice.expert != AUTO or self._gate is None:
            return {"general": general}, Route(used=GENERAL)
        scores = self._gate.run({"gate_features": answer[1]})[0][0]
        manifest = self._bundle.manifest
        tau = manifest.routing.tau["clicks"] if choice.tau is None else choice.tau
        best = select(scores, tau)
        assert best is not None
        top = self._experts[best.index]
        by_name = dict(zip(self._experts, scores.tolist(), strict=True))
        candidates = {"general": general}
        if best.passes:
            candidates["expert"] = self._expert[top].run(feed)[0][0, 0]
            candidates["fused"] = fuse(
                general, candidates["expert"], best.s_top, manifest.routing.fusion
            )
        used = top if best.passes else GENERAL
        return candidates, Route(used, best.passes, by_name, top, best.s_top, tau)


def _feed(
    embedding: NDArray[np.float16], inputs: DecoderInputs
) -> dict[str, NDArray[np.float16] | NDArray[np.float32] | NDArray[np.int32]]:
    return {
        "embedding": embedding,
        "coords": inputs.coords,
        "labels": inputs.labels,
        "mask": inputs.mask,
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
