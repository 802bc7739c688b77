"""A process that writes to a store without end, to be killed at any moment.

After each deed it says on stdout what is promised from then on: a line ``kept <volume id>``,
``gone <volume id>``, ``turn <number>`` (the segmentation `SAME` has that candidate, and all before)
or ``answered <number>``.
"""

import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from sammoe.errors import NotFound
from sammoe.store import LocalStore, StoredResponse
from sammoe.volume.volume import Volume
from tests.records import OWNER, add_volume, fields, segmentation_record, volume_record

SHAPE = (24, 25, 26)
SAME = "0" * 26
"""Id of the segmentation that is replaced again and again: by one with one candidate more."""


def turn_of(candidates: Collection[str]) -> int:
    """The last turn that `SAME` has seen, of its candidates; none before may be missing."""
    turns = sorted(int(name.removeprefix("turn ")) for name in candidates if "turn" in name)
    assert turns == [*range(1, len(turns) + 1)]
    return len(turns)


def main(root: Path) -> None:
    """Write until killed, counting turns from where `SAME` is."""
    store = LocalStore(root)
    try:
        _, kept = store.segmentations.with_fields(OWNER, SAME)
    except NotFound:
        home = add_volume(store)
        store.segmentations.put(segmentation_record(store, home, id=SAME), fields())
        kept = {}
    turn = turn_of(kept)
    while True:
        turn += 1
        values = np.full(SHAPE, turn % 1000, np.int16)
        record = volume_record(store, shape=SHAPE, file_digest=f"{turn:064x}")
        volume = Volume(values, record.geometry, record.modality, record.modality_source)
        record = record.model_copy(update={"content_digest": volume.content_digest()})
        record = store.volumes.add(record, values)
        say(f"kept {record.id}")
        store.segmentations.add(OWNER, SAME, f"turn {turn}", fields(float(turn))["general"])
        say(f"turn {turn}")
        body = str(turn).encode() * 1000
        store.responses.put(OWNER, f"key {turn}", "digest", StoredResponse(200, {}, body))
        say(f"answered {turn}")
        store.segmentations.put(segmentation_record(store, record), fields(float(turn)))
        if turn % 2:
            store.volumes.delete(OWNER, record.id)
            say(f"gone {record.id}")


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
