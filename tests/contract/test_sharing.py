"""Sharing by project, through HTTP: what each sees and may do is what a tiny model says."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sammoe.access import EVERYBODY, Access, Identity, Role
from sammoe.engine.local import LocalEngine
from sammoe.segmentation import Workspace
from sammoe.store import EmbeddingCache, Keeping, LocalStore, StoreLimits
from tests import scans
from tests.contract.people import access_to, key_of
from tests.contract.service import OCTETS, Service, point, refusal

MISSING = "0" * 26
Verb = Literal["add", "read", "click", "mask", "result", "undo", "drop", "delete", "list", "all"]


class Named(Access):
    """Believes whom a header names: keys are tested elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, Identity] = {}

    async def identify(self, headers: Any) -> Identity:
        return self.people.get(headers.get("x-api-key", ""), EVERYBODY)


@dataclass
class Scan:
    """What the model knows of a volume."""

    id: str
    owner: str
    project: str | None
    segmentation: str
    result: str
    there: bool = True


@dataclass
class Model:
    """Who sees what: a volume is its owner's, and its project's members'."""

    people: dict[str, Identity]
    scans: list[Scan] = field(default_factory=list)

    def role(self, who: Identity, scan: Scan) -> Role | None:
        """What somebody may do with a volume; None: it is not there."""
        if not scan.there:
            return None
        if scan.owner == who.principal:
            return who.role
        return None if scan.project not in who.projects else who.role_in(scan.project or "")

    def expected(self, who: Identity, scan: Scan, needed: Role, *, deletes: bool = False) -> str:
        """``yes``, ``forbidden`` or ``missing``."""
        if not who.role.includes(needed):
            return "forbidden"  # whatever is there
        role = self.role(who, scan)
        if role is None:
            return "missing"
        mine = scan.owner == who.principal
        return "yes" if role.includes(needed) and (mine or not deletes) else "forbidden"


ROLES = st.sampled_from(list(Role))
PROJECTS = st.dictionaries(st.sampled_from(["p", "q"]), ROLES, max_size=2)
PEOPLE = st.lists(st.tuples(ROLES, PROJECTS), min_size=2, max_size=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "add",
                "add",
                "read",
                "click",
                "mask",
                "result",
                "undo",
                "drop",
                "delete",
                "list",
                "all",
            ]
        ),
        st.integers(0, 3),
        st.integers(0, 7),
        st.sampled_from([None, "p", "q"]),
    ),
    min_size=4,
    max_size=16,
)
_turns = itertools.count()


