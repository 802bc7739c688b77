"""Ask for known vulnerabilities of what is locked: ``python -m scripts.audit``.

pip-audit looks each package of ``requirements/serve.lock`` up at PyPI. Exits 1 when it knows of a
vulnerability, and 2 when some could not be looked up, as without a network, or behind a mirror that
does not hand vulnerabilities on: of those nothing is known then, and this says so.
"""

import json
import subprocess
import sys
from typing import Any

from scripts.soup import LOCK


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--format", "json"]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        print(f"audit: no feed of vulnerabilities was reached, so NOTHING was checked: {why}")
        return 2
    return judge(told)


def judge(told: dict[str, Any]) -> int:
    """Print what pip-audit's JSON says; the exit code."""
    packages = told["dependencies"]
    unknown = [package for package in packages if "skip_reason" in package]
    faults = [(package, fault) for package in packages for fault in package.get("vulns", ())]
    for package, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "nothing yet"
        print(f"{package['name']} {package['version']}: {fault['id']}, mended by {mended}")
    checked = len(packages) - len(unknown)
    print(f"audit: {checked} of {len(packages)} packages looked up, {len(faults)} vulnerabilities")
    if unknown:
        print(f"audit: {len(unknown)} were NOT checked: the feed does not know them")
    return 1 if faults else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
