"""Bearer tokens of an OpenID Connect issuer: signed JSON (RFC 7519, RFC 9068), checked here.

The principal of a token is its issuer and subject together. What it may do is in claims that the
settings name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from sammoe.access.identity import Identity, parse_projects
from sammoe.access.issuer import Issuer
from sammoe.access.roles import Role
from sammoe.errors import Forbidden, Unauthorized
from sammoe.settings import Settings

MOST_TOKEN: Final = 16_384
"""Longest token, characters."""

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NAME: Final = re.compile(r"[\x20-\x7e]{1,256}")
_MOST_PROJECTS: Final = 64
_TYPES: Final = (None, "jwt", "at+jwt", "application/at+jwt")


@dataclass(frozen=True)
class TokenRules:
    """What a token must say.

    Attributes
    ----------
    audience
        That it is meant for this service.
    leeway
        Seconds by which the issuer's clock may differ.
    roles, projects
        Names of the claims; a dot leads into an object.
    prefix
        Before the names of our roles in the claim.
    """

    audience: str
    leeway: float = 30.0
    roles: str = "roles"
    projects: str = "projects"
    prefix: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenRules":
        """As the settings say."""
        assert settings.oidc_audience is not None
        return cls(
            audience=settings.oidc_audience,
            leeway=settings.oidc_leeway_seconds,
            roles=settings.oidc_roles_claim,
            projects=settings.oidc_projects_claim,
            prefix=settings.oidc_role_prefix or "",
        )


class Tokens:
    """Checks tokens of one issuer."""

    def __init__(self, issuer: Issuer, rules: TokenRules) -> None:
        self.issuer = issuer
        self._rules = rules

    async def identify(self, token: str) -> Identity:
        """Whose token it is.

        Raises
        ------
        Unauthorized
            It is no good token; the answer does not say why.
        Forbidden
            It is, and gives no role here.
        IdentityUnavailable
            It can not be known now.
        """
        claims = await self._claims(token)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise _refused()
        prefix = self._rules.prefix
        words = [word for word in _words(claims, self._rules.roles) if word.startswith(prefix)]
        role = Role.highest([word.removeprefix(prefix) for word in words])
        if role is None:
            raise Forbidden("The token gives no role here: ask who runs the issuer.")
        listed = _words(claims, self._rules.projects)
        # What is no project of ours is somebody else's: such claims are shared by many services.
        projects: dict[str, Role] = {}
        for word in listed[:_MOST_PROJECTS]:
            projects |= parse_projects([word.removeprefix("/")], role) or {}
        return Identity(f"{self.issuer.name}#{subject}", role, projects, "token")

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > MOST_TOKEN or not _FORM.fullmatch(token):
            raise _refused()
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused() from None
        name, kind = header.get("kid"), header.get("typ")
        if "crit" in header or (isinstance(kind, str) and kind.lower() not in _TYPES):
            raise _refused()
        if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise _refused()
        key = await self.issuer.key(name)
        if key is None:
            raise _refused()
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                audience=self._rules.audience,
                issuer=self.issuer.name,
                leeway=self._rules.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise _refused() from None
        return claims


def looks_like_token(text: str) -> bool:
    """Whether a credential has the form of a signed token."""
    return _FORM.fullmatch(text) is not None


def _words(claims: Mapping[str, Any], path: str) -> Sequence[str]:
    """A claim's words: a list of strings, or one string with spaces between them."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        found = found.split()
    if not isinstance(found, list):
        return ()
    return [word for word in found if isinstance(word, str)]


def _refused() -> Unauthorized:
    return Unauthorized("The token is none that is taken here.")
