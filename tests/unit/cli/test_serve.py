import argparse
from pathlib import Path

import pytest
import trustme

from sammoe.access import Access
from sammoe.bundle import load_bundle
from sammoe.cli import build_parser, main
from sammoe.cli.auditing import auditing
from sammoe.cli.listening import listen
from sammoe.cli.serve import greeting
from sammoe.errors import AuditUnavailable, SettingsInvalid
from sammoe.settings import Settings, env_name, flag


def test_every_setting_is_a_flag_with_its_variable_in_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"{flag(name)} " in words
        assert f"[env {env_name(name)}" in words
        assert field.description
    assert "[env SAMMOE_PORT, default 8000]" in words


def test_flags_that_are_not_given_leave_the_environment_its_say() -> None:
    args = build_parser("serve").parse_args(["serve", "--port", "1", "--insecure"])
    given = {name: getattr(args, name) for name in Settings.model_fields}
    assert {name: value for name, value in given.items() if value is not None} == {
        "port": "1",
        "insecure": True,
    }
    assert isinstance(args, argparse.Namespace)


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        (["--host", "0.0.0.0"], {}, "--insecure"),
        (["--host", "::"], {}, "--insecure"),
        (["--host", "192.0.2.1"], {}, "--insecure"),
        (["--host", "192.0.2.1", "--insecure"], {}, "can not listen on 192.0.2.1"),
        (["--host", "no.such.invalid", "--insecure"], {}, "no address to listen on"),
        (["--bundle", "/nowhere"], {}, "bundle.json can not be read"),
        (["--port", "eighty"], {}, "--port (SAMMOE_PORT)"),
        ([], {"SAMMOE_PORT": "eighty"}, "--port (SAMMOE_PORT)"),
        ([], {"SAMMOE_API_KEYS": "ann:Doe"}, "SAMMOE_API_KEYS"),
        ([], {"SAMMOE_API_KEYS": ""}, "hold no key"),
        (["--allowed-origins", "*"], {}, "--allowed-origins"),
    ],
)
def test_what_it_can_not_do_is_one_clear_line(
    flags: list[str],
    environment: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    state = ["--state", str(tmp_path / "state")]
    port = [] if "--port" in flags or environment else ["--port", "0"]
    assert main(["serve", *state, *port, *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert "Doe" not in captured.err


def test_a_state_folder_that_is_a_file_is_one_clear_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state"
    file.write_text("not a folder")
    words = ["--bundle", str(bundle), "--state", str(file), "--port", "0", "--threads", "1"]
    assert main(["serve", *words]) == 2
    assert capsys.readouterr().err.startswith("sammoe serve: The store failed")


def test_a_taken_port_is_said() -> None:
    with listen("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"port {port}"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("given", "url", "access"),
    [
        ({}, "http://127.0.0.1:", "this machine only"),
        ({"host": "localhost"}, "http://localhost:", "this machine only"),
        ({"host": "0.0.0.0", "insecure": True}, "http://0.0.0.0:", "ANYBODY"),
        ({"api_keys": "ann:ann-has-a-long-key"}, "http://127.0.0.1:", "principals: ann"),
    ],
)
def test_the_greeting_says_where_everything_is(
    bundle: Path, tmp_path: Path, given: dict[str, object], url: str, access: str
) -> None:
    settings = Settings.load({"state": tmp_path / "state", **given})
    with listen(settings.host, 0) as listener:
        lines = greeting(settings, Access.from_settings(settings), load_bundle(bundle), listener)
        port = listener.getsockname()[1]
    assert f"{url}{port}/v1" in lines
    assert f"{url}{port}/viewer/" in lines
    assert access in lines
    assert str(bundle) in lines
    assert str(tmp_path / "state") in lines
    assert "ann-has-a-long-key" not in lines


def test_an_ipv6_address_is_written_in_brackets(bundle: Path) -> None:
    with listen("127.0.0.1", 0) as listener:
        settings = Settings.load({"host": "::1"})
        lines = greeting(settings, Access(), load_bundle(bundle), listener)
        assert f"http://[::1]:{listener.getsockname()[1]}/v1" in lines


@pytest.mark.parametrize("case", ["other key", "no certificate", "key alone", "garbage"])
def test_a_certificate_that_is_none_is_one_line(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for name, place in (("127.0.0.1", key), ("other.example", tmp_path / "other.pem")):
        issued = trustme.CA().issue_cert(name)
        issued.private_key_pem.write_to_path(place)
        if place == key:
            issued.cert_chain_pems[0].write_to_path(certificate)
    (tmp_path / "garbage").write_text("no PEM")
    given = {
        "other key": ["--tls-certificate", certificate, "--tls-key", tmp_path / "other.pem"],
        "no certificate": ["--tls-certificate", tmp_path / "missing", "--tls-key", key],
        "key alone": ["--tls-key", key],
        "garbage": ["--tls-certificate", tmp_path / "garbage", "--tls-key", key],
    }[case]
    assert main(["serve", "--state", str(tmp_path / "state"), *map(str, given)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "--tls-certificate" in said.err


@pytest.mark.fault("S21")
@pytest.mark.parametrize("origins", ["*", "https://*.example", "https://ohif.example/path", "null"])
def test_an_origin_that_is_none_is_one_line(
    origins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--allowed-origins", origins]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "--allowed-origins" in said.err


def test_other_machines_are_served_with_a_key_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve = ["serve", "--host", "0.0.0.0", "--state", str(tmp_path / "state")]
    serve += ["--tls-key", str(tmp_path / "none")]  # refused next, so that nothing is served
    assert main(serve) == 2
    assert "sammoe keys create" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
    given = ["--principal", "ann", "--role", "reader", "--state", str(tmp_path / "state")]
    assert main(["keys", "create", *given]) == 0
    capsys.readouterr()
    assert main(serve) == 2
    assert "--tls-key" in capsys.readouterr().err


@pytest.mark.parametrize("audit", ["closed", "open", "off"])
async def test_a_log_that_can_not_be_written_is_no_start_unless_it_may_be(
    tmp_path: Path, audit: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = Settings.load({"audit": audit, "audit_folder": tmp_path / "file" / "audit"})
    if audit == "closed":
        with pytest.raises(AuditUnavailable):
            await auditing(settings).__aenter__()
        return
    async with auditing(settings) as log:
        assert (log is None) == (audit == "off")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ohif-port", "0"], "--ohif and --ohif-port go together"),
        (["--ohif", "."], "--ohif and --ohif-port go together"),
        (["--ohif", "nowhere", "--ohif-port", "0"], "--ohif: nowhere holds no OHIF"),
        (["--monailabel-ohif", "."], "--monailabel-ohif needs --monailabel-port"),
        (
            ["--monailabel-ohif", "nowhere", "--monailabel-port", "0"],
            "--monailabel-ohif: nowhere holds no OHIF",
        ),
    ],
)
def test_half_of_what_ohif_needs_is_one_line(
    capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert main(["serve", "--port", "0", *flags]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
