"""The selector as a model of Triton's python backend: it asks the others, checks, and fuses.

A bundle holds this file as ``selector-<digest>/1/model.py``; beside it lie a copy of the module
``selector``, which it decides by, and the bundle's manifest, which says whom to ask. So Triton's
interpreter needs nothing of ours installed. Requests and answers are those of
`sammoe.engine.triton`, and the answer equals that of `sammoe.engine.local.LocalEngine`.

Tensors go from model to model as they come, wherever they lie: on a GPU an embedding is never
copied to the host. Where the interpreter has torch or CuPy and the model a GPU, masks stay there,
too: they come through DLPack, are checked and fused where they lie, and go out as they are. Else
they are asked for in the host's memory, and fused there.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# Relative, because here and in a bundle it lies beside this file, under different package names.
from .selector import Check, decide, library, pooled, prompt_kind, rival, select, wins

AUTO, GENERAL = "auto", "general"
UNKNOWN_MODALITY = "unknown"
FEATURES = "gate_features"

Logits = Any
"""float32 [L, L, L], an array of numpy, or one of torch's or CuPy's on a GPU."""

Route = dict[str, Any]


class Failed(Exception):
    """No answer; the message starts with a code of `sammoe.errors` where it is not the engine's
    failure in general."""


class Foreign(Failed):
    """The request was made for another bundle."""


class TritonPythonModel:
    """What the backend makes of each instance."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the manifest, and refuse an interpreter whose arrays would be silently wrong."""
        check_arrays()
        self._on_device = device_library(args)
        self._memory = pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0)
        if self._on_device is not None:
            device = int(args["model_instance_device_id"])
            self._memory = pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_GPU, device)
        text = (Path(__file__).parent / "bundle.json").read_bytes()
        self._digest = hashlib.sha256(text).hexdigest()
        manifest = json.loads(text)
        self._models: dict[str, str] = manifest["models"]
        self._experts = {e["name"]: e["modalities"] for e in manifest["experts"]}
        self._routing = SimpleNamespace(**({"own_slack": {}} | manifest["routing"]))
        self._side: int = manifest["window"]["side"]
        ships = f"{self._models['decoder_general']}/{FEATURES}.npz" in manifest["files"]
        self._heads = bool(self._experts) and self._routing.gate == "heads"
        self._outputs = ["logits", FEATURES] if ships or self._heads else ["logits"]

    async def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer all requests side by side."""
        return list(await asyncio.gather(*map(self._respond, requests)))

    async def _respond(self, request: Any) -> Any:
        inputs = {tensor.name(): tensor for tensor in request.inputs()}
        asked = json.loads(inputs.pop("request").as_numpy()[0])
        try:
            if asked["bundle"] != self._digest:
                raise Foreign("this selector belongs to another bundle than the request")
            masks, route, features = await self._answer(list(inputs.values()), inputs, asked)
        except Failed as error:
            code = pb_utils.TritonError.INTERNAL
            if isinstance(error, Foreign):
                code = pb_utils.TritonError.INVALID_ARG
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), code))
        route["candidates"] = list(masks)
        outputs = [
            stacked("masks", list(masks.values())),
            pb_utils.Tensor("route", np.array([json.dumps(route).encode()], np.object_)),
        ]
        if features is not None:
            outputs.append(pb_utils.Tensor(FEATURES, host(self._values(features))))
        return pb_utils.InferenceResponse(outputs)

    async def _answer(
        self, feed: Sequence[Any], inputs: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> tuple[dict[str, Logits], Route, Any]:
        """Masks by candidate, the route, and the gate's features as a tensor or None."""
        name = asked["expert"]
        if name in self._experts:
            return {"expert": await self._expert(name, feed, asked)}, {"used": name}, None
        route: Route = {"used": GENERAL}
        if name != AUTO or not self._experts:
            general, features = await self._general(feed)
            return {"general": general}, route, features
        labels = host(self._values(inputs["labels"]))
        kind = prompt_kind(labels)
        tau = self._routing.tau[kind] if asked["tau"] is None else asked["tau"]
        if self._heads:
            general, features = await self._general(feed)
            scores = pooled(await self._scores([features]), asked.get("earlier", ()))
        else:
            scores = await self._scores(feed)
        route |= {"scores": dict(zip(self._experts, scores.tolist(), strict=True)), "tau": tau}
        allowed, names = self._allowed(asked["modality"], asked.get("only")), list(self._experts)
        best = select(scores, tau, allowed)
        wanted, second = [], None
        if best is not None and best.passes:
            second = rival(scores, best, allowed, kind) if self._heads else None
            wanted = [names[found.index] for found in (best, second) if found is not None]
        if self._heads:
            experts = await self._tried(wanted, feed, asked)
        else:
            # All at once: this gate does not wait for the general decoder.
            (general, features), experts = await asyncio.gather(
                self._general(feed), self._tried(wanted, feed, asked)
            )
        masks: dict[str, Logits] = {"general": general}
        if best is None:
            return masks, route, features
        top = names[best.index]
        route |= {"top": top, "s_top": best.s_top}
        if not experts:
            return masks, route, features
        expert = experts[0]
        if isinstance(expert, Failed):
            failed: Check = "failed"
            return masks, route | {"check": failed, "failure": str(expert)}, features
        tokens, side = (host(self._values(inputs["coords"])), labels), self._side
        if second is not None:
            name, other = names[second.index], experts[1]
            if isinstance(other, Failed):
                route["rival_failure"] = f"expert {name} failed: {other}"
            else:
                expert, other = together(expert, other)
                if wins(second, expert, other, *tokens, side):
                    top, expert, route = name, other, route | {"top": name}
        general, expert = together(general, expert)
        masks["general"] = general
        routing = self._routing
        decision = decide(general, expert, best.s_top, kind, *tokens, side, routing, tau, name=top)
        route |= {"check": decision.check, "agreement": decision.agreement}
        masks["expert"] = expert
        if decision.fused:
            route |= {"used": top, "fused": True}
            masks["fused"] = decision.logits
        return masks, route, features

    async def _general(self, feed: Sequence[Any]) -> tuple[Logits, Any]:
        outputs = await self._ask("decoder_general", feed, self._outputs)
        return self._values(outputs[0])[0, 0], outputs[1] if len(outputs) > 1 else None

    async def _scores(self, feed: Sequence[Any]) -> NDArray[np.float32]:
        (scores,) = await self._ask("gate", feed, ["scores"])
        found: NDArray[np.float32] = host(self._values(scores))[0]
        return found

    async def _expert(self, name: str, feed: Sequence[Any], asked: Mapping[str, Any]) -> Logits:
        if name in asked["down"]:
            raise Failed(f"expert {name} is out of order")
        (logits,) = await self._ask(f"decoder_{name}", feed, ["logits"])
        return self._values(logits)[0, 0]

    async def _tried(
        self, names: Sequence[str], feed: Sequence[Any], asked: Mapping[str, Any]
    ) -> list[Logits | Failed]:
        """Experts' masks, or why there is none: then another mask is the answer."""

        async def one(name: str) -> Logits | Failed:
            try:
                return await self._expert(name, feed, asked)
            except Failed as error:
                return error

        return list(await asyncio.gather(*map(one, names)))

    async def _ask(self, plain: str, inputs: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
        """Outputs of another model, in the memory that is worked in, finite."""
        request = pb_utils.InferenceRequest(
            model_name=self._models[plain],
            requested_output_names=list(outputs),
            inputs=list(inputs),
            preferred_memory=self._memory,
        )
        response = await request.async_exec()
        if response.has_error():
            raise Failed(f"{self._models[plain]}: {response.error().message()}")
        found = [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]
        for name, tensor in zip(outputs, found, strict=True):
            values = self._values(tensor)
            if not library(values).isfinite(values).all():
                raise Failed(
                    "engine_output_invalid: The model answered with NaN or Inf in"
                    f" {name} of {self._models[plain]}."
                )
        return found

    def _values(self, tensor: Any) -> Any:
        """A tensor as an array that lies where it does."""
        if tensor.is_cpu():
            return tensor.as_numpy()
        if self._on_device is None:
            raise Failed(f"{tensor.name()} lies on a GPU, where nothing here can read it")
        return self._on_device.from_dlpack(tensor)

    def _allowed(self, modality: str, only: str | None) -> list[bool]:
        """Which experts do not exclude the scan's modality; of them perhaps one alone."""
        return [
            (modality == UNKNOWN_MODALITY or modality in modalities) and only in (None, name)
            for name, modalities in self._experts.items()
        ]


def device_library(args: Mapping[str, str]) -> Any:
    """torch or CuPy, where this instance has a GPU and they do; else None."""
    if args["model_instance_kind"] == "GPU":
        for name in ("torch", "cupy"):
            with suppress(ImportError):
                found = import_module(name)
                if found.cuda.is_available():
                    return found
    return None


def host(values: Any) -> NDArray[Any]:
    """Values in the host's memory; those that lie elsewhere are few, and float32."""
    if isinstance(values, np.ndarray):
        return values
    return np.array(values.tolist(), np.float32)


def together(one: Logits, other: Logits) -> tuple[Logits, Logits]:
    """Two masks in one memory: one may have come to the host though it was asked not to."""
    if type(one) is type(other):
        return one, other
    return host(one), host(other)


def stacked(name: str, arrays: Sequence[Any]) -> Any:
    """A tensor of several arrays, which lies where they do."""
    if isinstance(arrays[0], np.ndarray):
        return pb_utils.Tensor(name, np.stack(arrays))
    return pb_utils.Tensor.from_dlpack(name, library(arrays[0]).stack(arrays))


def check_arrays() -> None:
    """Arrays must survive the way into a tensor and back.

    With numpy 2 in a server built for numpy 1 they do not, and nothing else tells.

    Raises
    ------
    RuntimeError
        They do not.
    """
    known = np.arange(6, dtype=np.float32).reshape(2, 3)
    if not np.array_equal(np.from_dlpack(pb_utils.Tensor("known", known)), known):
        raise RuntimeError(f"numpy {np.__version__} does not fit this Triton")
