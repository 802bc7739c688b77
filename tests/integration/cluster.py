"""The whole of it on one machine: nginx before front ends, two Tritons behind them, one Redis.

Real processes of each, with the nginx configuration of ``deploy/nginx``. Front ends share a store
and a Redis, and are spread over the Tritons.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.integration.redis_server import RedisServer, free_port
from tests.integration.serving import Server, serving
from tests.integration.triton.server import TritonServer, running

CONFIGURATION: Final = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "sammoe.conf"

_NGINX: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream front_ends {{
        hash $sammoe_about consistent;
        {servers}
        keepalive 16;
    }}
{sammoe}
}}
"""


@dataclass(frozen=True, eq=False)
class Cluster:
    """What runs; ``url`` is nginx."""

    url: str
    front_ends: Sequence[Server]
    tritons: Sequence[TritonServer]
    redis: RedisServer

    def counted(self, name: str) -> list[float]:
        """A counter of each front end, all its series together; 0 of one that does not answer."""
        return [_count(server.url, name) for server in self.front_ends]


@contextmanager
def cluster(bundle: Path, folder: Path, front_ends: int = 3) -> Iterator[Cluster]:
    """All of it, ready; ended at the end."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        started = [running(bundle, folder / f"triton-{n}.log") for n in range(2)]
        tritons = [*pool.map(stack.enter_context, started)]

        def front_end(number: int) -> Server:
            state, triton = folder / "state", tritons[number % len(tritons)]
            flags = ("--triton-url", triton.url, "--redis-url", redis.url)
            server = serving(bundle, state, *flags, "--log-level", "warning")
            return stack.enter_context(server)

        first = front_end(0)  # makes the store
        servers = [first, *pool.map(front_end, range(1, front_ends))]
        ports = [server.port for server in servers]
        yield Cluster(stack.enter_context(nginx(ports, folder / "nginx")), servers, tritons, redis)


@contextmanager
def nginx(ports: Sequence[int], folder: Path) -> Iterator[str]:
    """A real nginx before servers on these ports; its URL."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    folder.mkdir()
    port = free_port()
    servers = "\n".join(f"server 127.0.0.1:{p} max_fails=1 fail_timeout=2s;" for p in ports)
    sammoe = CONFIGURATION.read_text().replace("listen 8080;", f"listen 127.0.0.1:{port};")
    text = _NGINX.format(folder=folder, servers=servers, sammoe=sammoe)
    (folder / "nginx.conf").write_text(text)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen([*command, "-e", str(folder / "nginx.log")])
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/nginx-health").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, (folder / "nginx.log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _count(url: str, name: str) -> float:
    try:
        text = httpx.get(f"{url}/metrics", timeout=60).text
    except httpx.TransportError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
