"""OHIF with the extension, this service and Orthanc on one address, and a scan to click on.

Stays until Ctrl-C; what was drawn, and saved to that Orthanc, goes with it.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from examples.demo.service import DemoError
from examples.ohif.orthanc import Orthanc, orthanc
from examples.ohif.sample import sample_study

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / ".ohif"
PORT = 3000


def main() -> int:
    """Run all until it is stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="make ohif", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="of OHIF (default: %(default)s)")
    parser.add_argument("--bundle", type=Path, default=ROOT / "model_repo", help="bundle folder")
    parser.add_argument("--ohif", type=Path, default=SITE, help="folder that scripts/ohif.py makes")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="sammoe-ohif-") as name:
            folder = Path(name)
            print("Starting Orthanc, and loading the sample study into it ...", flush=True)
            with orthanc(folder, sample_study()) as pacs:
                return serve(args.ohif, args.bundle, args.port, folder / "state", pacs)
    except (DemoError, OSError, httpx.HTTPError) as error:
        print(f"ohif: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _stop(number: int, frame: object) -> None:
    """End as by Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


def serve(site: Path, bundle: Path, port: int, state: Path, pacs: Orthanc) -> int:
    """Run ``sammoe serve`` with OHIF and the PACS; its exit code."""
    command = [sys.executable, "-m", "sammoe", "serve", "--port", "0", "--bundle", str(bundle)]
    command += ["--state", str(state), "--ohif", str(site), "--ohif-port", str(port)]
    # The user's own settings are for the user's own service.
    environment = {name: value for name, value in os.environ.items() if "SAMMOE_" not in name}
    environment["SAMMOE_DICOMWEB_URL"] = pacs.dicomweb
    environment["SAMMOE_DICOMWEB_USER"] = pacs.user
    environment["SAMMOE_DICOMWEB_PASSWORD"] = pacs.password
    with subprocess.Popen(command, env=environment) as process:
        try:
            return process.wait()
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
