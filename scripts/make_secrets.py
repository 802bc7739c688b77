"""Keys and passwords for docker-compose.yml: ``python scripts/make_secrets.py``.

Makes the folder ``secrets/`` beside it. What is there already stays, so that the command can be
given again. The folder can be read by its owner alone; the files by anybody, for in their
containers users of other numbers read them.
"""

import json
import secrets
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "secrets"
PRINCIPAL: Final = "admin"
"""Whose the API key is."""

SCRAPER: Final = "metrics"
"""Whose the key is with which Prometheus asks; it owns nothing."""

_BYTES: Final = 24
_PACS: Final = """[orthanc]
url = "http://orthanc:8042/dicom-web"
user = {user}
password = {password}
"""


def main() -> int:
    """Make what is missing, and say where the API key is."""
    make(FOLDER)
    print(f"{FOLDER.relative_to(ROOT)}/api-keys holds the API key of {PRINCIPAL}, after the colon")
    return 0


def make(folder: Path) -> None:
    """Write every secret that ``folder`` lacks."""
    folder.mkdir(mode=0o700, exist_ok=True)
    put(folder / "api-keys", f"{PRINCIPAL}:{secrets.token_hex(_BYTES)}\n")
    put(folder / "audit-key", f"{secrets.token_hex(32)}\n")
    put(folder / "metrics-key", f"{secrets.token_hex(_BYTES)}\n")
    let_in(folder / "api-keys", SCRAPER, (folder / "metrics-key").read_text().strip())
    put(folder / "grafana-password", f"{secrets.token_hex(_BYTES)}\n")
    # Redis and its client must agree: one without the other is made again.
    if not all((folder / name).exists() for name in ("redis.conf", "redis-url")):
        password = secrets.token_hex(_BYTES)
        for name in ("redis.conf", "redis-url"):
            (folder / name).unlink(missing_ok=True)
        put(folder / "redis.conf", f"requirepass {password}\n")
        put(folder / "redis-url", f"redis://:{password}@redis:6379/0\n")
    users = {PRINCIPAL: secrets.token_hex(_BYTES)}
    orthanc = folder / "orthanc.json"
    settings = {"AuthenticationEnabled": True, "RegisteredUsers": users}
    put(orthanc, json.dumps(settings, indent=2) + "\n")
    # The service's way to that Orthanc.
    user, password = next(iter(json.loads(orthanc.read_text())["RegisteredUsers"].items()))
    text = _PACS.format(user=json.dumps(user), password=json.dumps(password))
    put(folder / "dicomweb.toml", text)


def let_in(keys: Path, principal: str, key: str) -> None:
    """Add a key to a file of them that does not have it."""
    lines = keys.read_text().splitlines()
    if f"{principal}:{key}" not in lines:
        keys.write_text("\n".join([*lines, f"{principal}:{key}"]) + "\n")


def put(path: Path, text: str) -> None:
    """Write a file that is not there."""
    if not path.exists():
        path.write_text(text)
        path.chmod(0o644)


if __name__ == "__main__":
    sys.exit(main())
