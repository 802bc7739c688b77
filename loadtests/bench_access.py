"""What knowing the caller and telling the audit log cost a cached click, over HTTP.

``python -m loadtests.bench_access`` runs three services side by side on a bundle of toy size, whose
clicks are as short as they get: open and without a log; with the log, sealed by a key; and with the
log, a token's signature checked on each request, and a volume that another member owns. Clicks take
turns between them.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx

from loadtests.timing import interleave
from tests import scans
from tests.bundles import write_test_bundle
from tests.integration.serving import serving
from tests.issuer import AUDIENCE, issuing

CLICK = {"space": "voxel", "points": [{"position": list(scans.INSIDE), "label": 1}]}
OCTETS = {"Content-Type": "application/octet-stream"}


def main() -> int:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, issuing() as issuer, ExitStack() as stack:
        folder = Path(name)
        bundle = write_test_bundle(folder / "bundle", experts=["spleen"]).path
        (folder / "key").write_bytes(b"k" * 32)
        log = {"SAMMOE_AUDIT_KEY_FILE": str(folder / "key"), "SAMMOE_LOG_LEVEL": "warning"}
        tokens = {"SAMMOE_OIDC_ISSUER": issuer.url, "SAMMOE_OIDC_AUDIENCE": AUDIENCE}
        member = issuer.token(sub="bob", projects=["p"], exp=4_000_000_000)
        owner = issuer.token(sub="ann", projects=["p"], exp=4_000_000_000)
        kinds = {
            "open, no log": ({"SAMMOE_AUDIT": "off", "SAMMOE_LOG_LEVEL": "warning"}, "", ""),
            "log": (log, "", ""),
            "log, token, project": (log | tokens, owner, member),
        }
        runs: dict[str, Callable[[], object]] = {}
        for kind, (given, adds, clicks) in kinds.items():
            state = folder / kind.replace(", ", "-")
            server = stack.enter_context(serving(bundle, state, **given))
            http = stack.enter_context(server.client())
            runs[kind] = _clicks(http, adds, clicks)
        times = interleave(runs, rounds)
    first = times["open, no log"].median
    for kind in runs:
        median = times[kind].median
        print(f"{kind}: {1000 * median:.2f} ms, {median / first:.3f} of the first")
    return 0


def _clicks(http: httpx.Client, adds: str, clicks: str) -> Callable[[], object]:
    """Add a scan, and make what clicks on it."""
    query = "?project=p" if adds else ""
    headers = {"Authorization": f"Bearer {adds}"} if adds else {}
    added = http.post(f"/v1/volumes{query}", content=scans.gzipped(), headers=OCTETS | headers)
    place = f"/v1/volumes/{added.raise_for_status().json()['id']}/segmentations"
    caller = {"Authorization": f"Bearer {clicks}"} if clicks else {}

    def click() -> object:
        return http.post(place, json=CLICK, headers=caller).raise_for_status().content

    return click


if __name__ == "__main__":
    raise SystemExit(main())
