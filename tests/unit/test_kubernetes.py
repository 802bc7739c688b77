"""deploy/kubernetes: every manifest against Kubernetes' own schemas, and what may not slip in."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sammoe.settings import Settings, env_name

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY / "kubernetes"
VERSIONS = ("1.29", "1.37")
"""The oldest and the newest that are supported."""

COMPONENT = "app.kubernetes.io/component"
NO_MANIFESTS = {"checkov.yaml", "kustomization.yaml", "prometheus-adapter.yaml"}

Manifest = dict[str, Any]


def manifests() -> Iterator[tuple[str, Manifest]]:
    for path in sorted(ROOT.rglob("*.yaml")):
        if path.name not in NO_MANIFESTS:
            for document in yaml.safe_load_all(path.read_text()):
                yield f"{path.relative_to(ROOT)}:{document['kind']}", document


ALL = dict[str, Manifest]()
for _name, _manifest in manifests():
    ALL[f"{_name}/{_manifest['metadata']['name']}"] = _manifest


def of_kind(kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in ALL.values() if m["kind"] == kind}


DEPLOYMENTS = of_kind("Deployment")


def pod(deployment: str) -> Manifest:
    found: Manifest = DEPLOYMENTS[deployment]["spec"]["template"]
    return found


def container(deployment: str) -> Manifest:
    (found,) = pod(deployment)["spec"]["containers"]
    one: Manifest = found
    return one


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_it_is_what_kubernetes_takes(name: str, version: str) -> None:
    kubernetes_validate.validate(ALL[name], version, strict=True)


def test_a_wrong_manifest_is_noticed() -> None:
    broken = {**ALL["cell/front-end.yaml:Deployment/front-end"], "speck": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("kustomization.yaml")), ids=str)
def test_every_file_is_named_by_a_kustomization(path: Path) -> None:
    told = yaml.safe_load(path.read_text())
    named = {(path.parent / entry).resolve() for entry in told["resources"]}
    assert all(one.exists() for one in named)
    beside = {p.resolve() for p in path.parent.glob("*.yaml")} - {path.resolve()}
    assert beside <= named


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    spec, inner = pod(name)["spec"], container(name)["securityContext"]
    outer = spec["securityContext"]
    assert outer["runAsNonRoot"] is True
    assert outer["runAsUser"] > 0
    assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_is_probed_bounded_and_of_a_version(name: str) -> None:
    one = container(name)
    assert {"readinessProbe", "livenessProbe"} <= one.keys()
    assert {"cpu", "memory"} <= one["resources"]["limits"].keys()
    assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.[a-z0-9.-]+", one["image"])


def test_liveness_does_not_ask_for_what_a_restart_can_not_mend() -> None:
    one = container("front-end")
    assert one["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_requests_in_flight_have_time_to_finish() -> None:
    spec, one = pod("front-end")["spec"], container("front-end")
    given = {entry["name"]: entry.get("value") for entry in one["env"]}
    assert spec["terminationGracePeriodSeconds"] > int(given["SAMMOE_SHUTDOWN_SECONDS"]) + 5


def test_front_ends_keep_nothing_but_the_audit_log() -> None:
    volumes = {volume["name"]: volume for volume in pod("front-end")["spec"]["volumes"]}
    kinds = {kind for volume in volumes.values() for kind in volume if kind != "name"}
    assert kinds == {"persistentVolumeClaim", "emptyDir", "secret"}
    claims = {
        name: volume["persistentVolumeClaim"]
        for name, volume in volumes.items()
        if "persistentVolumeClaim" in volume
    }
    assert claims == {
        "models": {"claimName": "models", "readOnly": True},
        "audit": {"claimName": "audit"},
    }
    assert of_kind("PersistentVolumeClaim").keys() == claims.keys()


def test_the_audit_log_lies_where_it_lasts_and_is_sealed_with_a_secret() -> None:
    one = container("front-end")
    given = {entry["name"]: entry.get("value") for entry in one["env"]}
    places = {mount["mountPath"]: mount for mount in one["volumeMounts"]}
    assert places[given["SAMMOE_AUDIT_FOLDER"]]["name"] == "audit"
    assert "readOnly" not in places[given["SAMMOE_AUDIT_FOLDER"]]
    assert places[str(Path(given["SAMMOE_AUDIT_KEY_FILE"]).parent)]["name"] == "secrets"
    (claim,) = (
        c for c in of_kind("PersistentVolumeClaim").values() if c["metadata"]["name"] == "audit"
    )
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_secrets_come_from_elsewhere() -> None:
    assert not of_kind("Secret")
    text = "".join(path.read_text() for path in ROOT.rglob("*.yaml"))
    assert "secretGenerator" not in text


def test_every_setting_that_is_named_is_there() -> None:
    text = "".join(path.read_text() for path in ROOT.rglob("*.yaml"))
    named = set(re.findall(r"SAMMOE_[A-Z_]+", text))
    assert {"SAMMOE_TRITON_URL", "SAMMOE_STORE"} <= named
    assert named <= {env_name(name) for name in Settings.model_fields}


def test_every_selector_finds_a_pod() -> None:
    components = {pod(name)["metadata"]["labels"][COMPONENT] for name in DEPLOYMENTS}
    for kind in ("Service", "PodDisruptionBudget"):
        for name, manifest in of_kind(kind).items():
            selector = manifest["spec"]["selector"]
            assert selector.get("matchLabels", selector)[COMPONENT] in components, name
    for name, manifest in DEPLOYMENTS.items():
        assert manifest["spec"]["selector"]["matchLabels"].items() <= (
            pod(name)["metadata"]["labels"].items()
        )


def test_each_port_of_a_service_is_one_of_its_pods() -> None:
    for manifest in of_kind("Service").values():
        wanted = manifest["spec"]["selector"][COMPONENT]
        ports = {port["name"] for port in container(wanted)["ports"]}
        assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports


def test_front_ends_alone_reach_triton_and_redis() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["nothing"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for name, port in (("triton", 8001), ("redis", 6379)):
        (rule,) = [
            rule
            for rule in policies[name]["spec"]["ingress"]
            if rule["ports"] == [{"protocol": "TCP", "port": port}]
        ]
        assert rule["from"] == [{"podSelector": {"matchLabels": {COMPONENT: "front-end"}}}]


def test_front_ends_scale_by_what_waits() -> None:
    spec = of_kind("HorizontalPodAutoscaler")["front-end"]["spec"]
    assert "replicas" not in DEPLOYMENTS["front-end"]["spec"]
    assert spec["minReplicas"] >= 2
    metric = spec["metrics"][0]["pods"]["metric"]["name"]
    (rule,) = yaml.safe_load((ROOT / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert rule["name"]["as"] == metric
    assert "sammoe_queue_calls{" in rule["metricsQuery"]


def test_each_cell_asks_its_own_triton() -> None:
    for cell in ("a", "b"):
        told = yaml.safe_load((ROOT / "two-gpus" / cell / "kustomization.yaml").read_text())
        assert told["nameSuffix"] == f"-{cell}"
        assert told["configMapGenerator"][0]["literals"] == [
            f"SAMMOE_TRITON_URL=triton-{cell}:8001"
        ]
    assert DEPLOYMENTS["triton"]["spec"]["replicas"] == 1
