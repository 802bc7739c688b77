"""The Python client against the whole application and the OpenAPI document of the release.

Every use of the client is recorded here: what it sends must be what ``docs/openapi.json`` says, and
it must have a use for every operation.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, Final, get_args

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from sammoe.segmentation import Workspace
from sammoe_client import (
    Async,
    AsyncClient,
    Code,
    Entry,
    Progress,
    Retries,
    Segmentation,
    Volume,
    _values,
    errors,
)
from sammoe_client._clicks import CandidateName, Click, Space
from sammoe_client._results import DicomForm, Merge
from tests import scans
from tests.contract.service import EXPERT, NIFTI, NRRD, Service
from tests.series import as_bytes, mr, series

DOCUMENT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "docs" / "openapi.json").read_text()
)

FOR_OPERATORS: Final = {"getLiveness", "getMetrics"}
"""What no program that segments has a use for."""

SHAPES: Final = {"PointIn": "Point", "Problem": None, "FieldProblem": None, "ByPrompt": None}
"""Names that differ on purpose; None: no value object of its own."""


class Recorder(httpx.AsyncBaseTransport):
    """Passes requests on, and keeps those that the client sent, with the status of the answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.sent: list[tuple[httpx.Request, bytes, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        passed = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        response = await self._inner.handle_async_request(passed)
        self.sent.append((request, body, response.status_code))
        return response


@pytest.fixture
def recorder(service: Service) -> Recorder:
    return Recorder(httpx.ASGITransport(service.app))


@pytest.fixture
async def client(recorder: Recorder) -> AsyncIterator[AsyncClient]:
    patience = Retries(attempts=2, first=0.0)
    async with AsyncClient(transport=recorder, retries=patience) as client:
        yield client


def operation(method: str, path: str) -> dict[str, Any]:
    """The document's operation for a request; there must be one."""
    for template, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in item:
            found: dict[str, Any] = item[method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not documented")


def check(request: httpx.Request, body: bytes) -> str:
    """The request is as the document says; returns the operation's name."""
    documented = operation(request.method, request.url.path)
    known = {p["name"]: p["schema"] for p in documented.get("parameters", ()) if p["in"] == "query"}
    for name, value in request.url.params.items():
        assert name in known, (request.url.path, name)
        assert value in known[name].get("enum", [value])
    if body:
        kind = request.headers["Content-Type"].partition(";")[0]
        content = documented["requestBody"]["content"][kind]
        if kind == "application/json":
            whole = {**content["schema"], "components": DOCUMENT["components"]}
            Draft202012Validator(whole).validate(json.loads(body))
    else:
        assert not documented.get("requestBody", {}).get("required")
    return str(documented["operationId"])


async def test_all_that_it_sends_is_documented_and_all_operations_are_used(
    client: AsyncClient, recorder: Recorder, tmp_path: Path
) -> None:
    assert await client.is_ready()
    told = await client.capabilities()
    assert [expert.name for expert in told.experts] == [EXPERT]
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(scans.gzipped())
    volume = await client.open(scan, modality="MR")
    await use_a_volume(client, volume, tmp_path)
    folder = tmp_path / "series"
    (folder / "inner").mkdir(parents=True)
    for number, one in enumerate(map(as_bytes, series(mr(), modality="MR", intercept=0))):
        (folder / ("inner" if number % 2 else ".") / f"{number}.dcm").write_bytes(one)
    await use_a_series(client, await client.open(folder), tmp_path)
    with pytest.raises(errors.InvalidInput):
        await client.open_series("1.2", "1.3", server="ward")
    with pytest.raises(errors.InvalidInput):
        await client.warm_study("1.2", server="ward")
    for day in (None, date(2026, 1, 2)):
        with pytest.raises(errors.InvalidInput):
            [_ async for _ in client.find_series(study="1.2", since=day, until=day)]
    await volume.delete()
    used = {check(request, body) for request, body, _ in recorder.sent}
    every = {one["operationId"] for item in DOCUMENT["paths"].values() for one in item.values()}
    assert used == every - FOR_OPERATORS


async def use_a_volume(client: AsyncClient, volume: Volume[Async], folder: Path) -> None:
    """Everything that one can do on a scan from a file."""
    assert volume.shape == scans.SHAPE
    np.testing.assert_allclose(volume.affine, scans.AFFINE, atol=1e-5)
    assert (await client.volume(volume.id)).info == volume.info
    assert [one.id async for one in client.volumes()] == [volume.id]
    assert (await volume.warm()).windows == 1
    assert (await volume.warm(points=scans.INSIDE, spacing=1.5)).minutes is None
    assert ((await volume.warm(extent="whole", budget_mib=16)).covered or 0) > 0.5
    noise = np.random.default_rng(0).integers(1, 200, scans.SHAPE, np.int16)
    np.testing.assert_array_equal(await volume.voxels(), noise)
    first = await volume.segment(points=[scans.INSIDE], tau=0.0, max_windows=1, extend=False)
    assert first.mask[scans.INSIDE]
    assert first.mask.sum() == first.info.voxel_count
    assert first.timings.total_ms is not None
    assert first.timings.phases_ms.keys() >= {"decode", "paste"}
    world = (scans.AFFINE @ [*scans.INSIDE, 1])[:3]
    again = await volume.segment(points=world, space="ras", tau=0.0, extend=False)
    np.testing.assert_array_equal(again.mask, first.mask)
    second = await first.refine(points=[(34, 30, 20), (30, 33, 20)], label=[0, 1])
    assert not second.mask[34, 30, 20]
    assert [point.label for point in second.info.points] == [1, 0, 1]
    np.testing.assert_array_equal((await second.undo()).mask, first.mask)
    general = await first.candidate("general")
    assert general.chosen == "general"
    assert 0 < general.mask.sum() < first.mask.sum()
    assert (await general.refine(points=scans.INSIDE)).info.parent == first.id
    measures = await first.measure()
    assert measures.diameters is not None
    steps = [one async for one in volume.segmenting(box=[(5, 5, 5), (50, 60, 40)], spacing=1.5)]
    assert [type(one) for one in steps[:-1]] == [Progress] * (len(steps) - 1)
    last = steps[-1]
    assert isinstance(last, Segmentation)
    seen: list[int] = []
    grown = await volume.segment(
        box=[(5, 5, 5), (50, 60, 40)], spacing=1.5, on_progress=lambda p: seen.append(p.mask.sum())
    )
    assert len(seen) == len(steps) - 1 > 0
    np.testing.assert_array_equal(grown.mask, last.mask)
    *_, cut = [one async for one in last.refining(points=(30, 30, 20), label=0)]
    assert isinstance(cut, Segmentation)
    assert cut.info.parent == last.id
    given = await volume.bring(np.asarray(first.mask))
    assert (given.mask != first.mask).sum() < 0.01 * first.mask.sum()  # on the networks' grid
    opened = await client.segmentation(first.id)
    np.testing.assert_array_equal(opened.mask, first.mask)
    await first.to_nifti(folder / "mask.nii")
    brought = await volume.bring(folder / "mask.nii", label=1)
    np.testing.assert_array_equal(brought.mask, given.mask)
    await first.to_nrrd(folder / "mask.nrrd")
    names = {one.id async for one in volume.segmentations()}
    assert {first.id, second.id, given.id} <= names
    await given.delete()
    assert given.id not in {one.id async for one in volume.segmentations()}
    liver = Code("10200004", "Liver")
    entries = [Entry(general, "A", liver, colour=(1, 2, 3)), Entry(last.id, "B", category=liver)]
    result = await volume.add_result(entries, merge="overwrite")
    assert [one.label for one in result.structures] == ["A", "B"]
    assert [one.candidate for one in result.structures] == ["general", "fused"]
    changed = await result.replace(entries[:1])
    assert changed.info.revision == 2
    assert [one.info async for one in volume.results()] == [changed.info]
    assert (await client.result(result.id)).info == changed.info
    await changed.to_nifti(folder / "result.nii.gz")
    await changed.to_nifti(folder / "one.nii", structure=1)
    await changed.to_nrrd(folder / "result.seg.nrrd")
    with pytest.raises(errors.NoDicomSource):
        await changed.to_seg(folder / "seg.dcm")
    await changed.delete()


async def use_a_series(client: AsyncClient, volume: Volume[Async], folder: Path) -> None:
    """What one can do on a scan from DICOM alone."""
    assert volume.info.source is not None
    made = await volume.segment(points=[(12, 10, 6)])
    result = await volume.add_result([Entry(made, "Lesion")])
    for path in (
        await result.to_seg(folder / "seg.dcm"),
        await result.to_seg(folder / "labelmap.dcm", "LABELMAP"),
        await result.to_rtstruct(folder / "rtstruct.dcm"),
    ):
        assert path.read_bytes()[128:132] == b"DICM"
    with pytest.raises(errors.PacsUnknown):
        await result.store(["seg", "rtstruct"])


def component(name: str) -> dict[str, Any] | None:
    """The document's schema of a value object."""
    found = DOCUMENT["components"]["schemas"]
    for form in (name, f"{name}Out", f"{name.removesuffix('Info')}Out", f"{name}In"):
        if form in found:
            schema: dict[str, Any] = found[form]
            return schema
    return None


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(_values).values()
        if isinstance(kind, type) and kind.__module__ == _values.__name__
    ],
    ids=lambda kind: kind.__name__,
)
def test_value_objects_have_the_members_of_the_document(kind: Any) -> None:
    aliases = {"Structure": "Entry", "Measures": "Measured"}
    schema = component(aliases.get(kind.__name__, kind.__name__))
    own = {field.name for field in fields(kind)}
    if kind is _values.Timings:  # out of a header
        return
    assert schema is not None
    documented = set(schema["properties"])
    # What a program does not act on is left out.
    left_out = {
        "SegmentationInfo": {"space"},
        "Measures": documented - own,
        "Capabilities": {"routing", "prompts", "formats"},
    }
    assert documented - left_out.get(kind.__name__, set()) == own


def test_choices_are_those_of_the_document() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    click = schemas["SegmentationIn"]["properties"]
    assert set(Click.__annotations__) - {"label"} == click.keys() - {"parent", "candidate"}
    assert list(get_args(CandidateName)) == click["candidate"]["enum"]
    assert list(get_args(Space)) == click["space"]["anyOf"][0]["enum"]
    assert list(get_args(Merge)) == schemas["ResultIn"]["properties"]["merge"]["enum"]
    assert {f.name for f in fields(Entry)} == schemas["EntryIn"]["properties"].keys()
    forms = schemas["StoreIn"]["properties"]["forms"]["items"]["enum"]
    assert list(get_args(DicomForm)) == forms


async def test_refusals_are_exceptions_that_say_where(client: AsyncClient, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(scans.nifti())
    volume = await client.open(scan)
    with pytest.raises(errors.PointOutside) as caught:
        await volume.segment(points=[scans.INSIDE, (1, 2, 9999)])
    assert caught.value.status == 422
    assert caught.value.faults[0].place == "/points/1"
    assert caught.value.request_id in str(caught.value)
    with pytest.raises(errors.PointOutside):
        async for _ in volume.segmenting(points=(1, 2, 9999)):
            pass
    with pytest.raises(errors.PromptInvalid):
        await volume.segment()
    for name in ("nobody", "../capabilities", "06dt2k9m3g1v8s5b0hf4q7n2ac"):
        with pytest.raises(errors.NotFound):
            await client.volume(name)
    scan.write_bytes(b"no scan")
    with pytest.raises(errors.UnsupportedFormat):
        await client.open(scan)


async def test_a_key_is_sent(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Service.over(workspace, api_keys="ann:ann-has-a-long-key") as service:
        transport = httpx.ASGITransport(service.app)
        async with AsyncClient(transport=transport) as nobody:
            with pytest.raises(errors.Unauthorized):
                await nobody.capabilities()
        async with AsyncClient(transport=transport, api_key="ann-has-a-long-key") as ann:
            assert [one async for one in ann.volumes()] == []
        monkeypatch.setenv("SAMMOE_API_KEY", "ann-has-a-long-key")
        async with AsyncClient(transport=transport) as ann:
            assert (await ann.capabilities()).version


async def test_lists_go_on_over_pages(client: AsyncClient, recorder: Recorder) -> None:
    voxels = np.random.default_rng(0).integers(1, 99, (32, 32, 32), np.int16)
    volume = await client.open_array(voxels, np.eye(4))
    made = await volume.segment(points=(16, 16, 16))
    for number in range(52):
        await volume.add_result([Entry(made, f"Lesion {number}")])
    labels = [one.structures[0].label async for one in volume.results()]
    assert labels == [f"Lesion {number}" for number in range(52)][::-1]
    assert sum(request.method == "GET" for request, _, _ in recorder.sent) == 2 + 1


def test_forms_are_those_of_the_service() -> None:
    from sammoe_client import _requests

    assert (_requests.NIFTI, _requests.NRRD) == (NIFTI, NRRD)
