"""A real Orthanc with its DICOMweb plugin, on loopback and a free port, which starts empty."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pytest

from tests.integration.redis_server import free_port

USER: Final = "viewer"
PASSWORD: Final = "open-sesame"
TOKEN: Final = "a-token-of-the-hospital"

_PLUGINS: Final = Path("/usr/share/orthanc/plugins")
_PATIENCE_SECONDS: Final = 60.0
_CHECK_TOKEN: Final = f"""
import orthanc

def admit(uri, **request):
    return request["headers"].get("authorization") == "Bearer {TOKEN}"

orthanc.RegisterIncomingHttpRequestFilter(admit)
"""


class OrthancServer:
    """One server; who may speak to it is said by ``auth``.

    Parameters
    ----------
    folder
        For its index, files, configuration and log.
    auth
        ``basic``: :data:`USER` with :data:`PASSWORD`; ``bearer``: :data:`TOKEN`.
    configuration
        Further members of its configuration file.
    """

    def __init__(
        self,
        folder: Path,
        auth: Literal["basic", "bearer"] = "basic",
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
        if program is None:
            pytest.skip("no Orthanc (apt-get install orthanc orthanc-dicomweb orthanc-python)")
        self._auth = auth
        self._log = folder / "orthanc.log"
        self.port = free_port()
        settings = folder / "orthanc.json"
        settings.write_text(json.dumps(self._settings(folder) | dict(configuration or {})))
        with self._log.open("ab") as log:
            command = [program, str(settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        self._wait()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb(self) -> str:
        """Root of its DICOMweb services."""
        return f"{self.url}/dicom-web"

    @property
    def headers(self) -> dict[str, str]:
        """What a request must carry besides, for ``bearer``."""
        return {"Authorization": f"Bearer {TOKEN}"} if self._auth == "bearer" else {}

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password, for ``basic``."""
        return (USER, PASSWORD) if self._auth == "basic" else None

    def client(self) -> httpx.Client:
        """A client that may speak to it."""
        return httpx.Client(
            base_url=self.url,
            headers=self.headers,
            auth=self.credentials,
            timeout=_PATIENCE_SECONDS,
        )

    def store(self, files: Iterable[bytes]) -> None:
        """Put DICOM files into it."""
        with self.client() as http:
            for file in files:
                http.post("/instances", content=file).raise_for_status()

    def empty(self) -> None:
        """Remove every patient."""
        with self.client() as http:
            for patient in http.get("/patients").raise_for_status().json():
                http.delete(f"/patients/{patient}").raise_for_status()

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(_PATIENCE_SECONDS)

    def _settings(self, folder: Path) -> dict[str, Any]:
        plugins = [str(_PLUGINS / "libOrthancDicomWeb.so")]
        settings: dict[str, Any] = {
            "Name": "TEST",
            "StorageDirectory": str(folder / "files"),
            "IndexDirectory": str(folder / "files"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": self._auth == "basic",
            "OverwriteInstances": True,
            "StableAge": 1,
            "DicomWeb": {
                "Enable": True,
                "Root": "/dicom-web/",
                "StudiesMetadata": "Full",
                "SeriesMetadata": "Full",
            },
        }
        if self._auth == "basic":
            settings["RegisteredUsers"] = {USER: PASSWORD}
        else:
            script = folder / "admit.py"
            script.write_text(_CHECK_TOKEN)
            settings["PythonScript"] = str(script)
            plugins.append(str(_PLUGINS / "libOrthancPython.so"))
        return settings | {"Plugins": plugins}

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        with self.client() as http:
            while True:
                try:
                    http.get("/dicom-web/studies", params={"limit": 1}).raise_for_status()
                    return
                except httpx.HTTPError:
                    assert self._process.poll() is None, self.log()
                    assert time.monotonic() < end, self.log()
                    time.sleep(0.05)
