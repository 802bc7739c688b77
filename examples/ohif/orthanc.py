"""Debian's Orthanc with its DICOMweb plugin, for this machine alone, in a folder that goes away."""

import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from examples.demo.service import DemoError

_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_USER: Final = "sammoe"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, repr=False)
class Orthanc:
    """A running Orthanc: its DICOMweb root, and who may use it."""

    dicomweb: str
    user: str
    password: str


@contextmanager
def orthanc(folder: Path, files: Iterable[bytes]) -> Iterator[Orthanc]:
    """Run it, with files in it.

    Raises
    ------
    DemoError
        It is not installed, or did not start.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not _PLUGIN.is_file():
        raise DemoError("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
    port, password = _free_port(), secrets.token_urlsafe(16)
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(_settings(folder, port, password)))
    settings.chmod(0o600)
    url = f"http://127.0.0.1:{port}"
    log = folder / "orthanc.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, str(settings)], stdout=output, stderr=output)
        try:
            with httpx.Client(base_url=url, auth=(_USER, password), timeout=_START_SECONDS) as http:
                _wait(http, process)
                for file in files:
                    http.post("/instances", content=file).raise_for_status()
            yield Orthanc(f"{url}/dicom-web", _USER, password)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(http: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if http.get("/dicom-web/studies", params={"limit": 1}).is_success:
                return
        except httpx.TransportError:
            pass  # not yet
        time.sleep(0.05)
    raise DemoError("Orthanc did not start")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _settings(folder: Path, port: int, password: str) -> dict[str, object]:
    files = str(folder / "files")
    return {
        "Name": "SAMMOE",
        "StorageDirectory": files,
        "IndexDirectory": files,
        "HttpPort": port,
        "DicomServerEnabled": False,
        # It listens everywhere all the same, and asks everybody for the password.
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {_USER: password},
        "OverwriteInstances": True,
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
    }
