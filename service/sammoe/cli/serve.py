"""``sammoe serve``: the HTTP API. Every flag is a field of :class:`sammoe.settings.Settings`."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from importlib import import_module

import uvicorn

from sammoe import __version__
from sammoe.api import KeyRing, check_exposure, create_app
from sammoe.bundle import Bundle, load_bundle
from sammoe.cli import INTERRUPTED
from sammoe.cli.assembly import Start, local_engines, open_workspace, traces, triton_engines
from sammoe.cli.beside import check_certificate, monailabel_port
from sammoe.cli.bundles import find_bundle
from sammoe.cli.listening import listen, server_config
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
    keys = KeyRing.from_settings(settings)
    check_exposure(settings, keys)
    check_certificate(settings)
    servers = servers_from(settings)
    configure_logging(settings.log_level, settings.log_format)
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, INTERRUPTED)):
        signal.signal(number, _leave_with(code))
    with (
        listen(settings.host, settings.port) as listener,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        return runner.run(_serve(settings, keys, servers, listener))


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
    settings: Settings, keys: KeyRing, servers: Sequence[PacsServer], listener: socket.socket
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
        BundleWatch(workspace, start).running(),
        traces(settings.tracing_url) as tracer,
    ):
        await asyncio.to_thread(prepare)
        app = create_app(workspace, settings, keys, tracer)
        print(greeting(settings, keys, workspace.bundle, listener), flush=True)
        leases = app.state.services.leases
        async with (
            leases.running(),
            monailabel_port(app, settings),
            Upkeep(workspace).running(),
        ):
            await uvicorn.Server(server_config(app, settings)).serve(sockets=[listener])
    return 0


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
        return triton_engines(settings.triton_url)
    return local_engines(settings.threads)


def greeting(settings: Settings, keys: KeyRing, bundle: Bundle, listener: socket.socket) -> str:
    """The lines that say where everything is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    if keys.entries:
        access = f"API key needed; principals: {', '.join(sorted({p for p, _ in keys.entries}))}"
    elif settings.is_loopback:
        access = "this machine only, no API key needed"
    else:
        access = "ANYBODY who can reach this machine (--insecure)"
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
            f"  Access  {access}",
        ]
    )