@pytest.fixture(scope="module")
def workspace_of_all(
    engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """One workspace for all examples: each has people and projects of its own."""
    store = LocalStore(tmp_path_factory.mktemp("sharing") / "state")
    yield Workspace(engine, store, EmbeddingCache(1 << 26))
    store.close()


@pytest.mark.fault("S18")
@settings(max_examples=15, deadline=None)
@given(people=PEOPLE, steps=STEPS)
def test_everybody_sees_and_does_what_the_model_says(
    workspace_of_all: Workspace,
    people: list[tuple[Role, dict[str, Role]]],
    steps: list[tuple[Verb, int, int, str | None]],
) -> None:
    turn = next(_turns)
    model = Model(
        {
            f"{turn}-{n}": Identity(
                f"{turn}-{n}", role, {f"{turn}-{name}": there for name, there in projects.items()}
            )
            for n, (role, projects) in enumerate(people)
        }
    )

    async def follow() -> None:
        access = Named()
        access.people = model.people
        async with Service.over(workspace_of_all, access=access) as service:
            for verb, who, which, project in steps:
                caller = list(model.people.values())[who % len(model.people)]
                named = None if project is None else f"{turn}-{project}"
                await step(service.http, model, verb, caller, which, named)
            await check_all(service.http, model)

    asyncio.run(follow())


async def step(
    http: httpx.AsyncClient,
    model: Model,
    verb: Verb,
    who: Identity,
    which: int,
    project: str | None,
) -> None:
    """Do one thing, and hold the answer to the model."""
    headers = {"X-API-Key": who.principal}
    if verb == "add":
        await add(http, model, who, project)
        return
    if verb in {"list", "all"}:
        await check_lists(http, model, who, project if verb == "list" else None)
        return
    if not model.scans:
        return
    scan = model.scans[which % len(model.scans)]
    method, path, body, needed = {
        "read": ("GET", "/v1/volumes/{volume}", None, Role.READER),
        "click": (
            "POST",
            "/v1/volumes/{volume}/segmentations",
            point(*scans.INSIDE),
            Role.SEGMENTER,
        ),
        "mask": ("GET", "/v1/segmentations/{made}/mask", None, Role.READER),
        "undo": ("POST", "/v1/segmentations/{made}/undo", None, Role.READER),
        "result": ("GET", "/v1/results/{result}", None, Role.READER),
        "drop": ("DELETE", "/v1/results/{result}", None, Role.SEGMENTER),
        "delete": ("DELETE", "/v1/volumes/{volume}", None, Role.SEGMENTER),
    }[verb]
    expected = model.expected(who, scan, needed, deletes=verb in {"drop", "delete"})
    if verb == "drop" and expected == "yes":
        return  # the result stays, for the other steps
    ids = {"volume": scan.id, "made": scan.segmentation, "result": scan.result}
    answer = await http.request(method, path.format(**ids), json=body, headers=headers)
    if expected == "forbidden":
        assert refusal(answer) == (403, "forbidden")
    elif expected == "missing":
        none = {"volume": MISSING, "made": MISSING, "result": MISSING}
        other = await http.request(method, path.format(**none), json=body, headers=headers)
        assert refusal(answer) == (404, "not_found")
        assert answer.json() | {"request_id": ""} == other.json() | {"request_id": ""}
    elif verb == "undo":
        assert refusal(answer) == (409, "conflict")  # a first click
    else:
        assert answer.is_success, answer.text
        if verb == "delete":
            scan.there = False


async def add(http: httpx.AsyncClient, model: Model, who: Identity, project: str | None) -> None:
    """Add the one scan that all use, click on it, and put a result together."""
    headers = {"X-API-Key": who.principal}
    query = "" if project is None else f"?project={project}"
    content, given = scans.gzipped(), OCTETS | headers
    answer = await http.post(f"/v1/volumes{query}", content=content, headers=given)
    if not who.role.includes(Role.SEGMENTER):
        assert refusal(answer) == (403, "forbidden")
        return
    if project is not None and project not in who.projects:
        assert refusal(answer) == (404, "not_found")
        return
    if project is not None and not who.role_in(project).includes(Role.SEGMENTER):
        assert refusal(answer) == (403, "forbidden")
        return
    there = [
        scan
        for scan in model.scans
        if scan.there and (scan.owner, scan.project) == (who.principal, project)
    ]
    assert answer.status_code == (200 if there else 201)
    name, told = answer.json()["id"], answer.json()["project"]
    assert told == project
    if there:
        assert name == there[0].id
        return
    place = f"/v1/volumes/{name}"
    made = await http.post(f"{place}/segmentations", json=point(*scans.INSIDE), headers=headers)
    segmentation = made.json()["id"]
    entries = {"entries": [{"segmentation": segmentation, "label": "x"}]}
    result = await http.post(f"{place}/results", json=entries, headers=headers)
    model.scans.append(Scan(name, who.principal, project, segmentation, result.json()["id"]))


async def check_lists(
    http: httpx.AsyncClient, model: Model, who: Identity, project: str | None
) -> None:
    """A list of volumes is what the model says."""
    query = "" if project is None else f"?project={project}"
    answer = await http.get(f"/v1/volumes{query}", headers={"X-API-Key": who.principal})
    if project is not None and project not in who.projects:
        assert refusal(answer) == (404, "not_found")
        return
    listed = [item["id"] for item in answer.json()["items"]]
    wanted = [
        scan.id
        for scan in model.scans
        if scan.there and (scan.project == project if project else scan.owner == who.principal)
    ]
    assert sorted(listed) == sorted(wanted)


async def check_all(http: httpx.AsyncClient, model: Model) -> None:
    """In the end everybody sees all that the model says, and nothing else."""
    for who, scan in itertools.product(model.people.values(), model.scans):
        headers = {"X-API-Key": who.principal}
        sees = model.role(who, scan) is not None
        for path in (f"/v1/volumes/{scan.id}", f"/v1/segmentations/{scan.segmentation}"):
            answer = await http.get(path, headers=headers)
            assert answer.status_code == (200 if sees else 404), (who, scan)


@pytest.fixture
async def tight(engine: LocalEngine, tmp_path: Path) -> Any:
    """A workspace in which one principal's segmentations may take 60 kB."""
    limits = StoreLimits(segmentations=Keeping(quota_bytes=60_000))
    store = LocalStore(tmp_path / "state", limits)
    workspace = Workspace(engine, store, EmbeddingCache(1 << 26))
    yield workspace
    await workspace.close()
    store.close()


async def test_what_is_made_on_a_volume_counts_to_its_owner(tight: Workspace) -> None:
    ann = key_of(tight.store, "ann", "segmenter", {"p": "segmenter"})
    bob = key_of(tight.store, "bob", "segmenter", {"p": "segmenter"})
    async with Service.over(tight, access=await access_to(tight.store)) as service:
        http = service.http
        scan = scans.gzipped()
        shared = await http.post("/v1/volumes?project=p", content=scan, headers=OCTETS | ann)
        own = await http.post("/v1/volumes", content=scan, headers=OCTETS | bob)
        statuses = []
        for _ in range(60):
            made = await service.click(shared.json()["id"], headers=bob)
            statuses.append(made.status_code)
            if made.status_code != 201:
                break
        assert refusal(made) == (507, "quota_exceeded")
        assert statuses.count(201) > 0
        full = await service.click(shared.json()["id"], headers=ann)
        assert full.status_code == 507
        assert (await service.click(own.json()["id"], headers=bob)).status_code == 201


@pytest.mark.fault("S18", "S19")
async def test_a_member_who_left_gets_no_kept_answer_and_its_key_is_its_own(
    workspace: Workspace,
) -> None:
    store = workspace.store
    ann = key_of(store, "ann", "segmenter", {"p": "segmenter"})
    member = key_of(store, "bob", "segmenter", {"p": "segmenter"})
    gone = key_of(store, "bob", "segmenter")
    async with Service.over(workspace, access=await access_to(store)) as service:
        added = await service.http.post(
            "/v1/volumes?project=p", content=scans.gzipped(), headers=OCTETS | ann
        )
        volume = added.json()["id"]
        once = {"Idempotency-Key": "k"}
        first = await service.click(volume, headers=member | once)
        again = await service.click(volume, headers=member | once)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        mine = await service.click(volume, headers=ann | once)
        assert mine.json()["id"] != first.json()["id"]
        assert refusal(await service.click(volume, headers=gone | once)) == (404, "not_found")
        deleted = await service.http.delete(f"/v1/volumes/{volume}", headers=ann)
        assert deleted.status_code == 204
        late = await service.click(volume, headers=member | once)
        assert refusal(late) == (404, "not_found")
    kept = list(Path(store.temporary_folder).parents[1].glob("owners/*/responses/*"))
    assert kept == []


@pytest.mark.fault("S18")
async def test_what_is_deleted_while_others_work_on_it_is_gone_for_all(
    workspace: Workspace,
) -> None:
    people: list[dict[str, str]] = [
        key_of(workspace.store, name, "segmenter", {"p": "segmenter"}) for name in ("ann", "bob")
    ]
    ann, bob = people
    async with Service.over(workspace, access=await access_to(workspace.store)) as service:
        added = await service.http.post(
            "/v1/volumes?project=p", content=scans.gzipped(), headers=OCTETS | ann
        )
        volume = added.json()["id"]
        place = f"/v1/volumes/{volume}"
        clicks = [service.click(volume, headers=who) for who in (ann, bob, bob)]
        deletions = [service.http.delete(place, headers=who) for who in (ann, ann, bob)]
        answers = await asyncio.gather(*clicks, *deletions)
        assert {answer.status_code for answer in answers[:3]} <= {201, 404}
        assert {answer.status_code for answer in answers[3:5]} <= {204, 404}
        assert 204 in {answer.status_code for answer in answers[3:5]}
        assert answers[5].status_code in {403, 404}
        for who in people:
            assert refusal(await service.http.get(place, headers=who)) == (404, "not_found")
            assert refusal(await service.click(volume, headers=who)) == (404, "not_found")
