"""Who calls: API keys to principals; and which pages and host names may reach the service.

A key is known by its SHA-256 alone. With no keys configured, everybody who can reach the service
is the principal ``local``: settings allow that on loopback only, unless told ``--insecure``.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sammoe.errors import HostRefused, OriginRefused, SettingsInvalid, Unauthorized
from sammoe.settings import Settings, env_name, flag, is_loopback_name

LOCAL: Final = "local"
"""Principal of every request while no API keys are configured."""

MIN_KEY_LENGTH: Final = 16
"""Shortest API key that is accepted in plain form, characters."""

_PRINCIPAL = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """API keys' digests and whose they are. Empty: no key is asked for.

    Parameters
    ----------
    entries
        Pairs of a principal and the SHA-256 (32 bytes) of one of its keys.
    """

    entries: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> "KeyRing":
        """Keys of the setting and of the file together.

        Raises
        ------
        SettingsInvalid
            An entry has not the form ``principal:key``, a key is short, or the file can not be
            read. The message has the place, never the entry.
        """
        entries = []
        if settings.api_keys is not None:
            name = f"{flag('api_keys')} ({env_name('api_keys')})"
            listed = re.split(r"[,\n]", settings.api_keys.get_secret_value())
            entries += [_parse(text.strip(), name) for text in listed if text.strip()]
        if settings.api_keys_file is not None:
            entries += _read(settings.api_keys_file)
        given = settings.api_keys is not None or settings.api_keys_file is not None
        if given and not entries:
            raise SettingsInvalid(
                f"{flag('api_keys')} / {flag('api_keys_file')} hold no key: add one, or unset them"
            )
        return cls(tuple(entries))

    def owner(self, key: str) -> str | None:
        """Whose key it is; None for an unknown one."""
        presented = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        # Every entry is compared, in constant time, so that time tells nothing.
        for principal, digest in self.entries:
            if hmac.compare_digest(digest, presented):
                found = principal
        return found

    def principal(self, headers: Headers) -> str:
        """Whose key the request carries, in ``Authorization: Bearer`` or ``X-API-Key``.

        Raises
        ------
        Unauthorized
            No key, or an unknown one: the answer is the same.
        """
        if not self.entries:
            return LOCAL
        found = self.owner(_presented(headers))
        if found is None:
            raise Unauthorized("Send an API key: Authorization: Bearer KEY, or X-API-Key: KEY.")
        return found


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
            self._check(Headers(scope=scope))
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if (self._loopback or self._names) and not self._is_ours(_host_name(host)):
            raise HostRefused(
                "The Host header names another server: use a loopback name, or add the name to"
                f" {flag('allowed_hosts')} ({env_name('allowed_hosts')})."
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_welcome(origin.lower(), host):
            raise OriginRefused(
                "A web page of another origin may not call this service: add its origin to"
                f" {flag('allowed_origins')} ({env_name('allowed_origins')})."
            )

    def _is_ours(self, name: str) -> bool:
        return name in self._names or (self._loopback and is_loopback_name(name))

    def _is_welcome(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin in {f"http://{host}", f"https://{host}"}


def check_exposure(settings: Settings, keys: KeyRing) -> None:
    """Refuse to serve other machines without keys.

    Raises
    ------
    SettingsInvalid
        The address is not loopback, there is no key, and ``insecure`` was not said.
    """
    if not (settings.is_loopback or keys.entries or settings.insecure):
        raise SettingsInvalid(
            f"{settings.host} can be reached from other machines: set {flag('api_keys_file')}"
            f" ({env_name('api_keys_file')}), listen on 127.0.0.1, or say {flag('insecure')}"
        )


def _presented(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key", "")


def _host_name(host: str) -> str:
    """Host header without port and brackets: ``[::1]:8000`` -> ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _read(path: Path) -> Iterable[tuple[str, bytes]]:
    name = f"{flag('api_keys_file')} ({env_name('api_keys_file')})"
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SettingsInvalid(f"{name}: {path} can not be read") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _parse(text, f"{name}, line {number}")


def _parse(entry: str, place: str) -> tuple[str, bytes]:
    principal, separator, key = entry.partition(":")
    if not separator or not _PRINCIPAL.fullmatch(principal):
        raise SettingsInvalid(f"{place}: write principal:key or principal:sha256:HEX")
    if digest := _DIGEST.fullmatch(key):
        return principal, bytes.fromhex(digest[1])
    if key.startswith("sha256:"):
        raise SettingsInvalid(f"{place}: after sha256: come 64 lower-case hex digits")
    if len(key) < MIN_KEY_LENGTH:
        raise SettingsInvalid(f"{place}: a key has at least {MIN_KEY_LENGTH} characters")
    return principal, hashlib.sha256(key.encode()).digest()
