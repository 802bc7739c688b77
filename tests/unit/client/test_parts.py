"""Clicks, bodies, events, masks, files: the client's parts by themselves."""

import ast
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sammoe_client
from sammoe.volume.geometry import Geometry
from sammoe.volume.limits import ReadLimits
from sammoe.volume.nifti import read_nifti
from sammoe.volume.packed import pack
from sammoe.volume.paste import cut
from sammoe_client import _events, _masks, _modes, _nifti, _requests, errors
from sammoe_client._clicks import members
from sammoe_client._parsing import parsed
from sammoe_client._values import Route, Timings


def test_a_service_from_before_rivals_names_none() -> None:
    route = {"used": "general", "fused": False, "scores": {"cord": 0.5}}
    route |= dict.fromkeys(("top", "s_top", "tau", "check", "agreement", "distance"))
    assert parsed(Route, json.dumps(route).encode()).rival is None
    assert parsed(Route, json.dumps(route | {"rival": "cord"}).encode()).rival == "cord"
    del route["check"]
    with pytest.raises(errors.UnexpectedAnswer):
        parsed(Route, json.dumps(route).encode())


def test_it_needs_httpx_and_numpy_alone() -> None:
    folder = Path(sammoe_client.__file__).parent
    wanted = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted.add((node.module or "").partition(".")[0])
    assert wanted - sys.stdlib_module_names == {"httpx", "numpy", "sammoe_client"}


def test_what_is_exported_is_named() -> None:
    public = {name for name in vars(sammoe_client) if not name.startswith("_")}
    assert public | {"__version__"} == set(sammoe_client.__all__)
    assert sorted(sammoe_client.__all__) == sorted(set(sammoe_client.__all__))


def test_methods_are_documented_and_look_like_their_steps() -> None:
    segment = sammoe_client.Volume.segment
    assert "Segment the structure" in (segment.__doc__ or "")
    with sammoe_client.Client() as client:
        assert client.open.__name__ == "open"
        assert "Send a scan" in (client.open.__doc__ or "")


def test_clicks() -> None:
    assert members({}) == {}
    one = {"position": [1.0, 2.0, 3.0], "label": 1}
    assert members({"points": (1, 2, 3)}) == {"points": [one], "space": "voxel"}
    given: dict[str, Any] = {"points": np.eye(3, dtype=int), "label": (1, 0, True), "tau": 0.5}
    assert [p["label"] for p in members(given)["points"]] == [1, 0, 1]
    for label in (0, False, np.int64(0), np.uint8(0), np.bool_(False), np.array(0), 0.0):
        zeros = members({"points": [(1, 2, 3), (4, 5, 6)], "label": label})["points"]
        assert [p["label"] for p in zeros] == [0, 0]
        assert {type(p["label"]) for p in zeros} == {int}
    two = members({"points": [(1, 2, 3), (4, 5, 6)], "label": np.array([1, 0], np.uint8)})
    assert [p["label"] for p in two["points"]] == [1, 0]
    box = members({"box": [(0, 1, 2), (3, 4, 5)], "space": "ras"})
    assert box == {"box": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "space": "ras"}


@pytest.mark.parametrize(
    "click",
    [
        {"points": [(1, 2)]},
        {"points": [[[1, 2, 3]]]},
        {"points": [(1, 2, float("nan"))]},
        {"points": ["abc"]},
        {"points": [(1, 2, 3)], "label": [1, 0]},
        {"points": np.eye(3), "label": [1]},
        {"points": [(1, 2, 3)], "label": [0.9]},
        {"points": [(1, 2, 3)], "label": 2},
        {"points": [(1, 2, 3)], "label": -1},
        {"points": [(1, 2, 3)], "label": np.nan},
        {"points": [(1, 2, 3)], "label": None},
        {"points": [(1, 2, 3)], "label": [[1]]},
    ],
)
def test_clicks_that_are_none(click: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"points|label|convert"):
        members(click)


