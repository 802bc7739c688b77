"""Keys, tokens, TLS and the audit log of real processes."""

import json
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests import scans
from tests.integration.serving import START_SECONDS, Server, sammoe, serving, serving_tls
from tests.integration.test_monailabel import self_signed
from tests.issuer import AUDIENCE, TestIssuer, issuing

OCTETS = {"Content-Type": "application/octet-stream"}
KEY = b"a key of the audit log, kept elsewhere"


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def issuer() -> Iterator[TestIssuer]:
    with issuing() as issuer:
        yield issuer


def status(server: Server, credential: str, method: str = "GET") -> int:
    """What listing volumes, or adding one, is answered."""
    headers = {"Authorization": f"Bearer {credential}"} | OCTETS
    content = scans.gzipped() if method == "POST" else None
    with server.client() as http:
        return http.request(method, "/v1/volumes", headers=headers, content=content).status_code


@pytest.mark.fault("S20")
def test_two_front_ends_know_keys_and_tokens_and_tell_one_log(
    bundle: Path, tmp_path: Path, issuer: TestIssuer
) -> None:
    state = tmp_path / "state"
    (tmp_path / "audit.key").write_bytes(KEY)
    given = {
        "SAMMOE_STATE": str(state),
        "SAMMOE_AUDIT_KEY_FILE": str(tmp_path / "audit.key"),
        "SAMMOE_OIDC_ISSUER": issuer.url,
        "SAMMOE_OIDC_AUDIENCE": AUDIENCE,
    }
    with (
        serving(bundle, state, **given) as one,
        serving(bundle, state, **given) as other,
    ):
        assert "API key or token needed" in one.greeting
        made = sammoe("keys", "create", "--principal", "ann", "--role", "reader", **given)
        key = made.stdout.strip()
        until(lambda: {status(one, key), status(other, key)} == {200})
        assert status(one, key, "POST") == 403
        token = issuer.token()
        assert [status(server, token, "POST") for server in (one, other)] == [201, 200]
        assert status(one, issuer.token(roles=["reader"]), "POST") == 403
        head, body, _ = token.split(".")
        for bad in (f"{head}.{body}.", issuer.token(aud="other"), key[:-1]):
            assert status(one, bad) == 401
        assert sammoe("keys", "revoke", key.split("_")[1], **given).returncode == 0
        until(lambda: {status(one, key), status(other, key)} == {401})
        one.stop(signal.SIGKILL)
        assert status(other, token) == 200
        live = sammoe("audit", "verify", **given)
        assert (live.returncode, live.stderr) == (0, ""), live.stdout
        other.stop()
    whole = sammoe("audit", "verify", **given)
    assert whole.returncode == 0, whole.stdout
    assert "whole;" in whole.stdout
    assert (tmp_path / "state.log").read_text().count("Traceback") == 0
    listed = sammoe("audit", "list", "--principal", f"{issuer.url}#ann", **given).stdout
    told = [json.loads(line) for line in listed.splitlines()]
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("volume.add", "success"),
        ("volume.add", "success"),
        ("volume.add", "refused"),
        ("volume.list", "success"),
    ]
    file = max((state / "audit").glob("*/*.jsonl"), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes().replace(b'"outcome":"refused"', b'"outcome":"success"', 1))
    assert sammoe("audit", "verify", **given).returncode == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_is_spoken_and_nothing_older_than_1_2(bundle: Path, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with serving_tls(bundle, tmp_path / "state", context, *flags) as server:
        assert f"https://127.0.0.1:{server.port}/v1" in server.greeting
        url = f"https://127.0.0.1:{server.port}"
        with httpx.Client(base_url=url, verify=context, timeout=START_SECONDS) as http:
            own = http.get("/v1/volumes", headers={"Origin": url})
            assert own.status_code == 200
            plain = http.get("/v1/volumes", headers={"Origin": url.replace("https", "http")})
            assert plain.status_code == 403
        old = outdated()
        with pytest.raises(httpx.ConnectError), httpx.Client(verify=old) as http:
            http.get(f"{url}/livez")
        with pytest.raises(httpx.RemoteProtocolError), httpx.Client() as http:
            http.get(f"http://127.0.0.1:{server.port}/livez")


def outdated() -> ssl.SSLContext:
    """What speaks TLS 1.0 and 1.1 alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context
