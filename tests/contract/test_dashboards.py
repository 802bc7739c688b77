"""The dashboard and the rules of deploy/ speak of metrics that there are, and of their labels."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sammoe.segmentation import Workspace
from sammoe.store.redis import RedisEmbeddings
from tests.contract.service import EXPERT, Service

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
OPERATIONS = DEPLOY.parent / "docs" / "operations.md"

NOT_OURS = {"up"}
_NAME = re.compile(r"\b(?:sammoe|process)[_:][a-z0-9_:]+\b")
_BY = re.compile(r"\b(?:by|on) \(([a-z_, ]+)\)")
_MATCHED = re.compile(r'\b([a-z_]+)(?:=~|!=|!~|=)"')
_OF_PROMETHEUS = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DEPLOY / "grafana" / "sammoe.json").read_text())
    return told


def expressions() -> list[str]:
    """Every query of both."""
    shown = dashboard()
    panels = [target["expr"] for p in shown["panels"] for target in p.get("targets", ())]
    notes = [note["expr"] for note in shown["annotations"]["list"]]
    asked = [v["query"] for v in shown["templating"]["list"] if v["type"] == "query"]
    return [*(rule["expr"] for rule in rules()), *panels, *notes, *asked]


@pytest.fixture
async def exposed(workspace: Workspace) -> dict[str, set[str]]:
    """Names of samples with the names of their labels, of a service that has seen everything."""
    workspace.shared = RedisEmbeddings("redis://127.0.0.1:9")
    async with Service.over(workspace) as service:
        volume = await service.volume()
        await service.click(volume, tau=0.0)
        await service.click(volume, expert=f"{EXPERT}-too")
        text = (await service.http.get("/metrics")).text
    await workspace.shared.close()
    samples: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return samples


async def test_every_metric_that_is_named_is_there(exposed: dict[str, set[str]]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {name for text in expressions() for name in _NAME.findall(text)}
    assert len(named) > 25
    assert named <= exposed.keys() | recorded


async def test_every_label_that_is_named_is_there(exposed: dict[str, set[str]]) -> None:
    labels = set().union(*exposed.values()) | _OF_PROMETHEUS
    for text in expressions():
        if "nv_inference" in text:
            continue
        by = {name.strip() for names in _BY.findall(text) for name in names.split(",")}
        assert by | set(_MATCHED.findall(text)) <= labels | {""}, text


async def test_every_metric_is_explained(exposed: dict[str, set[str]]) -> None:
    text = OPERATIONS.read_text()
    ours = {name for name in exposed if name.startswith("sammoe_")}
    families = {re.sub("_(bucket|sum|count|created)$", "", name) for name in ours}
    plain = {name for name in families if f"{name}_total" not in families}
    assert [name for name in sorted(plain) if f"`{name}" not in text] == []


def test_every_alert_is_tried_and_says_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    tried = "".join(path.read_text() for path in (DEPLOY / "prometheus").glob("*_test.yml"))
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert f"alertname: {rule['alert']}" in tried


def test_panels_lie_side_by_side() -> None:
    places: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & places
        assert max(x for x, _ in cells) < 24
        places |= cells


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "rules.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "rules_test.yml", "drift_test.yml"),
    ],
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "apt-get install prometheus"
    done = subprocess.run(
        [promtool, *command], cwd=RULES.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
