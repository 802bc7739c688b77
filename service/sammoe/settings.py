"""Settings of the service: one closed value object, from flags, then environment, then defaults.

Every field is a flag of ``sammoe serve`` (``--upload-limit-mib``) and an environment variable
(``SAMMOE_UPLOAD_LIMIT_MIB``); the field's description is the flag's help. Lists are written with
commas.
"""

import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sammoe.addresses import (
    COLLECTOR,
    HOST_AND_PORT,
    ORIGIN,
    REDIS_FORM,
    STORE,
    is_loopback_name,
    is_redis,
    is_safe_url,
)
from sammoe.errors import SettingsInvalid

ENV_PREFIX = "SAMMOE_"

_MIB = 1 << 20
_ORIENTATIONS = frozenset(
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*axes)
)


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def default_state_dir() -> Path:
    """Where the platform keeps a user's application data, e.g. ``~/.local/share/sammoe``."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sammoe"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sammoe"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "sammoe"


class Settings(BaseSettings):
    """What ``sammoe serve`` can be told. Sizes in MiB (2^20 bytes), times in seconds."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="address to listen on; anything but loopback needs API keys or tokens",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="TCP port; 0 takes a free one and prints it"
    )
    bundle: Path | None = Field(
        default=None,
        description="folder of the bundle to serve (default: model_repo/ here or in the project)",
    )
    state: Path = Field(
        default_factory=default_state_dir,
        description="folder for volumes and segmentations (default: the user's data folder)",
    )
    store: str | None = Field(
        default=None,
        description="bucket that holds them instead, for replicas on many machines: s3://BUCKET/PREFIX",
    )
    keep_volumes_days: float = Field(
        default=0, ge=0, description="after which a volume is deleted; 0: never"
    )
    keep_segmentations_days: float = Field(
        default=0, ge=0, description="after which a segmentation is deleted; 0: never"
    )
    keep_responses_hours: float = Field(
        default=24, gt=0, description="how long answers are kept for an Idempotency-Key"
    )
    volume_quota_mib: int = Field(
        default=0, ge=0, description="what one principal's volumes may take together; 0: no limit"
    )
    segmentation_quota_mib: int = Field(
        default=0, ge=0, description="the same of segmentations; 0: no limit"
    )
    response_quota_mib: int = Field(
        default=0, ge=0, description="the same of kept answers; 0: no limit"
    )
    api_keys: SecretStr | None = Field(
        default=None,
        description="API keys as principal:key or principal:sha256:HEX, separated by commas",
    )
    api_keys_file: Path | None = Field(
        default=None, description="file with one such API key per line; lines with # are comments"
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="issuer of bearer tokens (OpenID Connect), as they have it in iss: https://...",
    )
    oidc_audience: str | None = Field(
        default=None, min_length=1, description="what such tokens must have in aud"
    )
    oidc_jwks_url: str | None = Field(
        default=None, description="where the issuer's keys are (default: as its own document says)"
    )
    oidc_ca_file: Path | None = Field(
        default=None, description="certificates to trust at the issuer, in place of the system's"
    )
    oidc_roles_claim: str = Field(
        default="roles", min_length=1, description="claim with roles; a dot leads into an object"
    )
    oidc_role_prefix: str | None = Field(
        default=None, description="what stands before reader, segmenter and admin there"
    )
    oidc_projects_claim: str = Field(
        default="projects", min_length=1, description="claim with projects: NAME or NAME:ROLE"
    )
    oidc_leeway_seconds: float = Field(
        default=30, ge=0, le=120, description="by how much the issuer's clock may differ"
    )
    insecure: bool = Field(
        default=False,
        description="listen on a non-loopback address although there are no API keys",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="further names that the Host header may have, e.g. behind a proxy",
    )
    allowed_origins: Names = Field(
        default=(),
        description="origins of other web pages that may call the API (CORS); never *",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="certificate chain (PEM): the service then speaks TLS, 1.2 or newer",
    )
    tls_key: Path | None = Field(default=None, description="private key (PEM) of that certificate")
    audit: Literal["closed", "open", "off"] = Field(
        default="closed",
        description="while the audit log can not be written: closed refuses changes, open does not;"
        " off: no such log",
    )
    audit_folder: Path | None = Field(
        default=None, description="folder of the audit log (default: audit in the state folder)"
    )
    audit_key_file: Path | None = Field(
        default=None, description="file with a key, so that nobody without it can rewrite the log"
    )
    audit_uids: Literal["hashed", "plain", "none"] = Field(
        default="hashed", description="UIDs of studies in the audit log: hashed, plain or none"
    )
    audit_rotate_mib: int = Field(
        default=64, ge=1, description="size after which the audit log goes on in another file"
    )
    upload_limit_mib: int = Field(default=1024, ge=1, description="largest uploaded file")
    json_limit_kib: int = Field(default=256, ge=1, description="largest JSON body, in KiB")
    upload_seconds: int = Field(
        default=900, ge=1, description="how long one upload may take in all"
    )
    deadline_seconds: int = Field(
        default=300, ge=1, description="how long one request may be worked on; then 504"
    )
    encodes_per_minute: int = Field(
        default=1200,
        ge=0,
        description="windows that one principal may have embedded in a minute; 0: no limit",
    )
    embedding_cache_mib: int = Field(default=512, ge=0, description="memory for embeddings")
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis that shares embeddings with other replicas: redis://, rediss:// or unix://",
    )
    redis_url_file: Path | None = Field(
        default=None, description="file that holds the URL of Redis, in place of --redis-url"
    )
    triton_url: str | None = Field(
        default=None,
        description="host:port of the gRPC port of a Triton server, which then runs the models",
    )
    triton_shared_memory: Literal["off", "system", "cuda"] = Field(
        default="off",
        description="memory to hand large inputs to a Triton on this machine: off, system or cuda",
    )
    monailabel_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port on which MONAI Label's protocol is served at the root, too",
    )
    monailabel_certificate: Path | None = Field(
        default=None, description="certificate chain (PEM) for TLS on that port, which MITK needs"
    )
    monailabel_key: Path | None = Field(
        default=None, description="private key (PEM) of that certificate"
    )
    monailabel_ohif: Path | None = Field(
        default=None, description="folder of MONAI Label's OHIF, served on that port at /ohif/"
    )
    ohif_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port on which OHIF is served at the root, and the API behind it",
    )
    ohif: Path | None = Field(
        default=None, description="folder of OHIF with the extension in it, for that port"
    )
    nninteractive_axes: Literal["kji", "ijk"] = Field(
        default="kji",
        description="order of the axes of images that nnInteractive clients send: kji or ijk",
    )
    nninteractive_orientation: str = Field(
        default="LPS",
        description="where the axes i, j, k of such images run to, like LPS (left, posterior,"
        " superior) or RAS",
    )
    viewer_leases: int = Field(
        default=64, ge=1, description="viewers that may be connected at once by such protocols"
    )
    viewer_idle_seconds: int = Field(
        default=600, ge=1, description="after which a viewer that nobody uses is disconnected"
    )
    viewer_embedders: Names = Field(
        default=(), description="origins whose pages may show /viewer/ or OHIF in a frame"
    )
    dicomweb_url: str | None = Field(
        default=None,
        description="DICOMweb server for series and results: https://host[:port]/path",
    )
    dicomweb_user: str | None = Field(default=None, description="user at that server")
    dicomweb_password: SecretStr | None = Field(
        default=None, description="the user's password at that server"
    )
    dicomweb_token: SecretStr | None = Field(
        default=None, description="bearer token at that server, in place of user and password"
    )
    dicomweb_file: Path | None = Field(
        default=None,
        description="TOML file with further DICOMweb servers: a table for each, by its name",
    )
    threads: int = Field(default=0, ge=0, description="threads of one model run; 0 = all cores")
    limit_concurrency: int = Field(
        default=64, ge=1, description="requests at once; more are answered 503 with Retry-After"
    )
    shutdown_seconds: int = Field(
        default=30, ge=0, description="how long requests in flight may finish after SIGTERM"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="one of debug, info, warning, error"
    )

    log_format: Literal["text", "json"] = Field(
        default="text", description="form of log lines: text, or json, one object a line"
    )
    tracing_url: str | None = Field(
        default=None,
        description="collector that traces are sent to (OTLP over HTTP): http://collector:4318",
    )

    @field_validator("allowed_origins", "viewer_embedders")
    @classmethod
    def _no_wildcard(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError("each is scheme://host or scheme://host:port, without *")
        return origins

    @field_validator("nninteractive_orientation")
    @classmethod
    def _three_directions(cls, letters: str) -> str:
        if letters not in _ORIENTATIONS:
            raise ValueError("it is three letters: one of L and R, of P and A, of S and I")
        return letters

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _oidc(cls, url: str | None) -> str | None:
        if url is not None and not is_safe_url(url):
            raise ValueError("it is https://HOST..., or http:// on this machine's loopback")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_redis(url.get_secret_value()):
            raise ValueError(REDIS_FORM)
        return url

    @field_validator("store")
    @classmethod
    def _store(cls, url: str | None) -> str | None:
        if url is not None and not STORE.fullmatch(url):
            raise ValueError(
                "it is s3://BUCKET or s3://BUCKET/PREFIX (also gs:// and az://); keys and endpoint"
                " come from the environment"
            )
        return url

    @field_validator("triton_url")
    @classmethod
    def _triton(cls, url: str | None) -> str | None:
        if url is not None and not HOST_AND_PORT.fullmatch(url):
            raise ValueError("it is HOST:PORT, the server's gRPC port, as in triton.internal:8001")
        return url

    @field_validator("tracing_url")
    @classmethod
    def _collector(cls, url: str | None) -> str | None:
        if url is not None and not COLLECTOR.fullmatch(url):
            raise ValueError("it is http://HOST:PORT or https://HOST:PORT, perhaps with a path")
        return url

    def redis(self) -> str | None:
        """URL of Redis, from the setting or from its file; None where there is no Redis.

        Raises
        ------
        SettingsInvalid
            Both are given, or the file can not be read or holds no such URL. The message never has
            the URL, which may hold a password.
        """
        if self.redis_url_file is None:
            return None if self.redis_url is None else self.redis_url.get_secret_value()
        name = f"{flag('redis_url_file')} ({env_name('redis_url_file')})"
        if self.redis_url is not None:
            raise SettingsInvalid(f"{name}: give it or {flag('redis_url')}, not both")
        try:
            url = self.redis_url_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SettingsInvalid(f"{name}: {self.redis_url_file}: {reason}") from None
        if not is_redis(url):
            raise SettingsInvalid(f"{name}: {self.redis_url_file}: {REDIS_FORM}")
        return url

    @property
    def is_loopback(self) -> bool:
        """Whether :attr:`host` can be reached from this machine alone."""
        return is_loopback_name(self.host)

    @property
    def audit_log(self) -> Path:
        """Folder of the audit log."""
        return self.audit_folder or self.state / "audit"

    @property
    def upload_limit(self) -> int:
        """Largest upload, bytes."""
        return self.upload_limit_mib * _MIB

    @property
    def json_limit(self) -> int:
        """Largest JSON body, bytes."""
        return self.json_limit_kib * 1024

    @property
    def embedding_cache(self) -> int:
        """Memory for embeddings, bytes."""
        return self.embedding_cache_mib * _MIB

    @classmethod
    def load(cls, given: Mapping[str, Any] | None = None) -> Self:
        """Settings from ``given`` (flags), then the environment, then defaults.

        Raises
        ------
        SettingsInvalid
            Names the flag and its variable, never the value, which may be a key.
        """
        try:
            return cls(**(given or {}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            name = str(first["loc"][0])
            message = first["msg"].removeprefix("Value error, ")
            raise SettingsInvalid(f"{flag(name)} ({env_name(name)}): {message}") from None


def env_name(field: str) -> str:
    """Environment variable of a field: ``SAMMOE_`` and the name in capitals."""
    return f"{ENV_PREFIX}{field.upper()}"


def flag(field: str) -> str:
    """Command-line flag of a field."""
    return "--" + field.replace("_", "-")
