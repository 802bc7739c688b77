"""Which DICOMweb servers there are: those that the settings name, and no others."""

import ipaddress
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, env_name, flag

DEFAULT: Final = "default"
"""Name of the server that ``dicomweb_url`` sets."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class PacsServer:
    """One server.

    Attributes
    ----------
    name
        By which requests name it.
    url
        Root of its DICOMweb services, without a slash at the end.
    user, password
        Basic credentials, or
    token
        a bearer token; or neither.
    ca_file
        Certificates that its own must be signed by, in place of the system's.
    networks
        Where its address may lie; empty: anywhere but where no server is.
    """

    name: str
    url: str
    user: str
    password: SecretStr
    token: SecretStr
    ca_file: Path | None
    networks: tuple[Network, ...]


class _Entry(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    user: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    ca_file: Path | None = None
    networks: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> "_Entry":
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("url is http:// or https://, a host and a path")
        if parts.username is not None or parts.fragment:
            raise ValueError("credentials go into user and password, not into the url")
        if self.token.get_secret_value() and self.user:
            raise ValueError("give a token or a user, not both")
        return self

    def named(self, name: str) -> PacsServer:
        return PacsServer(
            name=name,
            url=self.url.rstrip("/"),
            user=self.user,
            password=self.password,
            token=self.token,
            ca_file=self.ca_file,
            networks=self.networks,
        )


def servers_from(settings: Settings) -> tuple[PacsServer, ...]:
    """The servers of ``dicomweb_url`` and of the file ``dicomweb_file``, the default one first.

    Raises
    ------
    SettingsInvalid
        A server can not be used as it is described; says where, never a value.
    """
    found: dict[str, PacsServer] = {}
    if settings.dicomweb_url is not None:
        entry = {
            "url": settings.dicomweb_url,
            "user": settings.dicomweb_user or "",
            "password": settings.dicomweb_password or "",
            "token": settings.dicomweb_token or "",
        }
        place = f"{flag('dicomweb_url')} ({env_name('dicomweb_url')})"
        found[DEFAULT] = _parse(entry, DEFAULT, place)
    if settings.dicomweb_file is not None:
        found |= _read(settings.dicomweb_file)
    return tuple(found.values())


def _read(path: Path) -> dict[str, PacsServer]:
    place = f"{flag('dicomweb_file')} ({env_name('dicomweb_file')})"
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise SettingsInvalid(f"{place}: {path} can not be read") from None
    except tomllib.TOMLDecodeError:
        raise SettingsInvalid(f"{place}: {path} is no TOML") from None
    for name in tables:
        if not _NAME.fullmatch(name):
            raise SettingsInvalid(f"{place}: a name is of a-z, 0-9 and -, up to 32 characters")
    return {name: _parse(table, name, f"{place}, [{name}]") for name, table in tables.items()}


def _parse(table: Any, name: str, place: str) -> PacsServer:
    try:
        return _Entry.model_validate(table).named(name)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "server"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsInvalid(f"{place}: {where}: {message}") from None
