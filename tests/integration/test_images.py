"""What the images run, started as processes with their own arguments and variables; only places
are others: loopback and free ports, folders of the test."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from sammoe.bundle import load_bundle
from sammoe.bundle.assembling import upgrade
from sammoe.errors import SettingsInvalid
from sammoe.tritonserver import Ports, find_environment, prepare
from scripts import make_secrets
from tests import scans
from tests.bundles import write_test_bundle
from tests.images import Stage, compose, stages
from tests.integration.redis_server import free_port
from tests.integration.serving import SILENT
from tests.integration.triton.server import free_ports, until

pytestmark = pytest.mark.integration

SERVICES = compose()["services"]


def placed(words: list[str], places: Mapping[str, str]) -> list[str]:
    """The words, with what is of a container's own replaced."""
    for here, there in places.items():
        words = [word.replace(here, there) for word in words]
    return words


@contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, ended with the context."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def healthy(words: list[str], **options: Any) -> bool:
    """Whether a health check says so."""
    return (
        subprocess.run(words, capture_output=True, timeout=60, check=False, **options).returncode
        == 0
    )


def shell(test: list[str]) -> list[str]:
    """A compose file's health check as a command."""
    return ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make secrets` makes."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    make_secrets.make(folder)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the bundle in the images, one that loads quickly."""
    root = tmp_path_factory.mktemp("images") / "models"
    write_test_bundle(root, experts=["cord"], slack=0.0, reference=True)
    upgrade(load_bundle(root), out=root)
    return root


@pytest.fixture(scope="module")
def redis_port(secrets: Path) -> Iterator[int]:
    """The composed Redis."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server (apt-get install redis-server)")
    port, service = free_port(), SERVICES["redis"]
    command = placed(service["command"], {"/run/secrets": str(secrets)})
    flags = ["--bind", "127.0.0.1", "--port", str(port)]
    check = placed(shell(service["healthcheck"]["test"]), {"redis-cli": f"redis-cli -p {port}"})
    with running([*command, *flags], secrets.with_name("redis.log"), cwd=secrets.parent):
        until(lambda: healthy(check))
        yield port


@pytest.fixture(scope="module")
def triton_port(repository: Path) -> Iterator[int]:
    """The Triton image: its command on PyPI's server, whose backends lie elsewhere."""
    try:
        environment = find_environment(None)
    except SettingsInvalid as error:
        pytest.skip(f"no Triton: {error}")
    stage = stages()["triton"]
    grpc, http, metrics = free_ports()
    start = prepare(environment, load_bundle(repository), Ports(http, grpc, metrics))
    words = placed(stage.command[1:], {"/models": str(repository)})
    ours = ("backend", "cache", "http-", "grpc-", "metrics-")
    places = [a for a in start.arguments[1:] if a.removeprefix("--").startswith(ours)]
    command = [str(start.program), *words, *places]
    check = placed(stage.health, {":8000": f":{http}"})
    with running(command, repository.with_name("triton.log"), env=dict(start.variables)):
        until(
            lambda: healthy(check), lambda: repository.with_name("triton.log").read_text()[-4000:]
        )
        yield grpc


def service_variables(stage: Stage, places: Mapping[str, str]) -> dict[str, str]:
    """Of the service's container: the image's, then those of the compose file."""
    given = stage.variables | SERVICES["sammoe"]["environment"]
    ours = {name: value for name, value in given.items() if name.startswith("SAMMOE_")}
    return dict(zip(ours, placed(list(ours.values()), places), strict=True))


def test_the_composed_service_answers_with_triton_and_redis(
    secrets: Path, repository: Path, redis_port: int, triton_port: int, tmp_path: Path
) -> None:
    stage, port = stages()["service"], free_port()
    key = (secrets / "api-keys").read_text().splitlines()[0].partition(":")[2]
    (tmp_path / "secrets").mkdir()
    for path in secrets.iterdir():
        # As the names of containers: where on loopback they are.
        text = path.read_text().replace("@redis:6379", f"@127.0.0.1:{redis_port}")
        (tmp_path / "secrets" / path.name).write_text(text)
    places = {
        "/opt/sammoe/model_repo": str(repository),
        "/var/lib/sammoe": str(tmp_path / "state"),
        "/run/secrets": str(tmp_path / "secrets"),
        "triton:8001": f"127.0.0.1:{triton_port}",
        "0.0.0.0": "127.0.0.1",
    }
    program = Path(sys.executable).with_name(stage.entrypoint[0])
    command = [str(program), *stage.entrypoint[1:], *stage.command]
    variables = SILENT | service_variables(stage, places) | {"SAMMOE_PORT": str(port)}
    check = placed(stage.health, {":8000": f":{port}"})
    check[0] = sys.executable
    log = tmp_path / "service.log"
    with running(command, log, env=variables):
        until(lambda: healthy(check), log.read_text)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            assert "without Redis" not in http.get("/readyz").text
            assert http.post("/v1/volumes").status_code == 401
            http.headers["Authorization"] = f"Bearer {key}"
            answer = http.post("/v1/volumes", files={"file": scans.gzipped()})
            volume = answer.raise_for_status().json()["id"]
            place = {"position": [20, 30, 20], "label": 1}
            made = http.post(
                f"/v1/volumes/{volume}/segmentations", json={"space": "voxel", "points": [place]}
            )
            assert made.raise_for_status().json()["volume_ml"] > 0
            metrics = http.get("/metrics").text
    assert 'sammoe_embeddings_total{level="redis",outcome="miss"} 1.0' in metrics
    url = (tmp_path / "secrets" / "redis-url").read_text().strip()
    with redis.Redis.from_url(url) as client:
        assert list(client.scan_iter("sammoe:embedding:*"))


def test_the_service_refuses_to_start_in_a_container_without_keys(tmp_path: Path) -> None:
    stage = stages()["service"]
    places = {"/opt/sammoe/model_repo": "model_repo", "/var/lib/sammoe": str(tmp_path / "state")}
    program = Path(sys.executable).with_name(stage.entrypoint[0])
    variables = service_variables(Stage("", stage.variables), places)
    without = {name: v for name, v in variables.items() if name in stage.variables}

    done = subprocess.run(
        [str(program), *stage.entrypoint[1:], *stage.command],
        env=SILENT | without | {"SAMMOE_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "0.0.0.0" in done.stderr
