"""A bundle and a service for all integration tests."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bundles import write_test_bundle
from tests.integration.orthanc_server import OrthancServer
from tests.integration.redis_server import RedisServer
from tests.integration.s3_server import S3Server
from tests.integration.serving import Server, serving


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle with one expert."""
    return write_test_bundle(tmp_path_factory.mktemp("bundle"), experts=["spleen"]).path


@pytest.fixture(scope="session")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with small limits that most tests share."""
    state = tmp_path_factory.mktemp("server") / "state"
    with serving(bundle, state, "--upload-limit-mib", "2") as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of it."""
    with server.client() as http:
        yield http


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that tests share: each leaves it running, with its password."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """An Orthanc with user and password that tests share; each leaves what it stored."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bearer_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """The same with a bearer token."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc-bearer"), "bearer")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that tests share: each takes a prefix of its own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.kill()
