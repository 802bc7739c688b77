"""Who calls: by an API key of the settings, one of the store, or a token of an issuer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sammoe.access.identity import EVERYBODY, Identity
from sammoe.access.keys import KeyRing, id_in
from sammoe.access.roles import Role
from sammoe.access.stored_keys import StoredKeys
from sammoe.errors import SettingsInvalid, Unauthorized
from sammoe.settings import Settings, env_name, flag

if TYPE_CHECKING:
    from sammoe.access.tokens import Tokens


class Access:
    """Recognises callers.

    Parameters
    ----------
    keys
        Of the settings; each gives the role admin, and no project.
    stored
        Of the store.
    tokens
        Of an issuer.
    """

    def __init__(
        self,
        keys: KeyRing | None = None,
        stored: StoredKeys | None = None,
        tokens: "Tokens | None" = None,
    ) -> None:
        self.keys = keys or KeyRing()
        self.stored = stored
        self.tokens = tokens

    @classmethod
    def from_settings(cls, settings: Settings) -> "Access":
        """All that the settings name.

        Raises
        ------
        SettingsInvalid
            They name what can not be used.
        """
        return cls(KeyRing.from_settings(settings), tokens=_tokens(settings))

    @property
    def is_needed(self) -> bool:
        """Whether callers must say who they are."""
        stored = self.stored is not None and self.stored.any
        return bool(self.keys.entries) or self.tokens is not None or stored

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep in step with the store and the issuer while the context lasts."""
        async with AsyncExitStack() as stack:
            if self.stored is not None:
                await stack.enter_async_context(self.stored.running())
            if self.tokens is not None:
                stack.push_async_callback(self.tokens.issuer.close)
            yield

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Who sent a request, by ``Authorization: Bearer`` or ``X-API-Key``.

        Raises
        ------
        Unauthorized
            No credential, or none that is good: the answer is the same.
        Forbidden, IdentityUnavailable
            See `Tokens.identify`, `StoredKeys.identify`.
        """
        if not self.is_needed:
            return EVERYBODY
        return await self.identify_credential(presented(headers))

    async def identify_credential(self, credential: str) -> Identity:
        """Whose credential it is; as `identify`."""
        principal = self.keys.owner(credential)
        if principal is not None:
            return Identity(principal, Role.ADMIN, via="key")
        if self.stored is not None:
            found = self.stored.identify(credential)
            if found is not None:
                return found
        if self.tokens is not None and id_in(credential) is None and credential.count(".") == 2:
            return await self.tokens.identify(credential)
        raise Unauthorized(
            "Send an API key or a token: Authorization: Bearer ..., or X-API-Key: KEY."
        )


def presented(headers: Mapping[str, str]) -> str:
    """The credential that a request carries; empty where there is none."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key", "")


def check_exposure(settings: Settings, *, needs_caller: bool) -> None:
    """Refuse to serve other machines without keys or tokens.

    Parameters
    ----------
    needs_caller
        Whether callers must say who they are.

    Raises
    ------
    SettingsInvalid
        The address is not loopback, nobody must say who it is, and ``insecure`` was not said.
    """
    if not (settings.is_loopback or needs_caller or settings.insecure):
        raise SettingsInvalid(
            f"{settings.host} can be reached from other machines: make a key with sammoe keys"
            f" create, set {flag('api_keys_file')} ({env_name('api_keys_file')}) or"
            f" {flag('oidc_issuer')}, listen on 127.0.0.1, or say {flag('insecure')}"
        )


def _tokens(settings: Settings) -> "Tokens | None":
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_audience is None:
        raise SettingsInvalid(
            f"{flag('oidc_issuer')} needs {flag('oidc_audience')} ({env_name('oidc_audience')})"
        )
    try:
        from sammoe.access.issuer import Issuer
        from sammoe.access.tokens import TokenRules, Tokens
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"{flag('oidc_issuer')} needs {error.name}: pip install 'sam-med3d-moe[oidc]'"
        ) from error
    return Tokens(Issuer.from_settings(settings), TokenRules.from_settings(settings))
