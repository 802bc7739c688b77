"""Write docs/soup.md: ``python -m scripts.soup``, in the project's own environment.

Software of unknown provenance, as IEC 62304 calls what a product uses and did not make: each
package of a served installation, with version, licence, what it is for and where its anomalies are
told. It is made from ``requirements/serve.lock``, ``pyproject.toml`` and what the packages say
of themselves; a test fails when it is not what this writes.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final

from scripts.locked import Pin, normalised, pins

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements" / "serve.lock"
PAGE: Final = ROOT / "docs" / "soup.md"

PURPOSES: Final[Mapping[str, str]] = {
    "async-timeout": "deadlines in redis-py on old Pythons",
    "blosc2": "arrays of nnInteractive's viewers",
    "fastapi": "routes of the HTTP API",
    "highdicom": "DICOM SEG",
    "hiredis": "parsing Redis' answers",
    "httptools": "parsing HTTP",
    "httpx": "asking DICOMweb servers",
    "isal": "deflating masks and logits, checksums",
    "nibabel": "NIfTI",
    "numpy": "arrays",
    "obstore": "records in a bucket",
    "onnxruntime": "running the models on the CPU",
    "opentelemetry-exporter-otlp-proto-http": "sending traces",
    "opentelemetry-sdk": "making traces",
    "pillow": "decoding DICOM pixels (JPEG)",
    "prometheus-client": "metrics",
    "pydantic": "checking requests and records",
    "pydantic-settings": "settings",
    "pydicom": "DICOM",
    "pyjpegls": "decoding DICOM pixels (JPEG-LS)",
    "pyjwt": "checking tokens of an identity provider",
    "pylibjpeg": "decoding DICOM pixels",
    "pylibjpeg-libjpeg": "decoding DICOM pixels (JPEG)",
    "pylibjpeg-openjpeg": "decoding DICOM pixels (JPEG 2000)",
    "python-multipart": "uploads in forms",
    "redis": "embeddings shared by front ends",
    "scipy": "resampling",
    "tqdm": "progress on the command line",
    "tritonclient": "asking Triton",
    "uvicorn": "the HTTP server",
    "uvloop": "the event loop",
}
"""Of what the project asks for itself; the others are what these need."""

_HEAD: Final = """# SOUP list

Software of unknown provenance, in the sense of IEC 62304: every package of a served installation,
from `requirements/serve.lock`, whose hashes are checked when it is installed. `make soup` writes
this page, and a test says when it is out of date. The containers' images (Python, NVIDIA's Triton,
Redis, nginx) have their own lists; `Dockerfile`, `docker-compose.yml` and `deploy/kubernetes` name
their versions. `make sbom` writes the same, with hashes and the weights, as CycloneDX; `make audit`
asks for known vulnerabilities.

{count} packages, {direct} of them asked for by the project itself.

| package | version | licence | for | anomalies |
|---|---|---|---|---|
"""


def main() -> int:
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(ROOT)} written")
    return 0


def page() -> str:
    """The whole page."""
    found, direct = list(pins(LOCK)), asked_for()
    rows = [_row(pin, direct) for pin in found]
    return _HEAD.format(count=len(found), direct=len(direct)) + "\n".join(rows) + "\n"


def asked_for() -> set[str]:
    """Names of the packages that the project asks for where it serves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    serving = re.search(r"^SERVING = (.*)$", makefile, re.MULTILINE)
    assert serving is not None
    extras = re.findall(r"--extra (\S+)", serving[1])
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return {normalised(name[0]) for name in names if name is not None}


def _row(pin: Pin, direct: set[str]) -> str:
    purpose = PURPOSES[pin.name] if pin.name in direct else f"needed by {_needed(pin)}"
    name = f"**{pin.name}**" if pin.name in direct else pin.name
    return f"| {name} | {pin.version} | {licence(pin.name)} | {purpose} | {anomalies(pin.name)} |"


def _needed(pin: Pin) -> str:
    others = [by for by in pin.needed_by if not by.startswith(("sam-med3d-moe", "-c ", "-r "))]
    return ", ".join(others) or "the platform"


def licence(name: str) -> str:
    """SPDX expression or short name, as the package says; a dash where it says nothing."""
    try:
        told: Any = metadata(name)
    except PackageNotFoundError:
        return "-"
    if expression := told.get("License-Expression"):
        return str(expression)
    told_of = [str(c) for c in told.get_all("Classifier") or () if "License ::" in c]
    classifiers = [line.split(" :: ")[-1] for line in told_of]
    plain = (told.get("License") or "").strip().splitlines()
    short = plain[0] if plain and len(plain[0]) < 40 else ""
    return ", ".join(classifiers) or short or "-"


def anomalies(name: str) -> str:
    """Where the package's makers say that its faults are told, else its page on PyPI."""
    try:
        urls = metadata(name).get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    split = (line.partition(",") for line in urls)
    pairs = [(label.strip().lower(), url.strip()) for label, _, url in split]
    for wanted in ("issue", "bug", "tracker", "source", "repository", "code", "github", "homepage"):
        for label, url in pairs:
            if wanted in label:
                return f"<{url}>"
    return f"<https://pypi.org/project/{name}/>"


if __name__ == "__main__":
    sys.exit(main())
