"""Addresses that settings name: what each looks like, and which stay on this machine."""

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")
_REDIS_OPTION: Final = re.compile("db|ssl_[a-z_]+")
REDIS_FORM: Final = (
    "it is redis://[user:password@]host[:port][/database], rediss:// for TLS with options"
    " ?ssl_..., or unix:///path"
)
STORE: Final = re.compile(
    r"(s3|s3a|gs|az|abfs)://[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?"
)
COLLECTOR: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")
HOST_AND_PORT: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]+:[0-9]+")


def is_loopback_name(name: str) -> bool:
    """Whether a host name or IP address (no port, no brackets) means this machine alone."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_safe_url(url: str) -> bool:
    """Whether an address is https, or http on this machine's loopback; without credentials."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises when it is no port
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_name(host))
    return safe and bool(host) and parts.username is None and not parts.fragment


def is_redis(url: str) -> bool:
    """Whether a URL names a Redis, and no options of the client that the service sets itself."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is no port
        options = [name for name, _ in parse_qsl(parts.query, strict_parsing=bool(parts.query))]
    except ValueError:
        return False
    if parts.scheme == "unix":
        named = bool(parts.path)
    else:
        named = parts.scheme in ("redis", "rediss") and bool(parts.hostname)
        named = named and re.fullmatch(r"(/\d*)?", parts.path) is not None
    return named and all(_REDIS_OPTION.fullmatch(name) for name in options)