def test_a_folder_is_one_form_without_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (empty := tmp_path / "empty").mkdir()
    (tmp_path / "Doe^Jane.dcm").write_bytes(b"first")
    (tmp_path / "deep" / "b.dcm").write_bytes(b"second" * 100_000)
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    told: list[tuple[int, int]] = []
    body = _requests.file_body(tmp_path, lambda done, total: told.append((done, total)))
    content = b"".join(_modes._pieces(body))
    assert len(content) == body.size == told[-1][0] == told[-1][1]
    assert len(told) > 5
    assert content.count(b'filename="file"') == 2
    assert b"first\r\n" in content
    assert b"Jane" not in content
    assert b"hidden" not in content
    assert b"".join(body.pieces()) == content
    with pytest.raises(FileNotFoundError, match="holds no file"):
        _requests.file_body(empty)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_events_in_pieces(size: int) -> None:
    text = (
        b'event: progress\r\ndata: {"a": 1}\r\n\r\n: a comment\n\nevent: end\ndata: 1\ndata: 2\n\n'
    )
    events, found = _events.Events(), []
    for start in range(0, len(text), size):
        found += list(events.feed(text[start : start + size]))
    assert [(event.name, event.data) for event in found] == [
        ("progress", b'{"a": 1}'),
        ("end", b"12"),
    ]


@pytest.mark.parametrize("filled", [0.0, 0.3, 1.0])
def test_masks_are_read_as_they_are_packed(filled: float) -> None:
    mask = np.zeros((7, 9, 11), bool)
    mask[2:5, 3:9, 1:4] = np.random.default_rng(0).random((3, 6, 3)) < filled
    packed = pack(cut(mask), Geometry(mask.shape, np.eye(4)))
    np.testing.assert_array_equal(_masks.unpack(packed, (7, 9, 11)), mask)
    short = [packed[:-3], packed[:52] + bytes(40)] if filled else []
    for damaged in (packed[:40], b"X" + packed[1:], *short):
        with pytest.raises(errors.UnexpectedAnswer):
            _masks.unpack(damaged, (7, 9, 11))
    with pytest.raises(errors.UnexpectedAnswer):
        _masks.unpack(packed, (11, 9, 7))


@pytest.mark.parametrize("dtype", ["bool", *_nifti._CODES, ">i2"])
def test_arrays_are_sent_as_nifti(dtype: str) -> None:
    voxels: Any = np.random.default_rng(0).integers(0, 2, (5, 6, 7)).astype(dtype)
    affine = np.array([[0, 2.0, 0, -3], [-1.5, 0, 0, 4], [0, 0, 3, 5], [0, 0, 0, 1]])
    read = read_nifti(BytesIO(_nifti.nifti(voxels[::-1], affine)), ReadLimits())
    np.testing.assert_array_equal(read.voxels, voxels[::-1])
    np.testing.assert_allclose(read.geometry.affine, affine)
    sent = _nifti.nifti(voxels, affine)
    np.testing.assert_array_equal(_nifti.voxels_of(sent, (5, 6, 7)), voxels)
    for odd in (sent[:-1], sent[:100], b"x" + sent[1:]):
        with pytest.raises(errors.UnexpectedAnswer):
            _nifti.voxels_of(odd, (5, 6, 7))


@pytest.mark.parametrize(
    ("voxels", "affine"),
    [
        (np.zeros((2, 2)), np.eye(4)),
        (np.zeros((2, 2, 2), complex), np.eye(4)),
        (np.zeros((2, 2, 2)), np.eye(3)),
    ],
)
def test_what_is_no_volume_is_not_sent(voxels: Any, affine: Any) -> None:
    with pytest.raises(ValueError, match="three axes"):
        _nifti.nifti(voxels, affine)


def test_timings_out_of_a_header() -> None:
    text = 'queue;dur=0.10, encode;dur=12.5, cache;desc="miss", odd, bad;dur=x, total;dur=14.00'
    assert Timings.parse(text) == Timings({"queue": 0.1, "encode": 12.5}, 14.0, cached=False)
    assert Timings.parse("") == Timings({})
