"""The engine of this process: ONNX Runtime on the CPU."""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER, GATE, GENERAL_DECODER, Bundle, decoder_name
from sammoe.bundle.features import load_reference
from sammoe.engine.choice import AUTO, GENERAL, Choice, check_choice
from sammoe.engine.familiarity import Familiarity
from sammoe.engine.inputs import DecoderInputs, decoder_inputs
from sammoe.engine.memory import give_back_freed
from sammoe.engine.protocol import Decoded
from sammoe.engine.route import Route
from sammoe.engine.runtime import Graph, OutputSpec
from sammoe.engine.selector import decide, pooled, prompt_kind, rival, select, wins
from sammoe.engine.workers import Load, WorkerPool
from sammoe.errors import EngineError
from sammoe.volume.volume import Modality

_GraphKey = tuple[str, tuple[OutputSpec, ...], int]
"""Folder of a model, which names its digest, what is asked of it, and its threads."""

FEATURES = "gate_features"
"""Output of the general decoder, input of a gate of heads."""

Logits = NDArray[np.float32]
Feed = Mapping[str, NDArray[Any]]

_log = logging.getLogger(__name__)


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

    Parameters
    ----------
    bundle
        What to run.
    options
        Threads and queues.
    like
        An engine whose loaded graphs are used again where a model is the same in both bundles.

    Raises
    ------
    BundleInvalid
        A graph or the reference features can not be loaded or do not fit the manifest; the
        detail names the file.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions | None = None,
        like: "LocalEngine | None" = None,
    ) -> None:
        options = options or EngineOptions()
        self._bundle = bundle
        self._graphs: dict[_GraphKey, Graph] = {}
        self._loaded = {} if like is None else like._graphs
        self._experts = [expert.name for expert in bundle.manifest.experts]
        reference = load_reference(bundle)
        self._familiarity = None if reference is None else Familiarity(reference)
        self._gate_reads_features = bundle.manifest.routing.gate == "heads"
        self._load(options.encoder_threads or _cores(), options.decoder_threads or _cores())
        self._warm_up()
        self._loaded = {}
        give_back_freed()
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

    @property
    def loads(self) -> Mapping[str, Load]:
        """See `Engine.loads`."""
        return {"encoder": self._encoders.load, "decoder": self._decoders.load}

    @property
    def missing(self) -> frozenset[str]:
        """See `Engine.missing`: none, for all were loaded before it was made."""
        return frozenset()

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See `Engine.encode`."""
        ran = await self._encoders.run(lambda: self._encode(image))
        return ran.value

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        """See `Engine.decode`."""
        check_choice(choice, self._bundle.manifest)
        ran = await self._decoders.run(lambda: self._decode(embedding, inputs, choice, modality))
        candidates, route = ran.value
        return Decoded(candidates, route, ran.queue_ms)

    async def check_ready(self) -> None:
        """See `Engine.check_ready`: what was made is loaded and warm."""

    async def close(self, *, unload: Collection[str] = ()) -> None:
        """See `Engine.close`; a model is freed with the last engine that has it."""
        await asyncio.gather(self._encoders.close(), self._decoders.close())

    def _load(self, encoder_threads: int, decoder_threads: int) -> None:
        model = self._bundle.manifest.model
        grid, cells = (model.grid,) * 3, (model.cells,) * 3
        embedding = OutputSpec("embedding", np.float16, (1, model.embedding_channels, *grid))
        logits = OutputSpec("logits", np.float32, (1, 1, *cells))
        features = OutputSpec(FEATURES, np.float32, (1, model.gate_features))
        scores = OutputSpec("scores", np.float32, (1, len(self._experts)))
        # The names' order is that of the outputs in `_run_general`.
        wanted = (self._experts and self._gate_reads_features) or self._familiarity is not None
        general = [logits, features] if wanted else [logits]
        self._encoder = self._graph(ENCODER, [embedding], encoder_threads)
        self._general = self._graph(GENERAL_DECODER, general, decoder_threads)
        self._expert = {
            name: self._graph(decoder_name(name), [logits], decoder_threads)
            for name in self._experts
        }
        self._gate = self._graph(GATE, [scores], threads=1) if self._experts else None

    def _graph(self, plain: str, outputs: list[OutputSpec], threads: int) -> Graph:
        key = (self._bundle.manifest.models[plain], tuple(outputs), threads)
        graph = self._loaded.get(key) or Graph(
            self._bundle.model_path(plain), outputs, threads=threads
        )
        self._graphs[key] = graph
        return graph

    def _warm_up(self) -> None:
        manifest = self._bundle.manifest
        model, side = manifest.model, manifest.window.side
        self._encoder.warm_up({"image": np.zeros((1, 1, side, side, side), np.float32)})
        embedding = np.zeros((1, model.embedding_channels) + (model.grid,) * 3, np.float16)
        centre = [[side / 2] * 3]
        inputs = decoder_inputs(centre, [1], None, None, manifest.window_rule())
        feed = inputs.with_embedding(embedding)
        for graph in (self._general, *self._expert.values()):
            graph.warm_up(feed)
        if self._gate is not None:
            features = {FEATURES: np.zeros((1, model.gate_features), np.float32)}
            self._gate.warm_up(features if self._gate_reads_features else feed)

    def _encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        embedding: NDArray[np.float16] = self._encoder.run({"image": image})[0]
        return embedding

    def _decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality,
    ) -> tuple[dict[str, Logits], Route]:
        feed = inputs.with_embedding(embedding)
        if choice.expert in self._expert:
            return {"expert": self._run_expert(choice.expert, feed)}, Route(used=choice.expert)
        general, features = self._run_general(feed)
        route = Route(used=GENERAL, distance=self._distance(features))
        if choice.expert != AUTO or self._gate is None:
            return {"general": general}, route
        asked = feed if features is None or not self._gate_reads_features else {FEATURES: features}
        scores = self._gate.run(asked)[0][0]
        if self._gate_reads_features:
            scores = pooled(scores, choice.earlier)
        routing, kind = self._bundle.manifest.routing, prompt_kind(inputs.labels)
        tau = routing.tau[kind] if choice.tau is None else choice.tau
        route = replace(
            route, scores=dict(zip(self._experts, scores.tolist(), strict=True)), tau=tau
        )
        allowed = self._allowed(modality, choice.only)
        best = select(scores, tau, allowed)
        if best is None:
            return {"general": general}, route
        top = self._experts[best.index]
        route = replace(route, top=top, s_top=best.s_top)
        if not best.passes:
            return {"general": general}, route
        try:
            expert = self._run_expert(top, feed)
        except EngineError as error:
            _log.warning("the general mask answers: expert %s failed: %s", top, error)
            return {"general": general}, replace(route, check="failed")
        side, tokens = self._bundle.manifest.window.side, (inputs.coords, inputs.labels)
        second = rival(scores, best, allowed, kind) if self._gate_reads_features else None
        if second is not None:
            name = self._experts[second.index]
            other = self._try_expert(name, feed)
            if other is not None and wins(second, expert, other, *tokens, side):
                top, expert, route = name, other, replace(route, top=name)
        decision = decide(general, expert, best.s_top, kind, *tokens, side, routing, tau, name=top)
        route = replace(route, check=decision.check, agreement=decision.agreement)
        candidates = {"general": general, "expert": expert}
        if not decision.fused:
            return candidates, route
        return {**candidates, "fused": decision.logits}, replace(route, used=top, fused=True)

    def _run_general(self, feed: Feed) -> tuple[Logits, NDArray[np.float32] | None]:
        """Logits [L, L, L] and, where anybody reads them, features [1, F]."""
        outputs = self._general.run(feed)
        return outputs[0][0, 0], outputs[1] if len(outputs) > 1 else None

    def _run_expert(self, name: str, feed: Feed) -> Logits:
        logits: Logits = self._expert[name].run(feed)[0][0, 0]
        return logits

    def _try_expert(self, name: str, feed: Feed) -> Logits | None:
        try:
            return self._run_expert(name, feed)
        except EngineError as error:
            _log.warning("the best expert by score answers: expert %s failed: %s", name, error)
            return None

    def _distance(self, features: NDArray[np.float32] | None) -> float | None:
        if self._familiarity is None or features is None:
            return None
        return float(self._familiarity.distances(features)[0])

    def _allowed(self, modality: Modality, only: str | None) -> list[bool]:
        """Which experts do not exclude the scan's modality; of them perhaps one alone."""
        return [
            expert.takes(modality) and only in (None, expert.name)
            for expert in self._bundle.manifest.experts
        ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
