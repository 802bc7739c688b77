import pytest

from sammoe.api.negotiation import ANSWERS, FILE_NAMES, JSON, MASKS, NIFTI, NRRD, PACKED, choose
from sammoe.errors import NotAcceptable


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (PACKED, PACKED),
        (PACKED.upper(), PACKED),
        (f"{PACKED}, */*;q=0.1", PACKED),
        (f"{NRRD};q=0.5, {NIFTI};q=0.8", NIFTI),
        (f"{NRRD} ; q=0.9 , {NIFTI} ;q=0.8,", NRRD),
        ("text/html, */*;q=0.1", JSON),
        ("*/*, application/json;q=0", PACKED),
        (f"application/*;q=0.2, */*;q=0.9, {NRRD};q=0.3", NRRD),
        ("application/json;charset=utf-8", JSON),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str | None, chosen: str) -> None:
    assert choose(accept, ANSWERS) == chosen


@pytest.mark.fault("S31")
@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/*",
        "application/json;q=0",
        "*/*;q=0",
        f"{PACKED};q=2",
        f"{PACKED};q=-1",
        f"{PACKED};q=nan",
        f"{PACKED};q=high",
        "application",
        ",".join(["text/html"] * 33),
    ],
)
def test_what_the_route_does_not_have_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(accept, ANSWERS)


def test_the_refusal_says_what_there_is() -> None:
    with pytest.raises(NotAcceptable, match=NRRD):
        choose("text/html", MASKS)


def test_a_mask_by_itself_is_nifti_unless_asked_otherwise() -> None:
    assert choose("*/*", MASKS) == NIFTI
    assert set(FILE_NAMES) == set(MASKS)
