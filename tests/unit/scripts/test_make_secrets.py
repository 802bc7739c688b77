import json
import re
import stat
from pathlib import Path

from sammoe.access import KeyRing
from sammoe.audit.seals import Sealer
from sammoe.pacs import servers_from
from sammoe.settings import Settings
from scripts import make_secrets


def test_keys_are_long_fit_each_other_and_are_taken_by_the_service(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets.make(folder)

    given = {
        "api_keys_file": folder / "api-keys",
        "redis_url_file": folder / "redis-url",
        "audit_key_file": folder / "audit-key",
    }
    settings = Settings.load(given)
    Sealer.from_file(settings.audit_key_file)
    assert [principal for principal, _ in KeyRing.from_settings(settings).entries] == [
        "admin",
        "metrics",
    ]
    scraper = (folder / "metrics-key").read_text().strip()
    assert f"metrics:{scraper}" in (folder / "api-keys").read_text().splitlines()
    password = re.fullmatch(r"requirepass (\w{48})\n", (folder / "redis.conf").read_text())
    assert password is not None
    assert settings.redis() == f"redis://:{password[1]}@redis:6379/0"
    orthanc = json.loads((folder / "orthanc.json").read_text())
    assert orthanc["AuthenticationEnabled"] is True
    ((user, password_there),) = orthanc["RegisteredUsers"].items()
    assert len(password_there) == 48
    (pacs,) = servers_from(Settings.load({"dicomweb_file": folder / "dicomweb.toml"}))
    assert pacs.url == "http://orthanc:8042/dicom-web"
    assert (pacs.user, pacs.password.get_secret_value()) == (user, password_there)


def test_the_folder_is_its_owners_and_what_is_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets.make(folder)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    make_secrets.make(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    (folder / "metrics-key").unlink()
    (folder / "redis.conf").unlink()
    make_secrets.make(folder)

    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {
        "redis.conf",
        "redis-url",
        "metrics-key",
        "api-keys",
    }
    assert after["api-keys"].startswith(before["api-keys"])  # nobody is shut out
