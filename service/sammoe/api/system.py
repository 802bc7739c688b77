"""Routes about the service itself: alive, ready, metrics, what it can do, its documentation."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from sammoe.api import examples
from sammoe.api.capabilities import Capabilities
from sammoe.api.documentation import answer, refusals, text
from sammoe.api.headers import DOCS_POLICY
from sammoe.api.pages import page
from sammoe.api.services import Caller, Services, json_answer
from sammoe.telemetry import METRICS_TYPE

router = APIRouter(tags=["system"])


@router.get(
    "/v1/capabilities",
    operation_id="getCapabilities",
    responses=answer(200, "what is served", Capabilities, examples.CAPABILITIES)
    | refusals(406, 429),
)
async def get_capabilities(call: Caller) -> Response:
    """What this service can do: its bundle, experts, window, formats and limits."""
    call.form()
    workspace = call.workspace
    servers = workspace.pacs.names
    return json_answer(Capabilities.of(workspace.bundle, call.services.settings, servers))


@router.get("/livez", operation_id="getLiveness", responses=text("alive", "text/plain"))
async def get_liveness() -> Response:
    """The process answers. Needs no key, and is answered even when the service is overloaded."""
    return Response("alive\n", media_type="text/plain")


@router.get(
    "/readyz",
    operation_id="getReadiness",
    responses=text("ready", "text/plain") | refusals(),
)
async def get_readiness(request: Request) -> Response:
    """The models are loaded and warm, and store and audit log can be written. Needs no key.

    Without the Redis that shares embeddings, and while the bundle that is active can not be had,
    the service is ready too, and says so.
    """
    services: Services = request.app.state.services
    workspace = services.workspace
    if services.audit is not None:
        services.audit.check()
    await workspace.health.check()
    words = ["ready"]
    if workspace.shared is not None and workspace.shared.counters.away:
        words.append("without Redis")
    if workspace.swaps.awaited is not None:
        words.append(f"bundle {workspace.swaps.awaited[:12]} awaited")
    return Response(", ".join(words) + "\n", media_type="text/plain")


@router.get(
    "/metrics",
    operation_id="getMetrics",
    responses=text("metrics", "text/plain") | refusals(),
)
async def get_metrics(call: Caller) -> Response:
    """Prometheus metrics. Needs a key like the rest when keys are configured."""
    return Response(call.services.telemetry.exposition(), headers={"Content-Type": METRICS_TYPE})


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> Response:
    """The API for people."""
    return HTMLResponse(
        page(request.app.openapi()), headers={"Content-Security-Policy": DOCS_POLICY}
    )
