import pytest

from sammoe.api.admission import Admission, Place
from sammoe.errors import Overloaded

SMALL = [(b"content-length", b"100")]
LARGE = [(b"content-length", b"9000000")]
CHUNKED = [(b"transfer-encoding", b"chunked")]
STRANGE = [(b"content-length", b"9" * 5000)]

Headers = list[tuple[bytes, bytes]]


def place(admission: Admission, headers: Headers | None = None, path: str = "/v1/volumes") -> Place:
    return Place(admission, {"path": path, "headers": headers or []})


def test_there_are_so_many_places() -> None:
    admission = Admission(2)
    places = [place(admission, SMALL) for _ in range(3)]
    places[0].take()
    places[1].take()
    with pytest.raises(Overloaded):
        places[2].take()
    places[2].leave()
    places[0].leave()
    assert admission.requests == 1
    place(admission).take()


@pytest.mark.fault("S03")
@pytest.mark.parametrize("headers", [LARGE, CHUNKED, STRANGE])
def test_uploads_leave_half_of_them(headers: Headers) -> None:
    admission = Admission(4)
    uploads = [place(admission, headers) for _ in range(3)]
    uploads[0].take()
    uploads[1].take()
    with pytest.raises(Overloaded, match="uploads"):
        uploads[2].take()
    place(admission, SMALL).take()
    # What has come whole is a request like others.
    uploads[0].body_came()
    place(admission, headers).take()
    for upload in uploads:
        upload.leave()
    assert (admission.requests, admission.uploads) == (2, 1)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_who_watches_is_answered(path: str) -> None:
    admission = Admission(1)
    place(admission).take()
    watching = place(admission, path=path)
    watching.take()
    watching.leave()
    assert admission.requests == 1
