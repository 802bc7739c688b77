"""Servers are described by settings, and wrong descriptions are said without their secrets."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from sammoe.errors import SettingsInvalid
from sammoe.pacs import servers_from
from sammoe.settings import Settings


def load(**given: object) -> Settings:
    return Settings.load(given)


def test_none_is_set_by_default() -> None:
    assert servers_from(load()) == ()


def test_one_server_is_the_default_one() -> None:
    (found,) = servers_from(
        load(dicomweb_url="https://pacs/dicom-web/", dicomweb_user="u", dicomweb_password="p")
    )

    assert (found.name, found.url, found.user) == ("default", "https://pacs/dicom-web", "u")
    assert found.password.get_secret_value() == "p"
    assert "p'" not in repr(found)


def test_a_file_has_more(tmp_path: Path) -> None:
    file = tmp_path / "servers.toml"
    file.write_text(
        '[main]\nurl = "http://a/x"\nnetworks = ["10.0.0.0/8"]\n'
        '[research]\nurl = "http://b"\ntoken = "t"\n'
    )

    found = servers_from(load(dicomweb_url="http://c", dicomweb_file=file))

    assert [server.name for server in found] == ["default", "main", "research"]
    assert found[1].networks == (ip_network("10.0.0.0/8"),)
    assert found[2].token.get_secret_value() == "t"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[main]", "url: Field required"),
        ('[main]\nurl = "ftp://a"', "url is http://"),
        ('[main]\nurl = "http://"', "url is http://"),
        ('[main]\nurl = "http://user:hush@a"', "credentials go into"),
        ('[main]\nurl = "http://a"\nuser = "u"\ntoken = "hush"', "not both"),
        ('[main]\nurl = "http://a"\npasswort = "hush"', "passwort: Extra inputs"),
        ('[main]\nurl = "http://a"\nnetworks = ["here"]', "networks"),
        ('[Main Server]\nurl = "http://a"', "no TOML"),
        ('["Main Server"]\nurl = "http://a"', "a name is of"),
        ("main = 3", "server"),
        ("hush", "no TOML"),
    ],
)
def test_wrong_descriptions_are_said(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "servers.toml"
    file.write_text(text)

    with pytest.raises(SettingsInvalid, match=message) as caught:
        servers_from(load(dicomweb_file=file))

    assert "SAMMOE_DICOMWEB_FILE" in caught.value.detail
    assert "hush" not in caught.value.detail


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="can not be read"):
        servers_from(load(dicomweb_file=tmp_path / "absent"))
