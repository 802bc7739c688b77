"""``sammoe warm SCAN ...``: embed whole scans into the Redis that all replicas share."""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tqdm import tqdm

from sammoe.cli.assembly import load_engine, open_workspace
from sammoe.cli.bundles import find_bundle
from sammoe.cli.progress import PATIENCE_SECONDS
from sammoe.errors import InvalidInput, StoreUnavailable, TooLarge
from sammoe.segmentation import WarmUp, Workspace
from sammoe.settings import Settings, env_name
from sammoe.store import VolumeRecord

_PRINCIPAL: Final = "local"
_MIB: Final = 1 << 20


@dataclass(frozen=True)
class _Planned:
    path: Path
    volume: VolumeRecord
    warm_up: WarmUp


def add_arguments(parser: argparse._ArgumentGroup) -> None:
    """Which scans, where to keep their embeddings, and how many bytes they may take."""
    parser.add_argument(
        "scans", type=Path, nargs="*", help="NIfTI or NRRD files; none: series of the PACS"
    )
    parser.add_argument(
        "--redis-url",
        help=f"where the service's replicas share embeddings [env {env_name('redis_url')}]",
    )
    parser.add_argument(
        "--budget-mib",
        type=int,
        default=1024,
        help="for all of it (default 1024)",
    )
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: model_repo/)")
    parser.add_argument("--threads", type=int, default=0, help="of one model run; 0: all cores")
    parser.add_argument("--dry-run", action="store_true", help="say what it takes, and stop there")


def run(args: argparse.Namespace) -> int:
    """Say windows, minutes and MiB; then embed, unless they are more than the budget."""
    redis_url = args.redis_url or Settings.load({}).redis()
    if redis_url is None:
        raise InvalidInput(
            f"Say where to keep what is made: --redis-url, or {env_name('redis_url')}."
        )
    if args.study or args.since or args.until:
        raise InvalidInput("Warm scans or series of the PACS, not both in one command.")
    if args.modality not in (None, "CT", "MR"):
        raise InvalidInput("--modality must be CT or MR.")
    asyncio.run(_run(args, redis_url))
    return 0


async def _run(args: argparse.Namespace, redis_url: str) -> None:
    engine = await asyncio.to_thread(load_engine, find_bundle(args.bundle), args.threads)
    with tempfile.TemporaryDirectory(prefix="sammoe-") as state:
        opened = open_workspace(engine, Path(state), 0, redis_url)
        async with opened as workspace:
            planned = [await _plan(workspace, path, args.modality or "auto") for path in args.scans]
            for one in planned:
                plan = one.warm_up
                print(
                    f"{one.path}: {len(plan.windows)} windows, {plan.size / _MIB:.0f} MiB,"
                    f" {plan.covered:.0%} of the body"
                )
            windows = sum(len(one.warm_up.windows) for one in planned)
            size = sum(one.warm_up.size for one in planned)
            minutes = windows * await workspace.warmer.encode_seconds() / 60
            print(f"in all: {windows} windows, about {minutes:.1f} minutes, {size / _MIB:.0f} MiB")
            if size > args.budget_mib * _MIB:
                raise TooLarge(
                    f"They take more than --budget-mib {args.budget_mib}: warm fewer scans, or"
                    " raise it."
                )
            if not args.dry_run:
                await _warm(workspace, planned, windows)


async def _plan(workspace: Workspace, path: Path, modality: str) -> _Planned:
    volume, _ = await workspace.volumes.add(
        _PRINCIPAL,
        path,
        filename=path.name,
        modality=modality,  # type: ignore[arg-type]
    )
    return _Planned(path, volume, await workspace.warmer.plan(_PRINCIPAL, volume.id))


async def _warm(workspace: Workspace, planned: list[_Planned], windows: int) -> None:
    before = time.perf_counter()
    with tqdm(total=windows, unit="window", delay=PATIENCE_SECONDS, leave=False) as bar:
        for one in planned:
            async for _ in workspace.warmer.warm_whole(_PRINCIPAL, one.volume.id, one.warm_up):
                bar.update()
    shared = workspace.shared
    counters = None if shared is None else shared.counters
    if counters is not None and (counters.errors or counters.full):
        raise StoreUnavailable(
            f"Redis failed {counters.errors} times and was full {counters.full} times: not all of"
            " the windows are there."
        )
    print(f"{windows} windows are there after {(time.perf_counter() - before) / 60:.1f} minutes")
