"""``sammoe triton``: a real Triton server on loopback, for a service told ``--triton-url``."""

import argparse
import os
from pathlib import Path

from sammoe.bundle import load_bundle
from sammoe.cli.bundles import find_bundle
from sammoe.tritonserver import Ports, find_environment, prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to serve, on which ports, from which environment."""
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: model_repo/)")
    parser.add_argument(
        "--grpc-port",
        type=int,
        default=8001,
        help="that the service talks to (default %(default)s)",
    )
    parser.add_argument(
        "--http-port", type=int, default=8003, help="health, for people (default %(default)s)"
    )
    parser.add_argument(
        "--metrics-port", type=int, default=8002, help="Prometheus (default %(default)s)"
    )
    parser.add_argument(
        "--config",
        choices=("tensorrt",),
        help="which description of the models to read (default: ONNX Runtime's)",
    )
    parser.add_argument(
        "--environment",
        type=Path,
        metavar="DIR",
        help="virtual environment with requirements/triton.lock (default: .venv-triton)",
    )


def run(args: argparse.Namespace) -> int:
    """Become the server; it ends with SIGTERM or Ctrl-C."""
    environment = find_environment(args.environment)
    bundle = load_bundle(find_bundle(args.bundle))
    ports = Ports(args.http_port, args.grpc_port, args.metrics_port)
    start = prepare(environment, bundle, ports, args.config)
    print(
        f"Triton loads {bundle.manifest.name} ({len(bundle.manifest.folders)} models); when it is"
        f" ready: sammoe serve --bundle {bundle.path} --triton-url 127.0.0.1:{ports.grpc}",
        flush=True,
    )
    os.execve(start.program, start.arguments, start.variables)
