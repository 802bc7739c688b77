"""API keys that the settings name, and how a key is written and compared.

A key is known by its SHA-256 alone.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, env_name, flag

MIN_KEY_LENGTH: Final = 16
"""Shortest API key that is accepted in plain form, characters."""

PRINCIPAL: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
"""What a principal with a key may be called."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MADE = re.compile(r"sammoe_([0-9a-v]{26})_[0-9a-f]{48}")
_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """API keys' digests and whose they are, as the settings have them.

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
        presented = digest_of(key)
        found = None
        # Every entry is compared, in constant time, so that time tells nothing.
        for principal, digest in self.entries:
            if hmac.compare_digest(digest, presented):
                found = principal
        return found


def new_key(name: str) -> str:
    """A new key; ``name`` is the id of its record, by which it can be recognised."""
    return f"sammoe_{name}_{secrets.token_hex(_SECRET_BYTES)}"


def id_in(key: str) -> str | None:
    """The id in a key of `new_key`; None in every other text."""
    found = _MADE.fullmatch(key)
    return None if found is None else found[1]


def digest_of(key: str) -> bytes:
    """SHA-256 of a key. Keys are random and long: a slow digest would protect nothing more."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


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
    if not separator or not PRINCIPAL.fullmatch(principal):
        raise SettingsInvalid(f"{place}: write principal:key or principal:sha256:HEX")
    if digest := _DIGEST.fullmatch(key):
        return principal, bytes.fromhex(digest[1])
    if key.startswith("sha256:"):
        raise SettingsInvalid(f"{place}: after sha256: come 64 lower-case hex digits")
    if len(key) < MIN_KEY_LENGTH:
        raise SettingsInvalid(f"{place}: a key has at least {MIN_KEY_LENGTH} characters")
    return principal, digest_of(key)
