"""docker-compose.yml and the Dockerfile: what may not slip in, and what must be there."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sammoe.settings import Settings, env_name
from scripts import make_secrets
from tests.images import COMPOSE, COMPOSE_CPU, RESET, ROOT, compose, stages

SERVICES = compose()["services"]
OURS = ("sammoe", "triton")


def per_service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = SERVICES[name]
    return service


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = per_service(name)

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & service.keys()
    assert "docker.sock" not in str(service)
    # Orthanc's start script puts plugins into place.
    assert service.get("read_only", False) == (name != "orthanc")
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_tells_whether_it_is_well(name: str) -> None:
    service = per_service(name)
    target = service.get("build", {}).get("target")

    assert service.get("healthcheck") or stages()[target].health


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    service = per_service(name)
    image = stages()[service["build"]["target"]].image if "build" in service else service["image"]

    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.[a-z0-9.-]+", image)


@pytest.mark.parametrize("name", OURS)
def test_our_images_do_not_run_as_root(name: str) -> None:
    user = stages()[per_service(name)["build"]["target"]].user

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


def test_the_service_alone_reaches_triton_and_redis() -> None:
    assert compose()["networks"]["inside"] == {"internal": True}
    within = {name for name, service in SERVICES.items() if "inside" in service["networks"]}
    assert within == {"sammoe", "triton", "redis"}
    # Prometheus reads Triton's numbers.
    assert compose()["networks"]["measured"] == {"internal": True}
    measured = {name for name, service in SERVICES.items() if "measured" in service["networks"]}
    assert measured == {"triton", "prometheus"}
    assert per_service("triton")["networks"] == ["inside", "measured"]
    assert per_service("redis")["networks"] == ["inside"]
    for name in ("triton", "redis"):
        assert "ports" not in per_service(name)


def test_variables_are_settings_and_keys_are_secrets() -> None:
    known = {env_name(field) for field in Settings.model_fields}
    given = per_service("sammoe")["environment"]
    in_image = {name for name in stages()["service"].variables if name.startswith("SAMMOE_")}

    assert given.keys() <= known
    assert in_image <= known
    assert {"SAMMOE_API_KEYS", "SAMMOE_REDIS_URL", "SAMMOE_INSECURE"} & (
        given.keys() | in_image
    ) == set()
    assert "insecure" not in COMPOSE.read_text().lower()
    mounted = {f"/run/secrets/{name}" for name in per_service("sammoe")["secrets"]}
    assert {value for name, value in given.items() if name.endswith("_FILE")} == mounted


def test_every_secret_is_made(tmp_path: Any) -> None:
    folder = tmp_path / "secrets"

    make_secrets.make(folder)

    made = {f"./secrets/{path.name}" for path in folder.iterdir()}
    assert {secret["file"] for secret in compose()["secrets"].values()} == made
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == compose()["secrets"].keys()


def test_profiles_are_what_is_asked_for() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}

    assert profiles == {
        "sammoe": [],
        "triton": [],
        "redis": [],
        "orthanc": ["orthanc", "ohif"],
        "ohif": ["ohif"],
        "prometheus": ["observe"],
        "grafana": ["observe"],
    }


def mounted(name: str) -> dict[str, Path]:
    """Path in a container -> what lies there, of this folder."""
    pairs = (volume.split(":")[:2] for volume in per_service(name)["volumes"])
    return {there: ROOT / here for here, there in pairs if here.startswith("./")}


def test_prometheus_finds_its_rules_its_key_and_whom_to_ask() -> None:
    folder = "/etc/prometheus"
    told = yaml.safe_load(mounted("prometheus")[f"{folder}/prometheus.yml"].read_text())
    assert {f"{folder}/{name}" for name in told["rule_files"]} <= mounted("prometheus").keys()
    for job in told["scrape_configs"]:
        (asked,) = job["dns_sd_configs"]
        networks = [set(per_service(name)["networks"]) for name in (*asked["names"], "prometheus")]
        assert set.intersection(*networks)
    keys = {job["authorization"]["credentials_file"] for job in told["scrape_configs"][:1]}
    assert keys == {f"/run/secrets/{name}" for name in per_service("prometheus")["secrets"]}


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    there = mounted("grafana")
    beneath = there["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((beneath / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert set(per_service("grafana")["networks"]) & set(per_service("prometheus")["networks"])
    (provider,) = yaml.safe_load((beneath / "dashboards" / "sammoe.yml").read_text())["providers"]
    shown = [path for path in there if path.startswith(provider["options"]["path"])]
    assert [there[path].name for path in shown] == ["sammoe.json"]
    assert per_service("grafana")["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] in {
        f"/run/secrets/{name}" for name in per_service("grafana")["secrets"]
    }


def test_triton_has_a_gpu_and_shared_memory_and_without_a_gpu_the_rest() -> None:
    triton = per_service("triton")
    (device,) = triton["deploy"]["resources"]["reservations"]["devices"]

    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert triton["shm_size"] == "256m"
    assert compose(COMPOSE_CPU) == {"services": {"triton": {"deploy": RESET}}}


def test_requests_in_flight_have_time_to_finish() -> None:
    default = Settings.model_fields["shutdown_seconds"].default

    assert int(per_service("sammoe")["stop_grace_period"].removesuffix("s")) > default


def test_what_is_mounted_and_copied_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose()["volumes"] or (ROOT / source).exists()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M):
        for name in source.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in ignored


def test_the_python_of_the_image_is_one_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.match(r"python:3\.(\d+)", stages()["service"].image)

    assert version is not None
    assert int(version[1]) >= int(project["requires-python"].removeprefix(">=3."))
