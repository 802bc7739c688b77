"""The engine on a Triton server: gate, decoders and selector run there, in one request."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import ENCODER, GATE, GENERAL_DECODER, Bundle, decoder_name
from sammoe.bundle.features import load_reference
from sammoe.bundle.selector import is_current
from sammoe.engine.choice import GENERAL, Choice, check_choice
from sammoe.engine.familiarity import Familiarity
from sammoe.engine.inputs import DecoderInputs, decoder_inputs
from sammoe.engine.protocol import Decoded
from sammoe.engine.route import Route
from sammoe.engine.triton_connection import Connection, ModelOut, ServerGone, model_out
from sammoe.engine.triton_shared import SharedMemory, shared_inputs
from sammoe.engine.watchdog import Watchdog
from sammoe.engine.workers import Load
from sammoe.errors import (
    BundleInvalid,
    DeadlineExceeded,
    EngineBusy,
    EngineError,
    EngineOutputInvalid,
)
from sammoe.volume.volume import Modality

T = TypeVar("T")

READY_SECONDS: Final = 1.0
"""An answer that young shows that the server can answer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TritonOptions:
    """Deadlines and bounds of a `TritonEngine`.

    Attributes
    ----------
    encode_seconds, decode_seconds
        How long a call may take in all, a retry included.
    encodes, decodes
        How many may be under way at the server; beyond that the engine is busy.
    shared_memory
        In which memory a server on this machine is given large inputs.
    """

    encode_seconds: float = 60.0
    decode_seconds: float = 10.0
    encodes: int = 17
    decodes: int = 66
    shared_memory: SharedMemory = "off"


