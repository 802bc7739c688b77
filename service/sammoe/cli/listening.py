"""Sockets to listen on, and uvicorn's settings."""

import asyncio
import socket
import sys
from typing import Final, cast

import uvicorn
from fastapi import FastAPI

from sammoe.cli.connections import Connections
from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, env_name, flag

_BACKLOG: Final = 128
_KEEP_ALIVE_SECONDS: Final = 5
_SPARE_CONNECTIONS: Final = 256
"""Connections beyond the requests at once: idle ones of browsers, and probes."""
_UNREAD_MILLISECONDS: Final = 60_000
"""After which the system ends a connection whose other end takes nothing of what was sent."""


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
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
        lifespan="off",
        ws="none",
    )


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
