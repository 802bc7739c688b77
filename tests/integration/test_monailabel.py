"""The unmodified client of MONAI Label, and the bytes that MITK sends, against the real service."""

import gc
import importlib
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import nrrd  # type: ignore[import-untyped]
import numpy as np
import pytest
import trustme
from numpy.typing import NDArray
from pydicom import dcmread

from sammoe.volume.geometry import Geometry
from tests import scans
from tests.integration.orthanc_server import PASSWORD, USER, OrthancServer
from tests.integration.serving import Server, serving
from tests.readers import by_references, dciodvfy
from tests.series import as_bytes, mr, series

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = next(ROOT.glob(".venv-monailabel/lib/python*/site-packages"))

with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(PACKAGES)
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports cgi
    MONAILabelClient: Any = importlib.import_module("monailabel.client").MONAILabelClient
    Refused: Any = importlib.import_module("monailabel.client.client").MONAILabelClientException

KEY = "a-key-of-some-length"
MODEL = "sam_med3d_moe"
BITE = [36, 30, 20]

# The client leaves its files and sockets open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _left_open() -> Iterator[None]:
    """What the client leaves open is collected here, not in the middle of another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("monailabel") / "state"
    with serving(bundle, state) as server:
        yield server


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(scans.gzipped())
    return path


@pytest.fixture(params=["", "/"])
def client(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    return MONAILabelClient(f"{server.url}/monailabel{request.param}", tmpdir=str(tmp_path))


def mask_of(path: str) -> NDArray[Any]:
    if path.endswith(".nrrd"):
        voxels: NDArray[Any] = nrrd.read(path)[0]
        return voxels
    image = nib.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj)


def test_what_is_served(client: Any) -> None:
    assert client.auth_enabled() is False
    told = client.info()
    assert {"name", "description", "version", "labels", "models"} <= told.keys()
    assert told["labels"][0] == "structure"
    assert set(told["models"]) == {MODEL, "general", "spleen"}
    for model in told["models"].values():
        assert {"type", "labels", "dimension", "description", "config"} <= model.keys()
        assert model["labels"]
    assert client.train_status(check_if_running=True) is False
    for ask, about in ((client.train_start, "deepgrow"), (client.next_sample, "random")):
        with pytest.raises(Refused) as error:
            ask(about, {})
        assert "not served" in error.value.msg


def test_a_session_is_clicked_in(client: Any, scan: Path) -> None:
    session = client.create_session(str(scan))["session_id"]
    assert client.get_session(session)["session_id"] == session
    params = {"foreground": [list(scans.INSIDE)], "background": [], "label": "structure"}
    path, told = client.infer(MODEL, "", params, session_id=session)
    first = mask_of(path)
    assert first.shape == scans.SHAPE
    assert first[scans.INSIDE] == 1
    assert told["label_names"] == {"structure": 1}

    path, _ = client.infer(MODEL, "", params | {"background": [BITE]}, session_id=session)
    second = mask_of(path)
    assert second[tuple(BITE)] == 0
    assert 0 < second.sum() < first.sum()
    nrrd_params = params | {"result_extension": ".nrrd"}
    path, _ = client.infer(MODEL, "", nrrd_params, session_id=session)
    np.testing.assert_array_equal(mask_of(path), first)
    kept = client.create_session(str(scan))["session_id"]
    client.remove_session(session)
    assert client.get_session(kept)["session_id"] == kept
    client.remove_session(kept)
    with pytest.raises(Refused):
        client.get_session(session)
    with pytest.raises(Refused):
        client.infer(MODEL, "", params, session_id=session)


def test_later_clicks_refine_what_was_answered(server: Server, client: Any, scan: Path) -> None:
    session = client.create_session(str(scan))["session_id"]
    clicks = [list(scans.INSIDE), [30, 34, 20], [30, 38, 20]]
    with server.client() as http:

        def made() -> list[dict[str, Any]]:
            answer = http.get(f"/v1/volumes/{session}/segmentations")
            found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
            return found

        before = len(made())
        for count in (1, 2, 2, 3):
            client.infer("general", "", {"foreground": clicks[:count]}, session_id=session)
        chain = made()
        assert len(chain) == before + 3
        assert chain[0]["parent"] == chain[1]["id"]
        assert chain[1]["parent"] == chain[2]["id"]
        assert chain[2]["parent"] is None
        # Another order of clicking is another story, told from the beginning.
        client.infer("general", "", {"foreground": clicks[::-1]}, session_id=session)
        assert len(made()) == before + 6
    client.remove_session(session)


def test_a_file_with_every_click_is_one_scan(client: Any, scan: Path, server: Server) -> None:
    params = {"foreground": [list(scans.INSIDE)]}

    def volumes() -> list[str]:
        client.infer("spleen", "", params, file=str(scan))
        with server.client() as http:
            return [one["id"] for one in http.get("/v1/volumes").json()["items"]]

    path, _ = client.infer("spleen", "", params, file=str(scan))
    assert mask_of(path)[scans.INSIDE] == 1
    assert volumes() == volumes()


def test_an_image_of_the_clients_naming(client: Any, scan: Path, tmp_path: Path) -> None:
    assert client.upload_image(str(scan), "ward 7") == {"image": "ward 7"}
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scans.gzipped(seed=5))
    assert client.upload_image(str(other), "ward 7") == {"image": "ward 7"}
    box = {"roi": [20, 40, 20, 40, 10, 30]}
    path, _ = client.infer(MODEL, "ward 7", box)
    mask = mask_of(path)
    assert mask[30, 30, 20] == 1
    assert not mask[:10].any()
    # 3D Slicer's box in a scan whose axes run against its own comes from the other end.
    path, _ = client.infer(MODEL, "ward 7", {"roi": [40, 20, 40, 20, 10, 30]})
    np.testing.assert_array_equal(mask_of(path), mask)
    far = {"roi": [20, 40, 20, 40, 10, 900]}
    path, _ = client.infer(MODEL, "ward 7", far)
    assert mask_of(path)[30, 30, 30] == 1
    assert client.datastore()["objects"]
    with pytest.raises(Refused):
        client.infer(MODEL, "ward 8", box)
    with pytest.raises(Refused) as error:
        client.save_label("ward 7", str(scan))
    assert "save masks" in error.value.msg


def test_ohif_gets_a_raw_nrrd(server: Server, client: Any, scan: Path) -> None:
    session = client.create_session(str(scan))["session_id"]
    params = {
        "foreground": [list(scans.INSIDE)],
        "background": [],
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        "result_compress": False,
        "restore_label_idx": False,
    }
    with server.client() as http:
        answer = http.post(
            f"/monailabel/infer/{MODEL}",
            params={"image": session, "output": "image"},
            files={"params": (None, json.dumps(params))},
        ).raise_for_status()
        head, _, voxels = answer.content.partition(b"\n\n")
        assert b"encoding: raw" in head
        mask = np.frombuffer(voxels, np.uint8).reshape(scans.SHAPE, order="F")
        assert mask[scans.INSIDE] == 1
        told = http.post(
            f"/monailabel/infer/{MODEL}",
            params={"image": session, "output": "json"},
            files={"params": (None, json.dumps(params))},
        )
        assert told.json()["params"]["label_names"] == {"structure": 1}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ("{", 400),
        ("[1]", 400),
        ("null", 400),
        ("5", 400),
        ('{"foreground": [[1, 2]]}', 400),
        ('{"foreground": [[1, 2, NaN]]}', 400),
        ('{"foreground": [[1, 2, 900]]}', 422),
        ('{"background": [[1, 2, 3]]}', 422),
        ("{}", 422),
        ('{"roi": [1, 2, 3]}', 422),
        ('{"roi": [1, 20, 1, 20, 800, 900]}', 422),
        (json.dumps({"foreground": [[1, 2, 3]] * 65}), 413),
        ('{"foreground": [[30, 30, 20]], "result_extension": "/etc/passwd"}', 400),
    ],
)
def test_bad_params_are_refused(
    server: Server, client: Any, scan: Path, params: str, status: int
) -> None:
    session = client.create_session(str(scan))["session_id"]
    with server.client() as http:
        answer = http.post(
            f"/monailabel/infer/{MODEL}?session_id={session}", files={"params": (None, params)}
        )
        assert answer.status_code == status, answer.text
        assert (
            http.post("/monailabel/infer/nobody", files={"params": (None, "{}")}).status_code == 404
        )


def test_signing_in(bundle: Path, tmp_path: Path, scan: Path) -> None:
    with serving(bundle, tmp_path / "state", SAMMOE_API_KEYS=f"ann:{KEY}") as server:
        client = MONAILabelClient(f"{server.url}/monailabel", tmpdir=str(tmp_path))
        assert client.auth_enabled() is True
        assert client.auth_valid_token() is False
        with pytest.raises(Refused):
            client.auth_token("ann", "wrong")
        with pytest.raises(Refused):
            client.auth_token("ben", KEY)
        with pytest.raises(Refused):
            client.create_session(str(scan))
        client.update_auth(client.auth_token("ann", KEY))
        assert client.auth_valid_token() is True
        assert client.create_session(str(scan))["session_id"]


@pytest.fixture(scope="module")
def beside_pacs(
    bundle: Path, orthanc: OrthancServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service that knows a PACS."""
    pacs = {
        "SAMMOE_DICOMWEB_URL": orthanc.dicomweb,
        "SAMMOE_DICOMWEB_USER": USER,
        "SAMMOE_DICOMWEB_PASSWORD": PASSWORD,
    }
    with serving(bundle, tmp_path_factory.mktemp("pacs") / "state", **pacs) as server:
        yield server


