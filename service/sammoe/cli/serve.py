"""``sammoe serve``: the HTTP API. Every flag is a field of :class:`sammoe.settings.Settings`."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from importlib import import_module

import uvicorn
from fastapi import FastAPI

from sammoe import __version__
from sammoe.access import Access, StoredKeys, check_exposure
from sammoe.api import create_app
from sammoe.api.services import Services
from sammoe.audit import Deeds
from sammoe.bundle import Bundle, load_bundle
from sammoe.cli import INTERRUPTED
from sammoe.cli.assembly import (
    Start,
    local_engines,
    open_store,
    open_workspace,
    traces,
    triton_engines,
)
from sammoe.cli.auditing import auditing
from sammoe.cli.beside import check_beside, monailabel_port, ohif_port
from sammoe.cli.bundles import find_bundle
from sammoe.cli.listening import check_certificate, listen, server_config, speak_tls
from sammoe.cli.memory import tune_malloc
from sammoe.cli.progress import steps
from sammoe.pacs import PacsServer, servers_from
from sammoe.segmentation import BundleWatch, Upkeep
from sammoe.settings import Settings, env_name, flag
from sammoe.store import Keeping, StoreLimits
from sammoe.store.limits import DAY_SECONDS
from sammoe.telemetry import configure_logging
from sammoe.volume.dicom.isolation import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One flag per setting; the help names its environment variable and its default."""
    for name, field in Settings.model_fields.items():
        help_text = f"{field.description} [env {env_name(name)}"
        default = field.get_default()
        if default not in (None, (), False) and field.default_factory is None:
            help_text += f", default {default}"
        help_text = help_text.replace("%", "%%") + "]"
        if field.annotation is bool:
            parser.add_argument(
                flag(name), action="store_const", const=True, dest=name, help=help_text
            )
        else:
            metavar = name.rpartition("_")[2].upper()
            parser.add_argument(flag(name), dest=name, metavar=metavar, help=help_text)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, then let requests in flight finish."""
    given = {name: getattr(args, name) for name in Settings.model_fields}
    settings = Settings.load({name: value for name, value in given.items() if value is not None})
    access = Access.from_settings(settings)
    check_exposure(
        settings,
        needs_caller=settings.is_loopback or access.is_needed or _has_stored_keys(settings),
    )
    check_certificate(settings, "tls_certificate", "tls_key")
    check_beside(settings)
    servers = servers_from(settings)
    configure_logging(settings.log_level, settings.log_format)
    tune_malloc()
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, INTERRUPTED)):
        signal.signal(number, _leave_with(code))
    with (
        listen(settings.host, settings.port) as listener,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        return runner.run(_serve(settings, access, servers, listener))


def _leave_with(code: int) -> Callable[[int, object], None]:
    """A signal handler; uvicorn raises the signal again once requests in flight have finished."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(code)

    return leave


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    settings: Settings, access: Access, servers: Sequence[PacsServer], listener: socket.socket
) -> int:
    folder, redis_url = find_bundle(settings.bundle), settings.redis()
    with steps(1) as progress:
        progress.begin("loading the bundle and warming up")
        start = _engines(settings)
        engine = await start(await asyncio.to_thread(load_bundle, folder), None)
    async with (
        open_workspace(
            engine,
            settings.state,
            settings.embedding_cache,
            redis_url,
            settings.store,
            _limits(settings),
            servers,
            settings.encodes_per_minute,
        ) as workspace,
        auditing(settings) as audit,
        BundleWatch(workspace, start, Deeds(audit)).running(),
        traces(settings.tracing_url) as tracer,
    ):
        await asyncio.to_thread(prepare)
        access.stored = StoredKeys(workspace.store.keys)
        async with access.running():
            app = create_app(workspace, settings, access, tracer, audit)
            print(greeting(settings, access, workspace.bundle, listener), flush=True)
            await _answer(app, settings, listener)
    return 0


async def _answer(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    services: Services = app.state.services
    config = server_config(app, settings)
    if settings.tls_certificate is not None:
        speak_tls(config, settings.tls_certificate, settings.tls_key)
    async with (
        services.leases.running(),
        monailabel_port(app, settings),
        ohif_port(app, settings),
        Upkeep(services.workspace, Deeds(services.audit)).running(),
    ):
        await uvicorn.Server(config).serve(sockets=[listener])


def _has_stored_keys(settings: Settings) -> bool:
    if settings.store is None and not settings.state.is_dir():
        return False
    store = open_store(settings.state, settings.store)
    try:
        return store.keys.any()
    finally:
        store.close()


def _limits(settings: Settings) -> StoreLimits:
    return StoreLimits(
        volumes=_keeping(settings.keep_volumes_days * DAY_SECONDS, settings.volume_quota_mib),
        segmentations=_keeping(
            settings.keep_segmentations_days * DAY_SECONDS, settings.segmentation_quota_mib
        ),
        responses=_keeping(settings.keep_responses_hours * 3600, settings.response_quota_mib),
    )


def _keeping(seconds: float, quota_mib: int) -> Keeping:
    """What 0 means is for ever, and without limit."""
    return Keeping(seconds or None, quota_mib << 20 or None)


def _engines(settings: Settings) -> Start:
    if settings.triton_url is not None:
        return triton_engines(settings.triton_url, settings.triton_shared_memory)
    return local_engines(settings.threads)


def greeting(settings: Settings, access: Access, bundle: Bundle, listener: socket.socket) -> str:
    """The lines that say where everything is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_certificate is None else "https"
    url = f"{scheme}://{host}:{listener.getsockname()[1]}"
    if access.keys.entries:
        principals = sorted({principal for principal, _ in access.keys.entries})
        who = f"API key needed; principals: {', '.join(principals)}"
    elif access.is_needed:
        who = "API key needed" if access.tokens is None else "API key or token needed"
    elif settings.is_loopback:
        who = "this machine only, no API key needed"
    else:
        who = "ANYBODY who can reach this machine (--insecure)"
    experts = len(bundle.manifest.experts)
    crew = "1 expert" if experts == 1 else f"{experts} experts"
    return "\n".join(
        [
            f"SAM-Med3D-MoE {__version__}: research use, not a medical device",
            f"  API     {url}/v1",
            f"  Docs    {url}/docs",
            f"  Bundle  {bundle.manifest.name}, {crew}, {bundle.digest[:12]}"
            f" ({bundle.path.resolve()})",
            f"  State   {settings.store or settings.state.resolve()}",
            f"  Access  {who}",
            f"  Page    {url}/viewer/",
        ]
    )
