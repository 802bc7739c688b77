"""Sockets to listen on, and uvicorn's settings."""

import asyncio
import socket
import ssl
import sys
from pathlib import Path
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp

from sammoe.cli.connections import Connections
from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, env_name, flag

_BACKLOG: Final = 128
_KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle connection stays: longer than clients (httpx 5 s) and proxies (nginx 60 s) use
theirs. Whoever closes first wins; where that is the service, it can be in the moment in which a
request comes, above all when it has been kept from running for a while, and that request is lost.
"""
_STRICT: Final = [("Strict-Transport-Security", "max-age=31536000")]
"""Where the service itself speaks TLS to other machines: browsers then never ask without."""
_SPARE_CONNECTIONS: Final = 256
"""Connections beyond the requests at once: idle ones of browsers, and probes."""
_UNREAD_MILLISECONDS: Final = 60_000
"""After which the system ends a connection whose other end takes nothing of what was sent."""


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Uvicorn's settings: its own log lines hold paths, so only its warnings are kept."""
    connections = Connections(settings.limit_concurrency + _SPARE_CONNECTIONS)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # Any callable that makes protocols will do, whatever the annotation says.
        http=cast(type[asyncio.Protocol], connections.protocol),
        headers=_STRICT if settings.tls_certificate and not settings.is_loopback else None,
        lifespan="off",
        ws="none",
    )


def speak_tls(config: uvicorn.Config, certificate: Path, key: Path | None) -> None:
    """Have a server speak TLS, 1.2 or newer.

    Parameters
    ----------
    certificate, key
        As :func:`check_certificate` has seen them.
    """
    config.ssl_certfile, config.ssl_keyfile = str(certificate), key
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


def check_certificate(settings: Settings, certificate: str, key: str) -> None:
    """Refuse a certificate or key that can not be used.

    Parameters
    ----------
    certificate, key
        The settings that name them.

    Raises
    ------
    SettingsInvalid
        Names the flags.
    """
    chain, private = getattr(settings, certificate), getattr(settings, key)
    if chain is None:
        if private is not None:
            raise SettingsInvalid(f"{flag(key)} needs {flag(certificate)}")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password would be asked for at the terminal, where nobody is.
        context.load_cert_chain(chain, private, password="")
    except (OSError, ValueError):  # ssl's own errors are an OSError
        raise SettingsInvalid(
            f"{flag(certificate)}, {flag(key)}: no certificate and key that belong together"
        ) from None


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket bound to the address.

    Raises
    ------
    SettingsInvalid
        The port is taken, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsInvalid(f"{host} is no address to listen on: {error.strerror}") from None
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Connections that are accepted have it from the listener.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        raise SettingsInvalid(
            f"can not listen on {host} port {port}: {error.strerror}; choose another with"
            f" {flag('port')} ({env_name('port')})"
        ) from None
    return listener
