"""Every route of every dialect: who may call it, and what the audit log says of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from sammoe.access import Role
from sammoe.api import create_app, create_monailabel_app
from sammoe.api.rules import OPEN, RULES, name_of
from sammoe.audit import AuditLog, Sealer, verify
from sammoe.segmentation import Workspace
from sammoe.settings import Settings
from tests.contract.people import access_to, key_of

Walked = tuple[str, str, str]
"""Name of the function, method, path."""

_STARLETTES = {"/openapi.json"}


def walk(app: FastAPI) -> Iterator[Walked]:
    """Every method of every route, with made-up ids in its path."""
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        if route.path in _STARLETTES:
            continue
        assert route.endpoint is not None
        path = re.sub(r"\{path:path\}", "studies", route.path)
        path = re.sub(r"\{name:path\}", "", path)
        path = re.sub(r"\{[a-z_]+\}", "0" * 26, path)
        for method in sorted(route.methods or ()):
            yield name_of(route.endpoint), method, path


@pytest.fixture
def apps(workspace: Workspace) -> list[FastAPI]:
    """The service, and MONAI Label's port."""
    app = create_app(workspace, Settings.load({}))
    return [app, create_monailabel_app(app)]


def test_every_route_has_a_rule_and_every_rule_a_route(apps: list[FastAPI]) -> None:
    names = {name for app in apps for name, _, _ in walk(app)}
    assert names == RULES.keys() | OPEN.keys()
    assert not RULES.keys() & OPEN.keys()


def test_what_changes_is_not_for_readers_and_deleting_is_for_owners(apps: list[FastAPI]) -> None:
    for name, method, _ in walk(apps[0]):
        rule = RULES.get(name)
        if rule is None:
            continue
        if rule.changes:
            assert rule.role is Role.SEGMENTER, name
            assert rule.action is not None, name
        if method in {"PUT", "DELETE"} and rule.action not in {"training", "volume.files"}:
            assert rule.changes, name
        if method == "DELETE" and rule.changes:
            assert rule.owner, name
        if method == "GET" and name != "system.get_metrics":
            assert not rule.changes, name


@pytest.mark.fault("S20")
@pytest.mark.parametrize("which", [0, 1], ids=["service", "monailabel"])
async def test_the_table_is_enforced_and_audited_on_every_route(
    workspace: Workspace, tmp_path: Path, which: int
) -> None:
    headers: dict[str, dict[str, str]] = {
        "nobody": {},
        "reader": key_of(workspace.store, "ann", "reader"),
        "segmenter": key_of(workspace.store, "bob", "segmenter"),
        "admin": key_of(workspace.store, "eve", "admin"),
    }
    log = AuditLog(tmp_path / "audit")
    app = create_app(workspace, Settings.load({}), await access_to(workspace.store), audit=log)
    app = create_monailabel_app(app) if which else app
    wanted = []
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        for name, method, path in walk(app):
            for who, given in headers.items():
                answer = await http.request(method, path, headers=given)
                rule = RULES.get(name)
                if rule is None:
                    expected = {401} if name == "monailabel.routes.get_token" else set()
                    action = "sign-in" if expected else None
                elif who == "nobody":
                    expected, action = {401}, rule.action or "request"
                elif not Role(who).includes(rule.role):
                    expected, action = {403}, rule.action or "request"
                else:
                    expected, action = set(), rule.action
                told = (name, method, who, answer.status_code, answer.text[:200])
                assert not expected or answer.status_code in expected, told
                assert expected or answer.status_code not in {401, 403}, told
                if action is not None:
                    wanted.append((action, method, answer.status_code, _principal(who, rule)))
    log.close()
    assert verify(tmp_path / "audit", Sealer()).breaks == []
    lines = said(tmp_path / "audit")
    seen = [
        (
            line["action"],
            line["request"]["method"],
            line["request"]["status"],
            line.get("who", {}).get("principal"),
        )
        for line in lines[1:]
    ]
    assert seen == wanted
    for line in lines[1:]:
        status = line["request"]["status"]
        assert line["outcome"] == (
            "failed" if status >= 500 else "refused" if status >= 400 else "success"
        )


def _principal(who: str, rule: object) -> str | None:
    names = {"reader": "ann", "segmenter": "bob", "admin": "eve"}
    return None if rule is None else names.get(who)


def said(folder: Path) -> list[dict[str, Any]]:
    """All lines of a log of one process."""
    files = sorted(folder.glob("*/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
