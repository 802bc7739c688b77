"""``sammoe warm`` with a real Redis: a service that shares it finds every window."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammoe.cli import main
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.segmentation import Point, Prompt, Workspace
from sammoe.store import EmbeddingCache, LocalStore
from sammoe.store.redis import RedisEmbeddings
from tests import scans
from tests.bundles import write_test_bundle
from tests.integration.redis_server import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


async def test_clicks_after_a_warm_up_find_their_windows(
    redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    bundle = write_test_bundle(tmp_path / "bundle")
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(scans.gzipped())
    words = ["warm", str(scan), "--bundle", str(bundle.path), "--redis-url", redis.url]
    words += ["--modality", "MR", "--threads", "1"]
    assert await asyncio.to_thread(main, [*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    windows = int(re.findall(r"in all: (\d+) windows, about [\d.]+ minutes, \d+ MiB", said)[0])
    assert redis.client().dbsize() == 0
    assert await asyncio.to_thread(main, [*words, "--budget-mib", "0"]) == 2
    assert "--budget-mib 0" in capsys.readouterr().err
    assert redis.client().dbsize() == 0
    assert await asyncio.to_thread(main, words) == 0
    assert f"{windows} windows are there" in capsys.readouterr().out
    engine = LocalEngine(bundle, EngineOptions(encoder_threads=1, decoder_threads=1))
    store, shared = LocalStore(tmp_path / "state"), RedisEmbeddings(redis.url)
    workspace = Workspace(engine, store, EmbeddingCache(0), shared=shared)
    volume, _ = await workspace.volumes.add("alice", scan, modality="MR")
    for place in ((5, 5, 5), (30, 35, 25), (55, 65, 45)):
        made = await workspace.segment("alice", volume.id, Prompt((Point(*place),)))
        assert made.timings.cache == "hit"
    await workspace.close()
    await shared.close()
    await engine.close()
    store.close()
