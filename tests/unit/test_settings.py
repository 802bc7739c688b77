from pathlib import Path

import pytest

from sammoe.errors import SettingsInvalid
from sammoe.settings import Settings, default_state_dir, env_name, flag


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(env_name(name), raising=False)


def test_defaults_listen_on_loopback_without_keys() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port, settings.is_loopback) == ("127.0.0.1", 8000, True)
    assert settings.api_keys is None
    assert settings.upload_limit == 1024 << 20
    assert settings.json_limit == 256 << 10
    assert settings.embedding_cache == 512 << 20


def test_a_flag_wins_over_the_environment_which_wins_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMMOE_PORT", "9000")
    monkeypatch.setenv("SAMMOE_UPLOAD_LIMIT_MIB", "7")
    settings = Settings.load({"port": "9001"})
    assert settings.port == 9001
    assert settings.upload_limit_mib == 7


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMMOE_ALLOWED_HOSTS", "a.example, b.example,")
    settings = Settings.load({"allowed_origins": "https://a.example,http://b.example:3000"})
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.allowed_origins == ("https://a.example", "http://b.example:3000")


def test_values_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example", "example.com", "null", "https://a.example/path", "file://"]
)
def test_an_origin_names_one_site(origin: str) -> None:
    with pytest.raises(SettingsInvalid, match="--allowed-origins"):
        Settings.load({"allowed_origins": origin})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"port": "eighty"}, "--port (SAMMOE_PORT)"),
        ({"port": "70000"}, "--port (SAMMOE_PORT)"),
        ({"log_level": "loud"}, "--log-level (SAMMOE_LOG_LEVEL)"),
        ({"upload_limit_mib": "0"}, "--upload-limit-mib (SAMMOE_UPLOAD_LIMIT_MIB)"),
        ({"host": ""}, "--host (SAMMOE_HOST)"),
        ({"colour": "blue"}, "--colour (SAMMOE_COLOUR)"),
    ],
)
def test_what_can_not_be_read_is_named_and_not_repeated(given: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load(given)
    assert caught.value.detail.startswith(name)
    for value in given.values():
        assert not value or value not in caught.value.detail.removeprefix(name)


def test_keys_are_not_shown() -> None:
    assert "s3cret" not in repr(Settings.load({"api_keys": "ann:s3cret-s3cret-s3cret"}))
    assert "s3cret" not in repr(Settings.load({"redis_url": "redis://ann:s3cret@redis"}))


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://ann:s3cret@redis.example:6380/2",
        "redis://:s3cret@[::1]:6379?db=2",
        "rediss://redis.example?ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_redis_is_named_by_its_url(url: str) -> None:
    named = Settings.load({"redis_url": url}).redis_url
    assert named is not None
    assert named.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3cret",
        "http://:s3cret@redis",
        "redis://:s3cret@",
        "redis://:s3cret@redis:port",
        "redis://:s3cret@redis:70000",
        "redis://:s3cret@redis/name",
        "redis://:s3cret@redis?decode_responses=1",
        "redis://:s3cret@redis?protocol=3",
        "redis://:s3cret@redis?db",
        "redis://[s3cret",
        "unix://",
    ],
)
def test_what_names_no_redis_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="--redis-url") as caught:
        Settings.load({"redis_url": url})
    assert "s3cret" not in caught.value.detail


def test_a_redis_is_named_by_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "redis-url"
    file.write_text("redis://:s3cret@redis:6379/0\n")
    assert Settings.load({"redis_url_file": file}).redis() == "redis://:s3cret@redis:6379/0"
    assert Settings.load({"redis_url": "redis://redis"}).redis() == "redis://redis"
    assert Settings.load({}).redis() is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"http://:s3cret@redis", "it is redis://"), (b"\xff", "no text")],
)
def test_a_file_that_names_no_redis_is_refused_and_not_repeated(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "redis-url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=f"^--redis-url-file .*{said}") as caught:
        Settings.load({"redis_url_file": file}).redis()
    assert "s3cret" not in caught.value.detail


def test_a_redis_is_not_named_twice(tmp_path: Path) -> None:
    given = {"redis_url_file": tmp_path / "url", "redis_url": "redis://:s3cret@redis"}
    with pytest.raises(SettingsInvalid, match="give it or --redis-url, not both"):
        Settings.load(given).redis()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/sammoe"),
        ("linux", {"XDG_DATA_HOME": ""}, "/home/ann/.local/share/sammoe"),
        ("darwin", {}, "/home/ann/Library/Application Support/sammoe"),
        ("win32", {"LOCALAPPDATA": "/app"}, "/app/sammoe"),
    ],
)
def test_the_state_lies_where_the_platform_keeps_data(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", "/home/ann")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_state_dir() == Path(expected)


def test_flags_and_variables_are_named_after_the_field() -> None:
    assert flag("upload_limit_mib") == "--upload-limit-mib"
    assert env_name("upload_limit_mib") == "SAMMOE_UPLOAD_LIMIT_MIB"


@pytest.mark.parametrize("url", ["triton.internal:8001", "127.0.0.1:8001", "[::1]:8001"])
def test_a_triton_is_named_by_host_and_port(url: str) -> None:
    assert Settings.load({"triton_url": url}).triton_url == url


@pytest.mark.parametrize("url", ["http://triton:8001", "triton", "triton:", ":8001", "triton:grpc"])
def test_anything_else_names_no_triton(url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"--triton-url .*: it is HOST:PORT"):
        Settings.load({"triton_url": url})


@pytest.mark.parametrize("url", ["s3://bucket", "s3://my.bucket-1/a/deep/prefix", "gs://b/p/"])
def test_a_bucket_is_named_by_its_url(url: str) -> None:
    assert Settings.load({"store": url}).store == url


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "s3://",
        "s3:///prefix",
        "ftp://host/path",
        "s3://key:secret@bucket",
        "s3://b/../c?d",
    ],
)
def test_anything_else_names_no_bucket(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load({"store": url})
    assert caught.value.detail.startswith("--store (SAMMOE_STORE): it is s3://BUCKET")
    assert "secret" not in caught.value.detail