class TritonEngine:
    """Runs a bundle on a Triton server; implements `sammoe.engine.protocol.Engine`.

    Make it where an event loop runs. The server need not be up: until it is, calls raise
    `EngineError`. Its answers equal those of `LocalEngine` where it runs the same ONNX Runtime on
    the CPU, and the bundle's selector is of this version; of another one it warns. Encoding and
    decoding change nothing, so a call that broke off with the connection, or with a model that had
    to be healed, is tried a second time, within its deadline.

    Parameters
    ----------
    bundle
        With a selector; the server has the same.
    url
        ``host:port`` of the server's gRPC port.

    Raises
    ------
    BundleInvalid
        The bundle has no selector.
    SettingsInvalid
        The memory that is to be shared needs what is not installed.
    """

    def __init__(self, bundle: Bundle, url: str, options: TritonOptions | None = None) -> None:
        manifest = bundle.manifest
        if manifest.selector is None:
            raise BundleInvalid(
                f"{bundle.path} has no selector for Triton: add it with sammoe bundle upgrade"
            )
        if not is_current(manifest):
            _log.warning(
                "the bundle's selector is of another version of this program, and may decide"
                " otherwise: publish it anew, by sammoe bundle upgrade"
            )
        options = options or TritonOptions()
        self._bundle = bundle
        self._selector = manifest.selector
        reference = load_reference(bundle)
        self._familiarity = None if reference is None else Familiarity(reference)
        self._encodes = _Places("encoder", options.encodes, options.encode_seconds)
        self._decodes = _Places("decoder", options.decodes, options.decode_seconds)
        self._connection = Connection(url, shared_inputs(options.shared_memory))
        self._watchdog = Watchdog(self._connection, manifest.folders.values())
        self._answered = -READY_SECONDS
        self._closed = False

    @property
    def bundle(self) -> Bundle:
        """The bundle that is run."""
        return self._bundle

    @property
    def missing(self) -> frozenset[str]:
        """See `Engine.missing`: all of them where the server can not be reached."""
        return self._watchdog.models if self._watchdog.gone else self._watchdog.down

    @property
    def loads(self) -> Mapping[str, Load]:
        """See `Engine.loads`; what waits at the server counts as running."""
        return {"encoder": self._encodes.load, "decoder": self._decodes.load}

    async def encode(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        """See `Engine.encode`."""
        model = self._bundle.manifest.models[ENCODER]

        async def ask(seconds: float) -> NDArray[np.float16]:
            outputs = await self._connection.infer(model, {"image": image}, seconds)
            return self._embedding(outputs)

        return await self._call(ask, self._encodes)

    async def decode(
        self,
        embedding: NDArray[np.float16],
        inputs: DecoderInputs,
        choice: Choice,
        modality: Modality = Modality.UNKNOWN,
    ) -> Decoded:
        """See `Engine.decode`."""
        check_choice(choice, self._bundle.manifest)
        feed = inputs.with_embedding(embedding)

        async def ask(seconds: float) -> Decoded:
            began = time.monotonic()
            request = {"request": self._request(choice, modality)}
            outputs = await self._connection.infer(self._selector, feed | request, seconds)
            return self._decoded(outputs, began)

        decoded = await self._call(ask, self._decodes)
        self._answered = time.monotonic()
        return decoded

    async def check_ready(self) -> None:
        """See `Engine.check_ready`: the server has every model but experts, and decodes."""
        models = self._bundle.manifest.models
        needed = [self._selector, *(models[name] for name in self._plain_names())]
        if time.monotonic() - self._answered > READY_SECONDS:
            await self._probe()
        if out := self._watchdog.down.intersection(needed):
            raise EngineError(f"Triton has not loaded {', '.join(sorted(out))}.")

    async def close(self, *, unload: Collection[str] = ()) -> None:
        """See `Engine.close`."""
        self._closed = True
        await asyncio.gather(self._encodes.emptied(), self._decodes.emptied())
        await self._watchdog.close()
        for model in unload:
            try:
                await self._connection.unload(model)
            except EngineError as error:
                _log.warning("%s stays loaded on Triton: %s", model, error)
        await self._connection.close()

    async def _call(self, ask: Callable[[float], Awaitable[T]], places: "_Places") -> T:
        """Ask, and once more where that may help; ``ask`` is given its seconds."""
        if self._closed:
            raise EngineError("The service is shutting down.")
        with places.one():
            began = time.monotonic()
            end = began + places.seconds
            try:
                async with asyncio.timeout(places.seconds):
                    try:
                        return await ask(places.seconds)
                    except ServerGone:
                        pass
                    except ModelOut as out:
                        self._watchdog.report(out.model, dead=out.dead, since=began)
                        if not await self._watchdog.healed(out.model):
                            raise
                    return await ask(end - time.monotonic())
            except (TimeoutError, DeadlineExceeded):
                # Perhaps it was the channel alone that stalled.
                self._connection.renew(began)
                raise DeadlineExceeded("Triton did not answer in time; try again.") from None

    def _request(self, choice: Choice, modality: Modality) -> NDArray[np.object_]:
        """What the selector is asked beside the decoders' inputs."""
        manifest, down = self._bundle.manifest, self._watchdog.down
        names = [expert.name for expert in manifest.experts]
        asked = {
            "bundle": manifest.selector_digest,
            "expert": choice.expert,
            "tau": choice.tau,
            "only": choice.only,
            "earlier": choice.earlier,
            "modality": modality.value,
            "down": [name for name in names if manifest.models[decoder_name(name)] in down],
        }
        return np.array([json.dumps(asked).encode()], np.object_)

    def _decoded(self, outputs: Mapping[str, NDArray[Any]], began: float) -> Decoded:
        route: dict[str, Any] = json.loads(outputs["route"][0])
        names, masks = route.pop("candidates"), outputs["masks"]
        cells = self._bundle.manifest.model.cells
        if masks.shape != (len(names), cells, cells, cells) or masks.dtype != np.float32:
            raise EngineOutputInvalid(f"The selector's masks are {masks.dtype} {masks.shape}.")
        if failure := route.pop("failure", None):
            _log.warning("the general mask answers: expert %s failed: %s", route["top"], failure)
        if rival_failure := route.pop("rival_failure", None):
            _log.warning("the best expert by score answers: %s", rival_failure)
        if out := model_out(failure or rival_failure or ""):
            self._watchdog.report(out.model, dead=out.dead, since=began)
        features = outputs.get("gate_features")
        distance = None
        if self._familiarity is not None and features is not None:
            distance = float(self._familiarity.distances(features)[0])
        return Decoded(dict(zip(names, masks, strict=True)), Route(**route, distance=distance), 0.0)

    def _embedding(self, outputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float16]:
        model = self._bundle.manifest.model
        embedding = outputs["embedding"]
        shape = (1, model.embedding_channels) + (model.grid,) * 3
        if embedding.shape != shape or embedding.dtype != np.float16:
            raise EngineOutputInvalid(
                f"embedding is {embedding.dtype} {embedding.shape}, not float16 {shape}."
            )
        if not np.isfinite(embedding).all():
            raise EngineOutputInvalid(
                "The model answered with NaN or Inf in embedding of"
                f" {self._bundle.manifest.models[ENCODER]}."
            )
        return embedding

    def _plain_names(self) -> list[str]:
        """Models without which no click is answered."""
        return [ENCODER, GENERAL_DECODER, *([GATE] if self._bundle.manifest.experts else [])]

    async def _probe(self) -> None:
        """Decode a click in an empty window with the general decoder."""
        manifest = self._bundle.manifest
        model, rule = manifest.model, manifest.window_rule()
        embedding = np.zeros((1, model.embedding_channels) + (model.grid,) * 3, np.float16)
        inputs = decoder_inputs([[manifest.window.side / 2] * 3], [1], None, None, rule)
        await self.decode(embedding, inputs, Choice(GENERAL))


class _Places:
    """How many calls of a kind may be under way, and for how many seconds each."""

    def __init__(self, name: str, count: int, seconds: float) -> None:
        self._name = name
        self._free = count
        self._empty = asyncio.Event()
        self._empty.set()
        self._count = count
        self.seconds = seconds

    @property
    def load(self) -> Load:
        """How many are taken."""
        return Load(self._count - self._free, 0, self._count)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take one while the context lasts.

        Raises
        ------
        EngineBusy
            All are taken.
        """
        if self._free == 0:
            raise EngineBusy(f"Too many requests wait for Triton's {self._name}; try again.")
        self._free -= 1
        self._empty.clear()
        try:
            yield
        finally:
            self._free += 1
            if self._free == self._count:
                self._empty.set()

    async def emptied(self) -> None:
        """Wait until no call is under way."""
        await self._empty.wait()
