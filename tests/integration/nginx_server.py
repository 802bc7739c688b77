"""A real nginx with a server block of ours, on loopback."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

_MAIN: Final = """
user root;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    {server}
}}
"""


@contextmanager
def nginx(folder: Path, server: str, port: int) -> Iterator[str]:
    """Run nginx while the context lasts; yields its address.

    Parameters
    ----------
    folder
        For its configuration, logs and bodies.
    server
        What stands in the http block.
    port
        Of loopback, where the block listens.
    """
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(folder=folder, server=server))
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert program is not None
    with subprocess.Popen([program, "-e", f"{folder}/early.log", "-c", str(main)]) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(200):
                try:
                    httpx.get(url)
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()
