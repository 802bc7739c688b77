"""S32: whatever clients make up, metrics and logs keep their size, and one line stays one."""

import logging
import random
import re
import string
from pathlib import Path

import pytest

from sammoe.segmentation import Workspace
from sammoe.telemetry.logs import JsonLines, TextLines
from tests.contract.service import Service

ATTACKS = 30
MARK = "zqx"
"""In everything that is made up here, and in nothing of ours."""

FORGED = f"{MARK}\r\n2026-01-01 00:00:00 INFO sammoe.access status=200 \x1b[31m\u2028{MARK}"


def series(text: str) -> set[str]:
    """Names and labels without values, and without the moments since when each is counted."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0] for line in lines if "_created" not in line}


async def attack(service: Service, volume: str, seed: int) -> None:
    """One round of everything whose name a client can make up."""
    dice = random.Random(seed)
    word = MARK + "".join(dice.choices(string.ascii_letters + string.digits, k=12))
    http = service.http
    await http.get(f"/{word}/{word}")
    await http.get(f"/v1/volumes/{word}", params={word: word})
    await http.get(f"/v1/segmentations/{word}/mask", params={"candidate": word})
    await http.request(word.upper(), f"/v1/volumes/{word}")
    await http.get("/v1/volumes", headers={"X-Request-Id": FORGED.replace("\u2028", "")})
    await http.get("/v1/volumes", headers={"Authorization": f"Bearer {word}", "Accept": word})
    await service.click(volume, expert=word)
    await service.click(volume, headers=None, **{word: 1})
    await service.click(volume, tau=dice.random())
    await http.post(f"/nninteractive/{word}", headers={"X-Lease-Token": word})
    await http.post("/monailabel/infer/" + word, params={"image": word})


@pytest.mark.parametrize("form", [TextLines, JsonLines])
async def test_made_up_names_leave_metrics_and_logs_bounded(
    workspace: Workspace,
    form: type[TextLines] | type[JsonLines],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds = ATTACKS if form is TextLines else 1
    async with Service.over(workspace) as service:
        volume = await service.volume()
        for _ in range(2):  # the second time, embeddings hit, and metrics have been asked for
            await attack(service, volume, 0)
            first = series((await service.http.get("/metrics")).text)
        with caplog.at_level(logging.DEBUG, "sammoe"):
            for seed in range(1, rounds + 1):
                await attack(service, volume, seed)
        last = series((await service.http.get("/metrics")).text)
    # Whose mask a click is depends on its tau: one route and one verdict more at most.
    assert len(last - first) <= 4, last - first
    assert not [one for one in last if MARK in one.lower()]
    formatter = form()
    lines = [formatter.format(record) for record in caplog.records]
    ours = [line for record, line in zip(caplog.records, lines, strict=True) if _ours(record)]
    assert len(ours) >= 11 * rounds
    assert all(line.isprintable() for line in lines)
    assert not [line for line in ours if MARK in line.lower()]


def _ours(record: logging.LogRecord) -> bool:
    return record.name.startswith("sammoe")


async def test_refusals_are_counted_by_the_codes_of_the_tree(service: Service) -> None:
    volume = await service.volume()
    await attack(service, volume, 0)
    text = (await service.http.get("/metrics")).text
    for code in ("expert_unknown", "not_found", "method_not_allowed"):
        assert re.search(rf'sammoe_refusals_total{{code="{code}"}} [1-9]', text)
    # Of what has not happened there is a series, too: else nobody would see it begin.
    assert 'sammoe_refusals_total{code="internal_server_error"} 0.0' in text
    assert 'sammoe_refusals_total{code="store_unavailable"} 0.0' in text


async def test_the_same_is_written_by_the_real_handlers(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through a real file, as a collector reads it: as many lines as events."""
    volume, path = await service.volume(), tmp_path / "log"
    handler = logging.FileHandler(path)
    handler.setFormatter(TextLines())
    logger = logging.getLogger("sammoe")
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "sammoe"):
            await attack(service, volume, 1)
    finally:
        logger.removeHandler(handler)
        handler.close()
    events = [record for record in caplog.records if _ours(record)]
    assert len(path.read_text().splitlines()) == len(events)
