"""Ids of records."""

import time

import pytest

from sammoe.errors import NotFound
from sammoe.store.ids import Ids, check_id, earliest, is_id, is_within


def test_ids_ascend_as_text_and_differ() -> None:
    ids = Ids()
    made = [ids.new() for _ in range(5000)]
    assert made == sorted(set(made))


def test_later_maker_s_ids_are_greater() -> None:
    first = Ids().new()
    time.sleep(0.002)
    assert Ids().new() > first


@pytest.mark.fault("F16")
def test_ids_ascend_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = Ids()
    before = ids.new()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    assert ids.new() > before


def test_random_part_is_80_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000 * 1_000_000)
    tails = {Ids().new()[10:] for _ in range(100)}
    assert len(tails) == 100
    assert len({tail[0] for tail in tails}) > 5


def test_form() -> None:
    assert is_id(Ids().new())
    assert check_id("0" * 26, "volume") == "0" * 26


@pytest.mark.fault("S18")
@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "0" * 25 + "w", "0" * 25 + "A", "../" + "0" * 23, "0" * 26 + "\n"],
)
def test_everything_else_is_not_found(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(NotFound, match="There is no such volume"):
        check_id(text, "volume")


def test_an_id_speaks_for_the_record_it_was_made_within() -> None:
    ids = Ids()
    volumes = [ids.new() for _ in range(50)]
    for volume in volumes:
        name = ids.new(volume)
        assert is_id(name)
        assert [other for other in volumes if is_within(name, other)] == [volume]
    assert len({ids.new(volumes[0])[-8:] for _ in range(100)}) == 100


def test_earliest_id_of_a_time() -> None:
    before = time.time()
    name = Ids().new()
    assert earliest(before - 0.001) <= name < earliest(time.time() + 0.002)
    assert is_id(earliest(before))
    assert earliest(-1.0) == "0" * 26
