import socket
from pathlib import Path

import pytest

from sammoe.bundle import Bundle, load_bundle
from sammoe.bundle.assembling import upgrade
from sammoe.errors import SettingsInvalid
from sammoe.tritonserver import Ports, prepare
from sammoe.tritonserver.environment import Environment
from sammoe.tritonserver.starting import STANDS_FOR, backends
from tests.unit.bundle.bundles import EXPERT, write_bundle


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Files of the names that the server's package has."""
    environment = Environment(tmp_path / "venv", "3.11")
    names = [
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        "python_backend_stubs/3.11/triton_python_backend_stub",
    ]
    for name in names:
        path = environment.server / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return environment


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_bundle(tmp_path / "bundle", (EXPERT,))
    return upgrade(load_bundle(tmp_path / "bundle"), out=tmp_path / "bundle")


def free_ports() -> Ports:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    http, grpc, metrics = (probe.getsockname()[1] for probe in probes)
    for probe in probes:
        probe.close()
    return Ports(http, grpc, metrics)


def test_the_server_listens_on_loopback_and_loads_every_model(
    environment: Environment, bundle: Bundle
) -> None:
    ports = free_ports()

    start = prepare(environment, bundle, ports, "tensorrt")

    for protocol in ("http", "grpc", "metrics"):
        assert f"--{protocol}-address=127.0.0.1" in start.arguments
    assert f"--grpc-port={ports.grpc}" in start.arguments
    assert "--model-config-name=tensorrt" in start.arguments
    loaded = [word for word in start.arguments if word.startswith("--load-model=")]
    assert loaded == [f"--load-model={folder}" for folder in bundle.manifest.folders.values()]
    assert start.variables["PATH"].startswith(str(environment.root / "bin"))
    assert start.variables["LD_LIBRARY_PATH"].startswith(str(environment.libraries))
    assert "PYTHONPATH" not in start.variables


def test_the_stand_ins_lie_beside_the_servers_own_backend(environment: Environment) -> None:
    folder = backends(environment)

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "python/libtriton_python.so",
        "python/triton_python_backend_utils.py",
        "python/triton_python_backend_stub",
        *(f"{name}/model.py" for name in STANDS_FOR),
    }
    (folder / "onnxruntime" / "model.py").write_text("older")
    backends(environment)
    assert "class TritonPythonModel" in (folder / "onnxruntime" / "model.py").read_text()


def test_a_port_that_is_taken_is_one_clear_line(environment: Environment, bundle: Bundle) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingsInvalid, match=r"can not listen on 127.0.0.1 port \d+: Address"),
    ):
        prepare(environment, bundle, Ports(taken.getsockname()[1], 1, 1))


def test_a_bundle_without_a_selector_is_told_how_to_get_one(
    environment: Environment, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "old")
    with pytest.raises(SettingsInvalid, match="sammoe bundle upgrade"):
        prepare(environment, load_bundle(tmp_path / "old"), free_ports())
