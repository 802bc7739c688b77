"""The issuer of tokens: which keys it signs with, fetched when needed and kept for a while.

Keys are fetched from one address, that of the settings or the one that the issuer's own document
names. Nothing in a token can lead elsewhere.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from sammoe.addresses import is_safe_url
from sammoe.errors import IdentityUnavailable, SettingsInvalid
from sammoe.settings import Settings, env_name, flag

FRESH_SECONDS: Final = 300.0
"""After which keys are fetched again, behind the requests that use them."""

KEPT_SECONDS: Final = 3600.0
"""How long keys go on while the issuer can not be reached."""

FLOOR_SECONDS: Final = 10.0
"""Between two fetches, whatever tokens say: who makes keys' names up shall not reach the issuer."""

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 18
_MOST_KEYS: Final = 64
_LEAST_RSA_BITS: Final = 2048
_DISCOVERY: Final = "/.well-known/openid-configuration"

_ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
"""Kind or curve of a public key -> what it may sign by. No secret is a key here, so no HS256."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and the algorithms that a token may say it was signed by."""

    key: Any
    algorithms: tuple[str, ...]


class Issuer:
    """Fetches and keeps an issuer's keys. For one event loop.

    Parameters
    ----------
    name
        What tokens must have as ``iss``.
    keys_url
        Where its keys are; None: where its own document says.
    http
        Used and closed by this.
    clock
        Seconds, never going back.
    """

    def __init__(
        self,
        name: str,
        keys_url: str | None,
        http: httpx.AsyncClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._keys_url = keys_url
        self._http = http
        self._clock = clock
        self._keys: dict[str | None, SigningKey] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Issuer":
        """The issuer of the settings.

        Raises
        ------
        SettingsInvalid
            Its certificates can not be read.
        """
        assert settings.oidc_issuer is not None
        file = settings.oidc_ca_file
        try:
            context = ssl.create_default_context(cafile=None if file is None else str(file))
        except OSError:
            raise SettingsInvalid(
                f"{flag('oidc_ca_file')} ({env_name('oidc_ca_file')}): {file} holds no certificates"
            ) from None
        http = httpx.AsyncClient(
            verify=context, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )
        return cls(settings.oidc_issuer, settings.oidc_jwks_url, http)

    async def close(self) -> None:
        """Stop fetching and close connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._http.aclose()

    async def key(self, name: str | None) -> SigningKey | None:
        """The key that a token names (``kid``); None where the issuer has none of that name.

        Without a name: the issuer's only key, where it has one alone.

        Raises
        ------
        IdentityUnavailable
            The issuer can not be reached, and it can not be known.
        """
        found = self._find(name)
        age = self._age()
        if found is not None and age < KEPT_SECONDS:
            if age > FRESH_SECONDS:
                self._fetch()
            return found
        if (fetching := self._fetch()) is not None:
            # Others wait for it, too: it goes on when this request is cancelled.
            await asyncio.shield(fetching)
        if self._failed or self._age() >= KEPT_SECONDS:
            raise IdentityUnavailable("The issuer of tokens can not be reached: try again.")
        return self._find(name)

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock() - self._fetched

    def _find(self, name: str | None) -> SigningKey | None:
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name)

    def _fetch(self) -> "asyncio.Task[None] | None":
        """The fetch that is under way, or one that begins now; None where it is too early."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._tried is not None and self._clock() - self._tried < FLOOR_SECONDS:
            return None
        self._tried = self._clock()
        self._fetching = asyncio.create_task(self._fetch_now())
        return self._fetching

    async def _fetch_now(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(2 * _SECONDS):
                url = self._keys_url or await self._discover()
                keys = signing_keys(await self._get(url))
        except (httpx.HTTPError, ValueError, TimeoutError, OSError) as error:
            self._failed = True
            _log.warning("keys of the issuer were not fetched: %s", type(error).__name__)
            return
        self._keys, self._fetched, self._failed = keys, began, False

    async def _discover(self) -> str:
        found = await self._get(self.name.rstrip("/") + _DISCOVERY)
        url = found.get("jwks_uri")
        if found.get("issuer") != self.name or not isinstance(url, str) or not is_safe_url(url):
            raise ValueError("the issuer's document is of another issuer, or names no safe place")
        return url

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
            if answer.status_code != 200:
                raise ValueError("no success")
            content = b""
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise ValueError("too long")
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found


def signing_keys(document: Mapping[str, Any]) -> dict[str | None, SigningKey]:
    """Public keys by name, of a JWKS (RFC 7517); those that can not be used are left out.

    Raises
    ------
    ValueError
        It is no JWKS.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("no JWKS")
    found: dict[str | None, SigningKey] = {}
    for entry in listed[:_MOST_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        kind = str(entry.get("crv") if entry.get("kty") != "RSA" else "RSA")
        algorithms = _ALGORITHMS.get(kind, ())
        if said := entry.get("alg"):
            algorithms = (said,) if said in algorithms else ()
        name = entry.get("kid")
        if not algorithms or not (name is None or isinstance(name, str)):
            continue
        try:
            key = jwt.PyJWK(entry, algorithm=algorithms[0]).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if not isinstance(key, RSAPublicKey) or key.key_size >= _LEAST_RSA_BITS:
            found[name] = SigningKey(key, algorithms)
    return found
