"""The bundle's decision between general and expert mask, from candidates that are there already."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sammoe.bundle import PROMPT_KINDS, Routing
from sammoe.engine import GENERAL, Decoded, DecoderInputs, Route
from sammoe.engine.selector import Decision, decide, prompt_kind

Logits = NDArray[np.float32]


def decision(
    general: Logits,
    expert: Logits,
    route: Route,
    inputs: DecoderInputs,
    side: int,
    routing: Routing,
) -> Decision:
    """What the selector makes of both masks.

    Parameters
    ----------
    general, expert
        Logits [L, L, L].
    route
        Which expert's it is, and its score.
    side
        Of the window, voxels.
    """
    assert route.top is not None
    assert route.s_top is not None
    kind, tokens = prompt_kind(inputs.labels), (inputs.coords, inputs.labels)
    return decide(general, expert, route.s_top, kind, *tokens, side, routing, name=route.top)


def decided(looked: Decoded, inputs: DecoderInputs, side: int, routing: Routing) -> Decoded:
    """What serving answers, where every candidate was looked at."""
    general, expert = looked.candidates["general"], looked.candidates.get("expert")
    route = looked.route
    if expert is None or route.top is None or route.s_top is None:
        return Decoded({"general": general}, route, looked.queue_ms)
    found = decision(general, expert, route, inputs, side, routing)
    route = replace(
        route,
        used=route.top if found.fused else GENERAL,
        fused=found.fused,
        tau=routing.tau[prompt_kind(inputs.labels)],
        check=found.check,
        agreement=found.agreement,
    )
    candidates = {"general": general, "expert": expert}
    if found.fused:
        candidates["fused"] = found.logits
    return Decoded(candidates, route, looked.queue_ms)


def always(routing: Routing) -> Routing:
    """The same, but every top expert's mask is mixed in."""
    free = {"tau": dict.fromkeys(PROMPT_KINDS, 0.0), "slack": dict.fromkeys(PROMPT_KINDS)}
    return routing.model_copy(update=free | {"own_slack": {}})
