import hashlib
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from sammoe.access import LOCAL, Access, KeyRing, Role, check_exposure
from sammoe.errors import SettingsInvalid, Unauthorized
from sammoe.settings import Settings

KEY = "ann-has-a-long-key"
OTHER_KEY = "bob-has-a-longer-key"
DIGEST = hashlib.sha256(OTHER_KEY.encode()).hexdigest()


def ring(**given: object) -> KeyRing:
    return KeyRing.from_settings(Settings.load(given))


async def principal(keys: KeyRing, **headers: str) -> str:
    identity = await Access(keys).identify(Headers(headers))
    assert (identity.role, identity.projects) == (Role.ADMIN, {})
    return identity.principal


async def test_without_keys_everybody_is_local() -> None:
    assert await principal(ring()) == LOCAL
    assert await principal(ring(), authorization="Bearer whatever") == LOCAL


@pytest.mark.parametrize("separator", [",", "\n", " , "])
async def test_a_key_gives_its_principal(separator: str) -> None:
    keys = ring(api_keys=f"ann:{KEY}{separator}bob:sha256:{DIGEST}")
    assert await principal(keys, authorization=f"Bearer {KEY}") == "ann"
    assert await principal(keys, authorization=f"bearer  {KEY} ") == "ann"
    assert await principal(keys, **{"x-api-key": OTHER_KEY}) == "bob"


async def test_one_principal_can_have_two_keys() -> None:
    keys = ring(api_keys=f"ann:{KEY},ann:{OTHER_KEY}")
    assert await principal(keys, **{"x-api-key": KEY}) == "ann"
    assert await principal(keys, **{"x-api-key": OTHER_KEY}) == "ann"


@pytest.mark.fault("S20")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer sha256:{DIGEST}"},
        {"x-api-key": DIGEST},
        {"x-api-key": "ann"},
        {"x-api-key": "\u00e9\u00ff"},
    ],
)
async def test_without_a_right_key_nobody_enters(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        await principal(ring(api_keys=f"ann:{KEY},bob:sha256:{DIGEST}"), **headers)


async def test_the_file_and_the_setting_add_up(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# our keys\n\nbob:sha256:{DIGEST}\n  eve:{KEY}#with-a-hash  \n")
    keys = ring(api_keys=f"ann:{KEY}", api_keys_file=str(file))
    assert [name for name, _ in keys.entries] == ["ann", "bob", "eve"]
    assert await principal(keys, **{"x-api-key": f"{KEY}#with-a-hash"}) == "eve"


@pytest.mark.parametrize(
    "entry",
    [
        "ann",
        ":key-without-principal",
        "a b:key-of-sixteen-c",
        "ann:short",
        "ann:sha256:abc",
        "ann:",
    ],
)
def test_a_malformed_entry_is_refused_and_not_repeated(entry: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        ring(api_keys=entry)
    assert "SAMMOE_API_KEYS" in caught.value.detail
    assert entry.rpartition(":")[2] not in caught.value.detail or entry.endswith(":")


def test_a_malformed_line_is_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# one\nann\n")
    with pytest.raises(SettingsInvalid, match="line 2"):
        ring(api_keys_file=str(file))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match="can not be read"):
        ring(api_keys_file=str(file))


def test_keys_that_are_set_but_empty_do_not_open_the_door() -> None:
    with pytest.raises(SettingsInvalid, match="hold no key"):
        ring(api_keys=" , ")


def test_the_ring_does_not_show_its_digests() -> None:
    assert hashlib.sha256(KEY.encode()).hexdigest() not in repr(ring(api_keys=f"ann:{KEY}"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "192.168.1.5"])
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("insecure", [False, True])
def test_only_loopback_is_served_without_keys(host: str, keyed: bool, insecure: bool) -> None:
    given: dict[str, object] = {"host": host, "insecure": insecure}
    if keyed:
        given["api_keys"] = f"ann:{KEY}"
    settings = Settings.load(given)
    needed = Access.from_settings(settings).is_needed
    assert needed == keyed
    if settings.is_loopback or keyed or insecure:
        check_exposure(settings, needs_caller=needed)
    else:
        with pytest.raises(SettingsInvalid, match="--insecure"):
            check_exposure(settings, needs_caller=needed)
