"""Damaged DICOM and NIfTI files, sent to a real service: none may be more than it can take.

Run from the project's root::

    python -m loadtests.fuzz_files --count 5000

Prints what was answered, the slowest answer, and how much memory the service did not give back.
Exits 1 when an answer was of status 500 or above, or none came.
"""

import argparse
import tempfile
from pathlib import Path

from tests.bombard import bombard
from tests.bundles import write_test_bundle
from tests.integration.serving import serving


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="files (default 5000)")
    parser.add_argument("--seed", type=int, default=1, help="other files (default 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bundle = write_test_bundle(Path(name) / "bundle").path
        with serving(bundle, Path(name) / "state") as server, server.client() as http:
            report = bombard(http, server.process.pid, args.count, args.seed)
            http.get("/readyz").raise_for_status()
    for code, number in report.answers.most_common():
        print(f"{number:6}  {code}")
    print(*report.faults, sep="\n")
    print(
        f"{args.count} files, {len(report.faults)} faults, slowest answer {report.slowest:.2f} s,"
        f" memory {report.growth / 2**20:+.1f} MiB"
    )
    return int(bool(report.faults))


if __name__ == "__main__":
    raise SystemExit(main())
