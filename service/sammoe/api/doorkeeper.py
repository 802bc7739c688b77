"""Which pages and host names may reach the service."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sammoe.addresses import is_loopback_name
from sammoe.errors import HostRefused, OriginRefused
from sammoe.settings import Settings, env_name, flag


class Doorkeeper:
    """ASGI layer that refuses foreign ``Host`` and ``Origin`` headers.

    On loopback the Host must be a loopback name or one of ``allowed_hosts``: else any web page
    could drive the service by making its own name resolve to 127.0.0.1 (DNS rebinding). Elsewhere
    the Host is checked when ``allowed_hosts`` is set. An Origin, which browsers send with every
    request from a script that changes something, must be the Host itself or one of
    ``allowed_origins``.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in settings.allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in settings.allowed_origins)
        self._loopback = settings.is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(Headers(scope=scope), scope["scheme"])
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, scheme: str) -> None:
        host = headers.get("host", "").lower()
        if (self._loopback or self._names) and not self._is_ours(_host_name(host)):
            raise HostRefused(
                "The Host header names another server: use a loopback name, or add the name to"
                f" {flag('allowed_hosts')} ({env_name('allowed_hosts')})."
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_welcome(origin.lower(), host, scheme):
            raise OriginRefused(
                "A web page of another origin may not call this service: add its origin to"
                f" {flag('allowed_origins')} ({env_name('allowed_origins')})."
            )

    def _is_ours(self, name: str) -> bool:
        return name in self._names or (self._loopback and is_loopback_name(name))

    def _is_welcome(self, origin: str, host: str, scheme: str) -> bool:
        # A proxy may speak TLS for the service, and none takes it away where it is spoken.
        own = {f"https://{host}", f"{scheme}://{host}"}
        return origin in self._origins or origin in own


def _host_name(host: str) -> str:
    """Host header without port and brackets: ``[::1]:8000`` -> ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