def test_a_series_of_the_pacs_in_every_form(
    beside_pacs: Server, orthanc: OrthancServer, tmp_path: Path
) -> None:
    """A viewer tells the series' UID alone; a SEG comes as others read it."""
    orthanc.empty()
    images = series(mr((41, 37, 14), 5), modality="MR", intercept=0, uid="1.2.826.0.1.77")
    orthanc.store(map(as_bytes, images))
    client = MONAILabelClient(f"{beside_pacs.url}/monailabel", tmpdir=str(tmp_path))
    uid = str(images[0].SeriesInstanceUID)
    params = {"foreground": [[16, 18, 6]], "result_extension": ".nrrd", "label": "structure"}
    path, _ = client.infer(MODEL, uid, params)
    mask = mask_of(path)
    assert mask.shape == (41, 37, 14)
    assert mask[16, 18, 6] == 1
    with pytest.raises(Refused):
        client.infer(MODEL, "1.2.3.4", params)

    spleen = {
        "SegmentLabel": "Spleen, by hand",
        "SegmentedPropertyCategoryCodeSequence": {
            "CodeValue": "123037004",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Anatomical Structure",
        },
        "SegmentedPropertyTypeCodeSequence": {
            "CodeValue": "78961009",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Spleen",
        },
        "recommendedDisplayRGBValue": [157, 108, 162],
    }
    infos = {
        "Spleen": {"name": "Spleen", "color": [1, 2, 3, 255], "model_name": "m"},
        "Spleen, by hand": {"name": "unused", "segmentAttribute": spleen},
        "structure": {},
    }
    with beside_pacs.client() as http:

        def seg(**more: Any) -> httpx.Response:
            sent = {"params": (None, json.dumps({**params, **more}))}
            url = f"/monailabel/infer/{MODEL}?image={uid}&output=dicom_seg"
            return http.post(url, files=sent)

        for label, info in infos.items():
            answer = seg(label_info=[info])
            assert answer.headers["Content-Type"] == "application/dicom"
            file = tmp_path / "seg.dcm"
            file.write_bytes(answer.content)
            (segment,) = dcmread(file).SegmentSequence
            assert segment.SegmentLabel == label
            assert dciodvfy(file) == []
            volume = http.get("/v1/volumes").json()["items"][0]
            geometry = Geometry(tuple(volume["shape"]), np.array(volume["affine"]))
            np.testing.assert_array_equal(by_references(file, images, geometry)[1], mask)
            assert answer.content == seg(label_info=[info]).content
        assert seg().status_code == 200
        assert seg(label_info=[{"name": "a\\b"}]).status_code == 400
        assert seg(label_info="x").status_code == 400
        assert http.get(f"/v1/volumes/{volume['id']}/results").json()["items"] == []


