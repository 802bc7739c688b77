"""The selector as a model of Triton's python backend: it asks the others, checks, and fuses.

A bundle holds this file as ``selector-<digest>/1/model.py``; beside it lie a copy of the module
``selector``, which it decides by, and the bundle's manifest, which says whom to ask. So Triton's
interpreter needs nothing of ours installed. Requests and answers are those of
`sammoe.engine.triton`, and the answer equals that of `sammoe.engine.local.LocalEngine`.

Tensors go from model to model as they come, wherever they lie: on a GPU an embedding is never
copied to the host. What is decided by, some 100 KB of logits, is asked for in the host's memory.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# Relative, because here and in a bundle it lies beside this file, under different package names.
from .selector import Check, decide, prompt_kind, select

AUTO, GENERAL = "auto", "general"
UNKNOWN_MODALITY = "unknown"
FEATURES = "gate_features"

Logits = NDArray[np.float32]
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
        text = (Path(__file__).parent / "bundle.json").read_bytes()
        self._digest = hashlib.sha256(text).hexdigest()
        manifest = json.loads(text)
        self._models: dict[str, str] = manifest["models"]
        self._experts = {e["name"]: e["modalities"] for e in manifest["experts"]}
        self._routing = SimpleNamespace(**manifest["routing"])
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
            pb_utils.Tensor("masks", np.stack(list(masks.values()))),
            pb_utils.Tensor("route", np.array([json.dumps(route).encode()], np.object_)),
        ]
        if features is not None:
            outputs.append(pb_utils.Tensor(FEATURES, array(features)))
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
        labels = array(inputs["labels"])
        kind = prompt_kind(labels)
        tau = self._routing.tau[kind] if asked["tau"] is None else asked["tau"]
        if self._heads:
            general, features = await self._general(feed)
            scores = await self._scores([features])
        else:
            scores = await self._scores(feed)
        route |= {"scores": dict(zip(self._experts, scores.tolist(), strict=True)), "tau": tau}
        best = select(scores, tau, self._allowed(asked["modality"]))
        top = None if best is None else list(self._experts)[best.index]
        wanted = best is not None and best.passes
        expert: Logits | Failed | None = None
        if self._heads:
            expert = await self._tried(top, feed, asked) if wanted else None
        else:
            # Both at once: this gate does not wait for the general decoder.
            (general, features), expert = await asyncio.gather(
                self._general(feed), self._tried(top if wanted else None, feed, asked)
            )
        masks: dict[str, Logits] = {"general": general}
        if best is None:
            return masks, route, features
        route |= {"top": top, "s_top": best.s_top}
        if expert is None:
            return masks, route, features
        if isinstance(expert, Failed):
            failed: Check = "failed"
            return masks, route | {"check": failed, "failure": str(expert)}, features
        tokens = (array(inputs["coords"]), labels)
        side, routing = self._side, self._routing
        decision = decide(general, expert, best.s_top, kind, *tokens, side, routing, tau)
        route |= {"check": decision.check, "agreement": decision.agreement}
        masks["expert"] = expert
        if decision.fused:
            route |= {"used": top, "fused": True}
            masks["fused"] = decision.logits
        return masks, route, features

    async def _general(self, feed: Sequence[Any]) -> tuple[Logits, Any]:
        outputs = await self._ask("decoder_general", feed, self._outputs)
        return array(outputs[0])[0, 0], outputs[1] if len(outputs) > 1 else None

    async def _scores(self, feed: Sequence[Any]) -> NDArray[np.float32]:
        (scores,) = await self._ask("gate", feed, ["scores"])
        found: NDArray[np.float32] = array(scores)[0]
        return found

    async def _expert(self, name: str, feed: Sequence[Any], asked: Mapping[str, Any]) -> Logits:
        if name in asked["down"]:
            raise Failed(f"expert {name} is out of order")
        (logits,) = await self._ask(f"decoder_{name}", feed, ["logits"])
        found: Logits = array(logits)[0, 0]
        return found

    async def _tried(
        self, name: str | None, feed: Sequence[Any], asked: Mapping[str, Any]
    ) -> Logits | Failed | None:
        """An expert's mask, or why there is none: then the general mask is the answer."""
        if name is None:
            return None
        try:
            return await self._expert(name, feed, asked)
        except Failed as error:
            return error

    async def _ask(self, plain: str, inputs: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
        """Outputs of another model, in the host's memory, finite."""
        request = pb_utils.InferenceRequest(
            model_name=self._models[plain],
            requested_output_names=list(outputs),
            inputs=list(inputs),
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = await request.async_exec()
        if response.has_error():
            raise Failed(f"{self._models[plain]}: {response.error().message()}")
        found = [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]
        for name, tensor in zip(outputs, found, strict=True):
            if not np.isfinite(array(tensor)).all():
                raise Failed(
                    "engine_output_invalid: The model answered with NaN or Inf in"
                    f" {name} of {self._models[plain]}."
                )
        return found

    def _allowed(self, modality: str) -> list[bool]:
        """Which experts do not exclude the scan's modality."""
        return [modality == UNKNOWN_MODALITY or modality in m for m in self._experts.values()]


def array(tensor: Any) -> NDArray[Any]:
    """A tensor's values in the host's memory."""
    if tensor.is_cpu():
        values: NDArray[Any] = tensor.as_numpy()
        return values
    # There is one where there is a GPU; else no tensor lies on it. The serving install has none.
    dlpack = import_module("torch.utils.dlpack")
    found: NDArray[Any] = dlpack.from_dlpack(tensor.to_dlpack()).cpu().numpy()
    return found


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
