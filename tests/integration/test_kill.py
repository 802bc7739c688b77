"""A process killed with SIGKILL at any moment leaves old records or new ones, never half of one."""

import random
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from sammoe.store import Fields, LocalStore
from sammoe.volume.volume import Volume
from tests.integration.restless_writer import SAME, turn_of
from tests.records import OWNER

ROUNDS = 6


def start(root: Path) -> tuple[subprocess.Popen[str], IO[str]]:
    """A writer at work, and what it says."""
    command = [sys.executable, "-m", "tests.integration.restless_writer", str(root)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    return writer, writer.stdout


def write_and_kill(root: Path, deeds: int, seconds: float) -> list[tuple[str, str]]:
    """Let the writer run for some time after so many deeds; return its promises."""
    writer, said = start(root)
    lines = [said.readline() for _ in range(deeds)]
    time.sleep(seconds)
    writer.kill()
    lines += said.readlines()
    said.close()
    assert writer.wait(10) == -9, lines
    # The pipe may break off within a line; what was not said in full was not promised.
    promises = [line.split() for line in lines if line.endswith("\n")]
    return [(word, value) for word, value in promises]


def check_turns(masks: Fields) -> int:
    """Each turn's candidate holds its number, and nothing else; return the last."""
    turn = turn_of(masks)
    for number in range(1, turn + 1):
        np.testing.assert_array_equal(masks[f"turn {number}"].values, number)
    return turn


def check(root: Path, rounds: list[list[tuple[str, str]]]) -> None:
    """Read everything, after rounds of promises that each ended with a kill."""
    promises = [promise for each in rounds for promise in each]
    store = LocalStore(root)
    listed = {record.id: record for record in store.volumes.page(OWNER, None, 10_000).items}
    for record in listed.values():
        voxels = store.volumes.voxels(record)
        if voxels.size > 100:
            volume = Volume(voxels, record.geometry, record.modality, record.modality_source)
            assert volume.content_digest() == record.content_digest
        for answer in store.segmentations.page(OWNER, record.id, None, 10_000).items:
            # Reading checks the sums of header and payload.
            _, masks = store.segmentations.with_fields(OWNER, answer.id, record.id)
            assert masks.keys() > {"general"}
    gone = {value for word, value in promises if word == "gone"}
    kept = {value for word, value in promises if word == "kept"} - gone
    assert not gone & listed.keys()
    # At most the volume may be missing that was being deleted at the kill: a round's last.
    lasts = ([value for word, value in each if word == "kept"][-1:] for each in rounds)
    assert kept - listed.keys() <= set(chain.from_iterable(lasts))
    turns = [int(value) for word, value in promises if word == "turn"]
    if turns:
        assert check_turns(store.segmentations.with_fields(OWNER, SAME)[1]) >= max(turns)
    for word, value in promises:
        if word == "answered":
            response = store.responses.get(OWNER, f"key {value}", "digest")
            assert response is not None
            assert response.body == value.encode() * 1000
    store.close()
    records = root.glob("owners/*/volumes/*/volume.json")
    assert all(record.with_name("voxels.npy").exists() for record in records)
    assert {path.name for path in root.glob("tmp/*")} <= {"lock", "replacing"}


@pytest.mark.fault("F14")
def test_killed_writer_leaves_no_half_record(tmp_path: Path) -> None:
    chance = random.Random(7)
    rounds: list[list[tuple[str, str]]] = []
    for _ in range(ROUNDS):
        deeds, seconds = chance.randint(1, 12), chance.uniform(0, 0.02)
        rounds.append(write_and_kill(tmp_path, deeds, seconds))
        check(tmp_path, rounds)
    said = {word for each in rounds for word, _ in each}
    assert said == {"kept", "turn", "answered", "gone"}


def test_reader_beside_a_writer_sees_whole_records(tmp_path: Path) -> None:
    writer, said = start(tmp_path)
    said.readline()
    store = LocalStore(tmp_path)
    seen: set[int] = set()
    end = time.monotonic() + 60
    while len(seen) < 4 and time.monotonic() < end:
        _, masks = store.segmentations.with_fields(OWNER, SAME)
        turn = check_turns(masks)
        assert turn >= max(seen, default=0)
        seen.add(turn)
    writer.kill()
    said.close()
    writer.wait(10)
    store.close()
    assert len(seen) == 4
