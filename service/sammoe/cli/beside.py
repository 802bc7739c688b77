"""A port beside the service's own, for viewers that can not be given a path."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from sammoe.api import create_monailabel_app
from sammoe.cli.listening import listen, server_config
from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, flag


@asynccontextmanager
async def monailabel_port(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """MONAI Label's protocol on a port of its own while the context lasts, if that is wanted."""
    if settings.monailabel_port is None:
        yield
        return
    config = server_config(create_monailabel_app(app), settings)
    if settings.monailabel_certificate is not None:
        config.ssl_certfile = str(settings.monailabel_certificate)
        config.ssl_keyfile = settings.monailabel_key
    server = _Beside(config)
    with listen(settings.host, settings.monailabel_port) as listener:
        scheme = "https" if config.ssl_certfile else "http"
        print(f"  MONAI Label  {scheme}://{settings.host}:{listener.getsockname()[1]}", flush=True)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task


def check_certificate(settings: Settings) -> None:
    """Refuse a certificate or key that can not be used.

    Raises
    ------
    SettingsInvalid
        Names the flag.
    """
    if settings.monailabel_certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.monailabel_certificate, settings.monailabel_key)
    except (OSError, ValueError):  # ssl's own errors are an OSError
        name = flag("monailabel_certificate")
        raise SettingsInvalid(
            f"{name}, {flag('monailabel_key')}: no certificate and key that belong together"
        ) from None


class _Beside(uvicorn.Server):
    """A second server of the process: signals are for the first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
