"""The application: routers, layers around them, and the parts that they work with."""

from functools import partial
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from sammoe import __version__
from sammoe.access import Access
from sammoe.api import (
    dicomweb,
    monailabel,
    openapi,
    problems,
    proxy,
    results,
    segmentations,
    system,
    viewer,
    volumes,
)
from sammoe.api.audit_metrics import AuditMetrics
from sammoe.api.auditing import Auditing
from sammoe.api.bundle_metrics import BundleMetrics
from sammoe.api.cache_metrics import CacheMetrics
from sammoe.api.context import REQUEST_ID, RequestContext
from sammoe.api.dialects import dialects
from sammoe.api.doorkeeper import Doorkeeper
from sammoe.api.examples import SEGMENTATION_ID
from sammoe.api.health_metrics import HealthMetrics
from sammoe.api.idempotency import HEADER as IDEMPOTENCY_KEY
from sammoe.api.idempotency import REPLAYED
from sammoe.api.services import Services
from sammoe.api.timing import HEADER as SERVER_TIMING
from sammoe.audit import AuditLog, Deeds
from sammoe.segmentation import Leases, LeaseTerms, Segmented, Sharing, Workspace
from sammoe.settings import Settings
from sammoe.telemetry import Routed, Telemetry, Tracer

_CORS_SECONDS: Final = 600


def create_app(
    workspace: Workspace,
    settings: Settings,
    access: Access | None = None,
    tracer: Tracer | None = None,
    audit: AuditLog | None = None,
) -> FastAPI:
    """The HTTP API over a workspace.

    Parameters
    ----------
    workspace
        The use cases; used, not owned: whoever made it closes it.
    settings
        Limits, allowed hosts and origins. Where to listen is not this function's business, but
        whether that is loopback decides which Host headers are refused.
    access
        Who may call; used, not owned. Default: whom the settings name.
    tracer
        What collects spans; used, not owned. None: nothing does.
    audit
        Where it is told who did what; used, not owned. None: nowhere.
    """
    access = Access.from_settings(settings) if access is None else access
    telemetry = Telemetry()
    for collector in (BundleMetrics, CacheMetrics, HealthMetrics):
        telemetry.registry.register(collector(workspace))
    telemetry.registry.register(AuditMetrics(audit))
    workspace.observe(partial(_count, telemetry))
    app = FastAPI(
        title=openapi.TITLE,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_layers(settings, telemetry, tracer, audit),
    )
    terms = LeaseTerms(leases=settings.viewer_leases, idle=settings.viewer_idle_seconds)
    leases = Leases(workspace, terms, Deeds(audit))
    sharing = Sharing(workspace.store)
    app.state.services = Services(
        workspace, settings, access, leases, sharing, telemetry, tracer, audit
    )
    routers = (
        volumes.router,
        segmentations.router,
        results.router,
        dicomweb.router,
        system.router,
    )
    for router in (*routers, *dialects()):
        app.include_router(router)
    app.include_router(proxy.router)
    app.include_router(viewer.page_router(viewer.Page.load(), settings.viewer_embedders))
    problems.install(app)
    openapi.install(app, routers, access)
    return app


def create_monailabel_app(app: FastAPI) -> FastAPI:
    """MONAI Label's protocol at the root, for viewers that can not be given a path; and the PACS.

    Parameters
    ----------
    app
        The service, with which it shares everything.
    """
    services: Services = app.state.services
    beside = FastAPI(
        title=openapi.TITLE,
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_layers(services.settings, services.telemetry, services.tracer, services.audit),
    )
    beside.state.services = services
    beside.include_router(monailabel.router)
    beside.include_router(proxy.router)
    problems.install(beside)
    return beside


def _count(telemetry: Telemetry, made: Segmented) -> None:
    route, timings = made.record.route, made.timings
    routed = Routed(route.used, route.fused, route.check, route.s_top)
    telemetry.segmentation(routed, phases_ms=timings.phases_ms, cache=timings.cache)


def _layers(
    settings: Settings, telemetry: Telemetry, tracer: Tracer | None, audit: AuditLog | None
) -> list[Middleware]:
    """From the outside in."""
    limit = settings.limit_concurrency
    layers = [
        Middleware(Auditing, log=audit),
        Middleware(RequestContext, telemetry=telemetry, limit=limit, tracer=tracer),
        Middleware(Doorkeeper, settings=settings),
    ]
    if settings.allowed_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=("GET", "POST", "PUT", "DELETE"),
                allow_headers=("Authorization", "X-API-Key", IDEMPOTENCY_KEY, REQUEST_ID),
                expose_headers=("Location", REQUEST_ID, REPLAYED, SEGMENTATION_ID, SERVER_TIMING),
                max_age=_CORS_SECONDS,
            )
        )
    return layers
