"""Ports beside the service's own, for viewers that can not be given a path."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from sammoe.api import INDEX, Site, create_monailabel_app
from sammoe.cli.listening import check_certificate, listen, server_config, speak_tls
from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, flag


@asynccontextmanager
async def monailabel_port(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """MONAI Label's protocol on a port of its own while the context lasts, if that is wanted."""
    if settings.monailabel_port is None:
        yield
        return
    beside: ASGIApp = create_monailabel_app(app)
    if settings.monailabel_ohif is not None:
        beside = Site(beside, settings.monailabel_ohif, "/ohif/", settings.viewer_embedders)
    config = server_config(beside, settings)
    if settings.monailabel_certificate is not None:
        speak_tls(config, settings.monailabel_certificate, settings.monailabel_key)
    async with _serving(config, "MONAI Label", settings.host, settings.monailabel_port):
        yield


@asynccontextmanager
async def ohif_port(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """OHIF with the API on a port of its own while the context lasts, if that is wanted."""
    if settings.ohif_port is None or settings.ohif is None:
        yield
        return
    site = Site(app, settings.ohif, embedders=settings.viewer_embedders)
    config = server_config(site, settings)
    if settings.tls_certificate is not None:
        speak_tls(config, settings.tls_certificate, settings.tls_key)
    async with _serving(config, "OHIF", settings.host, settings.ohif_port):
        yield


@asynccontextmanager
async def _serving(config: uvicorn.Config, what: str, host: str, port: int) -> AsyncIterator[None]:
    server = _Beside(config)
    with listen(host, port) as listener:
        scheme = "https" if config.ssl_certfile else "http"
        print(f"  {what:<12} {scheme}://{host}:{listener.getsockname()[1]}", flush=True)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task


def check_beside(settings: Settings) -> None:
    """Refuse what can not be served beside: half of OHIF's settings, a bad certificate.

    Raises
    ------
    SettingsInvalid
        Names the flag.
    """
    if (settings.ohif is None) != (settings.ohif_port is None):
        raise SettingsInvalid(f"{flag('ohif')} and {flag('ohif_port')} go together: give both")
    if settings.monailabel_ohif is not None and settings.monailabel_port is None:
        raise SettingsInvalid(f"{flag('monailabel_ohif')} needs {flag('monailabel_port')}")
    for folder, name in ((settings.ohif, "ohif"), (settings.monailabel_ohif, "monailabel_ohif")):
        if folder is not None and not (folder / INDEX).is_file():
            raise SettingsInvalid(f"{flag(name)}: {folder} holds no OHIF: it has no {INDEX}")
    check_certificate(settings, "monailabel_certificate", "monailabel_key")


class _Beside(uvicorn.Server):
    """A second server of the process: signals are for the first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
