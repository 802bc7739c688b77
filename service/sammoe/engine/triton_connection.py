"""Calls to a Triton server: a deadline on each, and errors that say what is wrong with whom."""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from sammoe.engine.triton_shared import Place, RegionUnknown, SharedInputs
from sammoe.errors import DeadlineExceeded, EngineBusy, EngineError, EngineOutputInvalid
from sammoe.telemetry import carrier, span

LOAD_SECONDS: Final = 120.0
"""Deadline for loading a model."""

ASK_SECONDS: Final = 5.0
"""Deadline for a question about the server."""

_CHANNEL: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # After a restart the server is found again within half a second, not after minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A connection that is up but dead is noticed.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

_DEAD: Final = re.compile(r"Stub process '([\w.-]+?)(?:_\d+)+' is not healthy")
_MISSING: Final = re.compile(r"(?:unknown model: |[Mm]odel )'([\w.-]+)'(?:, version -?\d+)?")


class ServerGone(EngineError):
    """No connection to the server, or it broke."""


class ModelOut(EngineError):
    """A model does not answer, for its process is dead or it is not loaded.

    Parameters
    ----------
    model
        Its folder's name.
    dead
        Whether it counts as loaded all the same: then it must be unloaded first.
    """

    def __init__(self, detail: str, model: str, *, dead: bool) -> None:
        super().__init__(detail)
        self.model = model
        self.dead = dead


class Connection:
    """One channel to a server; make it where an event loop runs.

    Every method raises `ServerGone` where there is no connection, and `EngineError` for any other
    failure. A call whose task is cancelled is cancelled at the server too.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC port.
    shared
        Memory for large inputs, if the server is on this machine; closed with the channel.
    """

    def __init__(self, url: str, shared: SharedInputs | None = None) -> None:
        self._url = url
        self._client = self._connected()
        self._retired: set[asyncio.Task[None]] = set()
        self._shared = shared

    def renew(self, since: float) -> None:
        """Take another channel, unless that was done ``since`` (`time.monotonic`).

        A channel may stall while the server is well. Calls under way on the old one are finished
        there.
        """
        if since < self._made:
            return
        old, self._client = self._client, self._connected()
        task = asyncio.create_task(_retire(old))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def infer(
        self, model: str, inputs: Mapping[str, NDArray[Any]], seconds: float
    ) -> dict[str, NDArray[Any]]:
        """Run a model within ``seconds``; every output that it gave, by name.

        Raises
        ------
        ModelOut
            This model, or one that it asks, does not answer.
        EngineBusy
            The server's queue for it is full.
        EngineOutputInvalid
            A model that it asks answered with NaN or Inf.
        """
        inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        if self._shared is not None:
            with suppress(RegionUnknown):  # the server has been started since, and is told anew
                async with self._shared.holding(self._client, inputs) as places:
                    return await self._infer(model, inputs, places, seconds)
        return await self._infer(model, inputs, {}, seconds)

    async def _infer(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        places: Mapping[str, Place],
        seconds: float,
    ) -> dict[str, NDArray[Any]]:
        tensors = [_tensor(name, value, places.get(name)) for name, value in inputs.items()]
        with span("triton", model=model):
            try:
                result = await self._client.infer(
                    model,
                    tensors,
                    client_timeout=seconds,
                    timeout=int(seconds * 1e6),
                    headers=carrier() or None,
                )
            except InferenceServerException as error:
                raise failure(error) from error
        names = [output.name for output in result.get_response().outputs]
        return {name: result.as_numpy(name) for name in names}

    async def ready_models(self) -> set[str]:
        """Names of the models that are loaded."""
        try:
            index = await self._client.get_model_repository_index(client_timeout=ASK_SECONDS)
        except InferenceServerException as error:
            raise failure(error) from error
        return {model.name for model in index.models if model.state == "READY"}

    async def runs(self) -> dict[str, int]:
        """How often each model that is loaded has run since then, its warm-up included."""
        try:
            answer = await self._client.get_inference_statistics(client_timeout=ASK_SECONDS)
        except InferenceServerException as error:
            raise failure(error) from error
        return {model.name: int(model.inference_count) for model in answer.model_stats}

    async def load(self, model: str) -> None:
        """Load a model; one that is loaded as its files are stays as it is."""
        try:
            await self._client.load_model(model, client_timeout=LOAD_SECONDS)
        except InferenceServerException as error:
            raise failure(error) from error

    async def unload(self, model: str) -> None:
        """Unload a model."""
        try:
            await self._client.unload_model(model, client_timeout=LOAD_SECONDS)
        except InferenceServerException as error:
            raise failure(error) from error

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        if self._shared is not None:
            await self._shared.close(self._client)
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        await self._client.close()

    def _connected(self) -> InferenceServerClient:
        self._made = time.monotonic()
        # Its own connection: channels of one address share one otherwise.
        options = [*_CHANNEL, ("grpc.use_local_subchannel_pool", 1)]
        return InferenceServerClient(self._url, channel_args=options)


async def _retire(client: InferenceServerClient) -> None:
    """Close a client when no call can be under way on it any more, or at the end."""
    try:
        await asyncio.sleep(LOAD_SECONDS)
    finally:
        await client.close()


def failure(error: InferenceServerException) -> EngineError:
    """What an exception of Triton's client means."""
    text, status = str(error.message() or ""), str(error.status() or "")
    if invalid := text.partition(f"{EngineOutputInvalid.code}: ")[2]:
        return EngineOutputInvalid(invalid.strip())
    if "shared memory region" in text:
        return RegionUnknown(f"Triton failed: {_first_line(text)}")
    if out := model_out(text):
        return out
    if "DEADLINE_EXCEEDED" in status:
        return DeadlineExceeded("Triton did not answer in time; try again.")
    if "RESOURCE_EXHAUSTED" in status or "Exceeds maximum queue size" in text:
        return EngineBusy("Triton's queue is full; try again.")
    if "UNAVAILABLE" in status:
        return ServerGone("Triton can not be reached; try again.")
    return EngineError(f"Triton failed: {_first_line(text)}")


def model_out(text: str) -> ModelOut | None:
    """The model that a message says is dead or missing."""
    if dead := _DEAD.search(text):
        return ModelOut(f"{dead[1]} has died on Triton.", dead[1], dead=True)
    if missing := _MISSING.search(text):
        return ModelOut(f"Triton has not loaded {missing[1]}.", missing[1], dead=False)
    return None


def _tensor(name: str, value: NDArray[Any], place: Place | None) -> InferInput:
    tensor = InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    if place is None:
        tensor.set_data_from_numpy(value)
    else:
        tensor.set_shared_memory(place.region, place.size, place.offset)
    return tensor


def _first_line(text: str) -> str:
    return (text.splitlines() or ["no reason given"])[0]
