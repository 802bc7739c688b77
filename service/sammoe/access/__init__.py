"""Who calls, and what it may do: keys, tokens, roles, projects. Knows no HTTP but the issuer's."""

from sammoe.access.access import Access, check_exposure, presented
from sammoe.access.identity import EVERYBODY, LOCAL, PROJECT, Identity, parse_projects
from sammoe.access.keys import MIN_KEY_LENGTH, PRINCIPAL, KeyRing, digest_of, new_key
from sammoe.access.roles import Role
from sammoe.access.stored_keys import StoredKeys, has_expired

__all__ = [
    "EVERYBODY",
    "LOCAL",
    "MIN_KEY_LENGTH",
    "PRINCIPAL",
    "PROJECT",
    "Access",
    "Identity",
    "KeyRing",
    "Role",
    "StoredKeys",
    "check_exposure",
    "digest_of",
    "has_expired",
    "new_key",
    "parse_projects",
    "presented",
]