def test_a_seg_needs_a_dicom_source(server: Server, client: Any, scan: Path) -> None:
    session = client.create_session(str(scan))["session_id"]
    sent = {"params": (None, json.dumps({"foreground": [list(scans.INSIDE)]}))}
    with server.client() as http:
        url = f"/monailabel/infer/{MODEL}?session_id={session}&output=dicom_seg"
        answer = http.post(url, files=sent)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_dicom_source")


def test_mitk_speaks_tls_at_the_root_of_a_port(bundle: Path, tmp_path: Path, scan: Path) -> None:
    certificate, key = self_signed(tmp_path)
    flags = ["--monailabel-port", "0", "--monailabel-certificate", str(certificate)]
    flags += ["--monailabel-key", str(key)]
    with serving(bundle, tmp_path / "state", *flags) as server:
        address = server.beside("MONAI Label")
        assert address.startswith("https://127.0.0.1:")
        port = int(address.rsplit(":", 1)[1])
        status, head, body = over_tls(port, b"GET /info/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status == 200
        assert {"name", "description", "labels"} <= json.loads(body).keys()

        params = {"foreground": [list(scans.INSIDE)], "background": [], "reset_state": True}
        limit = "httplib-form-data-0123456789abcdef"
        request = (
            (
                f'--{limit}\r\nContent-Disposition: form-data; name="params"\r\n\r\n'
                f"{json.dumps(params)}\r\n"
                f'--{limit}\r\nContent-Disposition: form-data; name="file";'
                ' filename="post_from_mitk.nii.gz"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            ).encode()
            + scan.read_bytes()
            + f"\r\n--{limit}--\r\n".encode()
        )
        status, head, body = over_tls(
            port,
            f"POST /infer/{MODEL} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(request)}\r\n"
            f"Content-Type: multipart/form-data; boundary={limit}\r\n\r\n".encode()
            + request,
        )
        assert status == 200
        # As MITK's own parser does: the boundary is what follows the last "boundary=".
        boundary = head.split("boundary=")[-1].split("\r\n")[0].encode()
        first, second = body.split(b"--" + boundary)[1:3]
        told = json.loads(first.split(b"Content-Type: application/json")[1].strip())
        assert told["label_names"] == {"structure": 1}
        content = second.split(b"Content-Type: application/octet-stream\r\n\r\n")[1][:-2]
        path = tmp_path / "mask.nii.gz"
        path.write_bytes(content)
        assert mask_of(str(path))[scans.INSIDE] == 1
        assert server.stop() == 0


def over_tls(port: int, request: bytes) -> tuple[int, str, bytes]:
    """Status, head and body of an answer, over a bare socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=120) as plain,
        context.wrap_socket(plain) as secure,
    ):
        secure.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += secure.recv(1 << 16)
        head, _, body = received.partition(b"\r\n\r\n")
        text = head.decode()
        length = int(text.lower().split("content-length: ")[1].split("\r\n")[0])
        while len(body) < length:
            body += secure.recv(1 << 16)
    return int(text.split()[1]), text, body


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key
