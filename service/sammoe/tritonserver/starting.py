"""Starting the server: its folder of backends, its arguments, its variables."""

import ctypes.util
import filecmp
import os
import shutil
import socket
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sammoe.bundle import Bundle
from sammoe.errors import SettingsInvalid
from sammoe.tritonserver.environment import Environment

HOST: Final = "127.0.0.1"

STANDS_FOR: Final = ("onnxruntime", "tensorrt")
"""Backends of NVIDIA's container that `sammoe.tritonserver.standin` runs as."""

EXIT_SECONDS: Final = 20
"""How long a server that is told to end lets what runs finish."""

_LOAD_SECONDS: Final = 120
"""How long an instance of a model may take to load, on a busy machine."""

_SHARED_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Ports:
    """TCP ports on loopback; ``grpc`` is the one that the service talks to."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Start:
    """What to execute: the program, its arguments, and its variables."""

    program: Path
    arguments: tuple[str, ...]
    variables: Mapping[str, str]


def prepare(
    environment: Environment, bundle: Bundle, ports: Ports, config: str | None = None
) -> Start:
    """Make ready to serve a bundle's models and its selector, on loopback.

    Parameters
    ----------
    config
        Name of the description that is read of each model that has it, in place of
        ``config.pbtxt``: ``tensorrt``.

    Raises
    ------
    SettingsInvalid
        A port is taken, a library is missing, or the bundle has no selector; the detail says what
        to do.
    """
    manifest = bundle.manifest
    if manifest.selector is None:
        raise SettingsInvalid(
            f"{bundle.path} has no selector for Triton: add it with sammoe bundle upgrade"
        )
    for port in (ports.http, ports.grpc, ports.metrics):
        _check_free(port)
    forbid_caches(environment)
    server = environment.server
    prefix = f"sammoe-triton-{ports.grpc}-"
    arguments = {
        "model-repository": bundle.path.absolute(),
        "backend-directory": backends(environment),
        "cache-directory": server / "caches",
        "model-control-mode": "explicit",
        "exit-on-error": "false",  # an expert that can not be loaded costs itself alone
        "http-address": HOST,
        "grpc-address": HOST,
        "metrics-address": HOST,
        "http-port": ports.http,
        "grpc-port": ports.grpc,
        "metrics-port": ports.metrics,
        "exit-timeout-secs": EXIT_SECONDS,
        **({"model-config-name": config} if config else {}),
    }
    # What a server that was killed has left; this one's port is free, so nobody uses it.
    for left in _SHARED_MEMORY.glob(f"{prefix}*"):
        left.unlink(missing_ok=True)
    program = server / "bin" / "tritonserver"
    return Start(
        program,
        (
            str(program),
            *(f"--{name}={value}" for name, value in arguments.items()),
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            f"--backend-config=python,stub-timeout-seconds={_LOAD_SECONDS}",
            *(f"--load-model={folder}" for folder in manifest.folders.values()),
        ),
        _variables(environment),
    )


def backends(environment: Environment) -> Path:
    """The folder of backends: Python's for the environment's interpreter, and the stand-ins."""
    server, folder = environment.server, environment.root / "backends"
    python = server / "backends" / "python"
    stub = server / "python_backend_stubs" / environment.python / "triton_python_backend_stub"
    standin = Path(__file__).with_name("standin.py")
    files = {
        "python/libtriton_python.so": python / "libtriton_python.so",
        "python/triton_python_backend_utils.py": python / "triton_python_backend_utils.py",
        "python/triton_python_backend_stub": stub,
        **{f"{name}/model.py": standin for name in STANDS_FOR},
    }
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and filecmp.cmp(source, target):
            continue
        # Another server may be running from it: it is replaced in one step. Triton takes no links
        # that lead out of the folder.
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copy2(source, fresh)
        fresh.replace(target)
    return folder


def forbid_caches(environment: Environment) -> None:
    """Keep the interpreter from leaving ``__pycache__`` in a bundle, whose folders may hold nothing
    but what the manifest lists. It heeds no environment variable, but it reads ``.pth`` files."""
    path = environment.packages / "sammoe-no-bytecode.pth"
    path.write_text("import sys; sys.dont_write_bytecode = True\n")


def _variables(environment: Environment) -> dict[str, str]:
    # The stub links to the interpreter's shared library, and finds its packages through the first
    # python3 on the PATH.
    libraries = [str(environment.libraries)]
    shared = sysconfig.get_config_var("LDLIBRARY")
    home = Path(sysconfig.get_config_var("LIBDIR") or "/")
    if (home / str(shared)).is_file():
        libraries.append(str(home))
    elif ctypes.util.find_library(f"python{environment.python}") is None:
        package = f"libpython{environment.python}"
        raise SettingsInvalid(f"Triton needs {package}.so: apt-get install {package}")
    before = {name: os.environ.get(name, "") for name in ("LD_LIBRARY_PATH", "PATH")}
    paths = {
        "LD_LIBRARY_PATH": [*libraries, before["LD_LIBRARY_PATH"]],
        "PATH": [str(environment.root / "bin"), before["PATH"]],
    }
    joined = {name: os.pathsep.join(filter(None, parts)) for name, parts in paths.items()}
    kept = {n: v for n, v in os.environ.items() if n not in {"PYTHONPATH", "PYTHONHOME"}}
    return kept | {"OMP_WAIT_POLICY": "passive"} | joined


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingsInvalid(
                f"can not listen on {HOST} port {port}: {error.strerror}"
            ) from None
