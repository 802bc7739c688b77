"""What users meet while the bundle is exchanged under them, again and again.

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_swaps

Front ends (real ``sammoe serve`` processes) share a store, whose record of the active bundle they
follow, a Redis and a Triton server; with ``--local`` each runs the models itself, with ``--bucket``
the store is in a bucket (moto's S3 server). Threads click and refine without a pause while
``sammoe bundle publish`` and ``rollback`` exchange a bundle of one expert with one of two, some in
quick succession, some after the old models were unloaded. Bundles of arithmetic: the plumbing alone
counts. Exits 1 when a request failed, an answer is not that of the bundle that it names, or a
refinement across a swap does not say so.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from tqdm import tqdm

from sammoe.segmentation import WatchTimes
from tests.integration.redis_server import RedisServer
from tests.integration.s3_server import BUCKET, S3Server
from tests.integration.serving import serving
from tests.integration.swapping import (
    Users,
    add_volume,
    publish,
    rollback,
    serve_folder,
    two_bundles,
    wait_for_switch,
)
from tests.integration.triton.server import running

CROP = 'sammoe_phase_seconds_count{phase="crop"}'
"""Windows cut out to be encoded, of one front end."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--swaps", type=int, default=20, help="default 20")
    parser.add_argument("--front-ends", type=int, default=3, help="default 3")
    parser.add_argument("--users", type=int, default=2, help="of each front end (default 2)")
    parser.add_argument("--local", action="store_true", help="without Triton")
    parser.add_argument("--bucket", action="store_true", help="with the store in a bucket")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        bundles = two_bundles(root)
        folder = serve_folder(bundles[0], root / "served")
        redis = RedisServer(root)
        stack.callback(redis.kill)
        flags, store = [], {"SAMMOE_STATE": str(root / "state")}
        if args.bucket:
            bucket = S3Server(root)
            stack.callback(bucket.kill)
            store = bucket.environment | {"SAMMOE_STORE": f"s3://{BUCKET}/swaps"}
        if not args.local:
            triton = stack.enter_context(running(folder, root / "triton.log"))
            flags = ["--triton-url", triton.url]
        variables = store | {"SAMMOE_REDIS_URL": redis.url}
        servers = [
            stack.enter_context(serving(folder, root / "state", *flags, **variables))
            for _ in range(args.front_ends)
        ]
        urls = [server.url for server in servers]
        users = Users(urls * args.users, add_volume(urls[0]))
        users.start()
        try:
            seconds = []
            for number in tqdm(range(args.swaps), desc="swaps", unit="swap"):
                if number == 0:
                    publish(bundles[1], folder, **store)
                else:
                    rollback(folder, **store)
                began = time.monotonic()
                wait_for_switch(urls, folder)
                seconds.append(time.monotonic() - began)
                # Every fourth time the models of the bundle before are unloaded by then.
                time.sleep(1.5 * WatchTimes().grace if number % 4 == 3 else 1.0)
        finally:
            users.stop()
        return report(users, seconds, urls, users.wrong(bundles))


def report(users: Users, seconds: list[float], urls: list[str], wrong: object) -> int:
    """Print what was seen; 1 if any of it should not be."""
    answered = users.first.total() + users.refined.total() + users.crossed
    encodes = sum(
        float(line.rpartition(" ")[2])
        for url in urls
        for line in httpx.get(f"{url}/metrics").text.splitlines()
        if line.startswith(CROP)
    )
    print(
        f"{len(seconds)} swaps, {len(urls)} front ends: {answered} answers,"
        f" {users.failed.total()} failed, slowest {users.slowest:.2f} s"
    )
    print(f"{users.crossed} refinements across a swap, {users.untold} of them do not say so")
    print(f"answers that are not their bundle's: {wrong or 0}; encodes in all: {encodes:.0f}")
    print(f"all front ends had switched after {min(seconds):.1f} to {max(seconds):.1f} s")
    for answer, count in users.failed.most_common(5):
        print(f"{count} x {answer}")
    return 1 if users.failed or wrong or users.untold else 0


if __name__ == "__main__":
    sys.exit(main())
