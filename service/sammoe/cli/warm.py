"""``sammoe warm``: let a running service get series from the PACS and prepare them, overnight.

Series are found and pulled through the service's own API, one after the other, so that people who
click meanwhile go first; when the service is busy, this waits. What is done is noted in a file, and
left out the next time.
"""

import argparse
import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
from tqdm import tqdm

from sammoe.cli import warm_scans
from sammoe.errors import InvalidInput, PacsError, SammoeError

_KEY: Final = "SAMMOE_API_KEY"
_MODALITIES: Final = ("CT", "MR")
_FAILED: Final = "failed"
_BUSY: Final = (429, 503)
_TRIES: Final = 60
_LONGEST_WAIT: Final = 60.0
_SECONDS: Final = 1200.0
"""For one answer: a series may take long to arrive from the PACS."""
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which scans; or which series, of which service, how fast."""
    scans = parser.add_argument_group("of scans, into Redis")
    warm_scans.add_arguments(scans)
    parser.add_argument("--study", type=_uid, metavar="UID", help="StudyInstanceUID")
    parser.add_argument(
        "--modality", help="CT or MR: what scans are, or which series (default: by itself; both)"
    )
    parser.add_argument(
        "--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="first day of studies"
    )
    parser.add_argument(
        "--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="last day of studies"
    )
    parser.add_argument("--server", help="name of the DICOMweb server (default: the first)")
    parser.add_argument(
        "--url",
        default="http://127.0.0.1:8000",
        help=f"the running service (default %(default)s); its key is taken from [env {_KEY}]",
    )
    parser.add_argument(
        "--done",
        type=Path,
        metavar="FILE",
        help="where to note what is done, so that it is left out the next time",
    )
    parser.add_argument(
        "--pause", type=float, default=0.0, metavar="SECONDS", help="to rest between series"
    )


def run(args: argparse.Namespace) -> int:
    """Find, pull and prepare; say how many series were, and why others were not."""
    if args.scans:
        return warm_scans.run(args)
    if not (args.study or args.since or args.until):
        raise InvalidInput(
            "Say which: scans, --study UID, or --since YYYY-MM-DD and perhaps --modality."
        )
    key = os.environ.get(_KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    outcomes: Counter[str] = Counter()
    with httpx.Client(base_url=args.url, headers=headers, timeout=_SECONDS) as http:
        service, done = _Service(http), _Done(args.done)
        budget = _Budget(float(args.budget_mib))
        found = list(_find(service, args))
        for one in tqdm(found, unit="series", delay=2, disable=None):
            if one in done:
                outcomes["done before"] += 1
                continue
            outcome = _warm(service, one, budget)
            outcomes[outcome] += 1
            if not outcome.startswith(_FAILED):  # it may go better the next time
                done.add(one)
            time.sleep(args.pause)
    print(f"{len(found)} series" + "".join(f", {n} {what}" for what, n in outcomes.most_common()))
    return 0


@dataclass(frozen=True, slots=True, repr=False)
class _Series:
    study: str
    series: str
    server: str | None
    instances: int | None

    @property
    def name(self) -> str:
        """Tells it from others, and changes when images are added; tells nothing of the patient."""
        text = f"{self.server} {self.study} {self.series} {self.instances}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class _Budget:
    """``left``: MiB that further embeddings may take."""

    left: float


class _Done:
    """A file with the names of series that need not be warmed again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        there = path is not None and path.exists()
        self._names = set(path.read_text().split()) if path is not None and there else set()

    def __contains__(self, one: _Series) -> bool:
        return one.name in self._names

    def add(self, one: _Series) -> None:
        """Note it at once: whatever ends this run, the next goes on from here."""
        self._names.add(one.name)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{one.name}\n")


class _Service:
    """The API of a running service, patient where it is busy."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """An answer that is not "busy".

        Raises
        ------
        PacsError
            The service can not be reached, or stays busy.
        """
        for number in range(_TRIES):
            try:
                answer = self._http.post(path, json=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                what = type(error).__name__
                raise PacsError(f"No answer from the service ({what}); see --url.") from error
            if answer.status_code not in _BUSY:
                return answer
            wait = float(answer.headers.get("Retry-After", "1")) * 2 ** min(number, 6)
            time.sleep(min(wait, _LONGEST_WAIT))
        raise PacsError("The service is busy all the time; try again later.")


def _find(service: _Service, args: argparse.Namespace) -> Iterator[_Series]:
    asked: dict[str, Any] = {
        name: str(value)
        for name in ("study", "modality", "since", "until", "server")
        if (value := getattr(args, name)) is not None
    }
    offset: int | None = 0
    while offset is not None:
        page = _checked(service.post("/v1/dicomweb/search", {**asked, "offset": offset}))
        for item in page["items"]:
            if args.modality or item["modality"] in _MODALITIES:
                yield _Series(item["study"], item["series"], args.server, item["instances"])
        offset = page["next"]


def _warm(service: _Service, one: _Series, budget: _Budget) -> str:
    """What came of it, in a word or a code."""
    wanted = {"study": one.study, "series": one.series}
    if one.server is not None:
        wanted["server"] = one.server
    added = service.post("/v1/volumes", {"dicomweb": wanted})
    if added.is_error:
        what = "refused" if added.status_code < 500 else _FAILED
        return f"{what} ({_problem(added)['code']})"
    volume = _checked(added)
    # Answers at once: the service goes on behind, and takes the next series when it can.
    place = f"/v1/volumes/{volume['id']}/embeddings"
    if budget.left >= 1:
        whole = {"extent": "whole", "budget_mib": int(budget.left)}
        planned = service.post(place, whole)
        if planned.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            budget.left -= _checked(planned)["mib"]
            return "prepared" if added.status_code == 201 else "there already"
    _checked(service.post(place, {}))
    return "in the middle alone, for all of it takes too much"


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        problem = _problem(answer)
        raise _Refused(f"{problem['detail']} ({problem['code']})")
    found: dict[str, Any] = answer.json()
    return found


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """What an answer says that it refuses; a proxy before the service has words of its own."""
    try:
        problem: dict[str, Any] = answer.json()
    except ValueError:
        problem = {}
    return {"code": f"status {answer.status_code}", "detail": "No answer of the service"} | problem


class _Refused(SammoeError):
    """The service refused what is needed."""


def _uid(text: str) -> str:
    if not _UID.fullmatch(text):
        raise argparse.ArgumentTypeError("a UID is of digits and dots")
    return text
