"""Three front ends behind nginx, two Tritons and a Redis: what is lost while each is killed?

Run from the project's root::

    OMP_WAIT_POLICY=passive python -m loadtests.bench_replicas

A bundle of arithmetic, for only the plumbing counts. Threads click without a pause, each click with
an Idempotency-Key, and try once more where it broke off. With SIGKILL go the Redis, a Triton and a
front end, in turn; Redis and Triton come back after a while. Lost is a click without a mask after
its second try and without a refusal (429, 503) that says when to come again. Exits 1 when any was
lost, or when a key made two segmentations.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests import scans
from tests.integration.clickers import Clickers, segmentations
from tests.integration.cluster import Cluster, cluster
from tests.integration.triton.conftest import make_bundle
from tests.integration.triton.server import until

VOLUMES = 9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clickers", type=int, default=8, help="threads (default 8)")
    parser.add_argument("--seconds", type=float, default=6, help="between two events (default 6)")
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle = make_bundle(root / "bundle")
        with cluster(bundle.path, root) as whole, httpx.Client(base_url=whole.url) as http:
            http.timeout = httpx.Timeout(120)
            for number, victim in enumerate(("Redis", "Triton", "front end")):
                volumes = [_add(http, 100 * number + seed) for seed in range(VOLUMES)]
                with Clickers(whole.url, volumes, args.clickers) as users:
                    until(lambda users=users: len(users.made) > 0)  # type: ignore[misc]
                    time.sleep(args.seconds)
                    _kill(whole, victim)
                    time.sleep(args.seconds)
                    _bring_back(whole, victim)
                    time.sleep(args.seconds)
                kept = [one for volume in volumes for one in segmentations(http, volume)]
                twice = len(kept) - len({*users.made.values()})
                told = ", ".join(f"{count} {kind}" for kind, count in users.answers.items())
                print(
                    f"{victim} killed: {told}, {len(users.lost)} lost;"
                    f" {twice} segmentations beside those that were answered;"
                    f" slowest {users.slowest:.1f} s",
                    flush=True,
                )
                for why in users.lost[:5]:
                    print(f"  lost: {why}")
                bad += len(users.lost) + max(twice - users.answers["refused"], 0)
    return 1 if bad else 0


def _kill(whole: Cluster, victim: str) -> None:
    match victim:
        case "Redis":
            whole.redis.kill()
        case "Triton":
            whole.tritons[0].stop(signal.SIGKILL)
        case _:
            whole.front_ends[-1].process.send_signal(signal.SIGKILL)


def _bring_back(whole: Cluster, victim: str) -> None:
    match victim:
        case "Redis":
            whole.redis.start()
        case "Triton":
            whole.tritons[0].start()


def _add(http: httpx.Client, seed: int) -> str:
    headers = {"Content-Type": "application/octet-stream"}
    answer = http.post("/v1/volumes", content=scans.gzipped(seed), headers=headers)
    return str(answer.raise_for_status().json()["id"])


if __name__ == "__main__":
    sys.exit(main())
