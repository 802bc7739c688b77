"""Clicks with the store in a bucket against the store in a folder.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_store

vit_b size, random weights, the MNI152 1 mm template of nilearn, 2 threads, general route, answers
as packed masks. Two real ``sammoe serve`` on loopback, one on a folder, one on a bucket of moto's
S3 server, which is a process of its own on loopback, too: what is measured is what the requests
themselves cost, not a network. Clicks are interleaved. Exits 1 when a mask differs.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from loadtests.bench_clicks import add_volume, click, mni_template, random_bundle, server
from loadtests.timing import interleave

BUCKET = "bench"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="cached clicks of each (default 25)")
    parser.add_argument("--firsts", type=int, default=5, help="first clicks of each (default 5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, s3_server() as endpoint:
        folder = Path(name)
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-east-1",
        }
        bundle = random_bundle(folder / "bundle")
        with (
            server(bundle, folder / "folder") as near,
            server(bundle, folder / "scratch", "--store", f"s3://{BUCKET}/state") as far,
            httpx.Client(base_url=near, timeout=120) as http,
            httpx.Client(base_url=far, timeout=120) as s3,
        ):
            return compare({"folder": http, "bucket": s3}, args)


def compare(clients: dict[str, httpx.Client], args: argparse.Namespace) -> int:
    """Measure and print; 0 when the masks agree."""
    template = mni_template()
    volumes = {
        name: [add_volume(http, template, number) for number in range(args.firsts + 1)]
        for name, http in clients.items()
    }
    fresh = {name: iter(each) for name, each in volumes.items()}
    first = interleave(
        {
            name: lambda name=name: click(clients[name], next(fresh[name]))  # type: ignore[misc]
            for name in clients
        },
        args.firsts,
    )
    cached = interleave(
        {
            name: lambda name=name: click(clients[name], volumes[name][0])  # type: ignore[misc]
            for name in clients
        },
        args.rounds,
    )
    for title, times in (("first click", first), ("cached click", cached)):
        print(f"{title}, median:")
        for name, value in times.items():
            print(f"  {name:8} {value}")
    for title, times in (("first", first), ("cached", cached)):
        ratio = times["bucket"].median / times["folder"].median
        print(f"{title} click, bucket / folder  {ratio:6.2f}")
    masks = {click(http, volumes[name][0]).content for name, http in clients.items()}
    print("masks are", "equal" if len(masks) == 1 else "DIFFERENT")
    return 0 if len(masks) == 1 else 1


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's S3 server with a bucket; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT"))
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
