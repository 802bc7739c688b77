"""All cases of an evaluation, over processes; every case is written down as it is done."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from tqdm import tqdm

from sammoe.bundle import ENCODER, GENERAL_DECODER, Bundle, Manifest, load_bundle
from sammoe.engine import Engine
from sammoe.engine.local import EngineOptions, LocalEngine
from sammoe.errors import BundleInvalid, DataSetInvalid, InvalidInput, NoForeground
from sammoe.training.datasets import Case
from sammoe.training.evaluation.rows import Row, RowFile
from sammoe.training.evaluation.sessions import Embeddings, Scene
from sammoe.training.evaluation.systems import MIXTURES
from sammoe.training.evaluation.targets import Examiner, Options, Target, has_mask, mask_path
from sammoe.training.workers import work_force
from sammoe.volume.volume import Modality

T = TypeVar("T")
Engines = Mapping[str, Engine]
Work = Callable[[Engines, "Job"], Coroutine[Any, Any, list[T]]]

_GENERAL_MODEL: Final = {ENCODER: "image encoder", GENERAL_DECODER: "general decoder"}

_engines: dict[str, Engine] = {}
"""Of a worker process."""


@dataclass(frozen=True)
class Job:
    """A case, and the classes of it that are targets."""

    case: Case
    classes: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Data set and name of the case."""
        return self.case.dataset, self.case.name


def load_bundles(folders: Sequence[Path]) -> dict[str, Bundle]:
    """The bundles to compare, by their mixture's name in tables.

    Raises
    ------
    BundleInvalid
        See `load_bundle`; or one has other experts than the first, or another general model.
    InvalidInput
        Two have a gate of the same mode, or they cut windows differently.
    """
    bundles: dict[str, Bundle] = {}
    for folder in folders:
        bundle = load_bundle(folder)
        name = MIXTURES[bundle.manifest.routing.gate]
        if name in bundles:
            raise InvalidInput(
                f"{folder} and {bundles[name].path} both have a gate of mode"
                f" {bundle.manifest.routing.gate}: evaluate them one after the other"
            )
        if bundles:
            _check_alike(next(iter(bundles.values())), bundle)
        bundles[name] = bundle
    if len({bundle.manifest.window.model_dump_json() for bundle in bundles.values()}) > 1:
        raise InvalidInput("the bundles cut windows differently: evaluate them one by one")
    return bundles


def run_jobs(
    folders: Mapping[str, Path],
    jobs: Sequence[Job],
    options: Options,
    rows: RowFile,
    *,
    processes: int = 1,
) -> None:
    """Evaluate every job whose case is not in ``rows`` yet, or lacks a mask that is to be kept.

    Parameters
    ----------
    folders
        Mixture's name -> its bundle's folder, from `load_bundles`.
    processes
        How many at the same time, each on one thread.
    """
    unsaved = _unsaved(rows.read(), options.save) if options.save else set()
    left = [job for job in jobs if job.key in unsaved or not rows.holds(*job.key)]
    work = partial(_evaluate, options=options)
    for job, found in over_cases(folders, left, work, processes=processes, all_cases=len(jobs)):
        # Of a case that was answered again for its masks the rows are there, and the same.
        if not rows.holds(*job.key):
            rows.add(*job.key, found)


def over_cases(
    folders: Mapping[str, Path],
    jobs: Sequence[Job],
    work: Work[T],
    *,
    processes: int,
    all_cases: int | None = None,
) -> Iterator[tuple[Job, list[T]]]:
    """Do something with every case, on engines that are loaded once a process.

    Parameters
    ----------
    folders
        Name -> bundle's folder; ``work`` gets an engine for each name.
    work
        Picklable.
    all_cases
        How many the progress bar counts to, where some are done already.

    Yields
    ------
    Each job with its results, in the order in which they are done.
    """
    total = all_cases or len(jobs)
    with tqdm(
        total=total, initial=total - len(jobs), unit="case", disable=None, smoothing=0
    ) as bar:
        for done in _results(folders, jobs, work, processes):
            yield done
            bar.update()


async def evaluate_case(
    engines: Engines, case: Case, classes: Sequence[str], options: Options
) -> list[Row]:
    """Rows of all targets of a case, each class of it by itself.

    Parameters
    ----------
    engines
        Mixture's name -> engine.
    classes
        Those that are targets; one that is absent from the case is left out.
    """
    volume = case.read_image()
    masks = case.read_masks(volume, classes)
    embeddings: Embeddings = {}
    manifest, rows = next(iter(engines.values())).bundle.manifest, []
    for name in classes:
        if name not in masks:
            continue
        expert = expert_of(manifest, name, volume.modality)
        target = Target(case.dataset, case.name, case.patient, name, masks[name], expert)
        # New scenes for each target: what they remember of decodes is of no use to the next one.
        scenes = {
            name: Scene(engine, volume, embeddings, one_window=options.one_window)
            for name, engine in engines.items()
        }
        for user in range(options.users):
            asks = replace(options, seed=options.seed + user)
            rows += await Examiner(scenes, target, asks).rows()
    return rows


def expert_of(manifest: Manifest, structure: str, modality: Modality) -> str:
    """The expert trained for a class on scans of this modality, or empty: a general class."""
    for expert in manifest.experts:
        if structure in expert.classes and expert.takes(modality):
            return expert.name
    return ""


def _unsaved(rows: Sequence[Row], folder: Path) -> set[tuple[str, str]]:
    """Data set and name of cases with an answer whose mask is not in the folder."""
    return {
        (row.dataset, row.case)
        for row in rows
        if has_mask(row) and not mask_path(folder, row).is_file()
    }


def _check_alike(first: Bundle, other: Bundle) -> None:
    """A mixture is measured against the first bundle's general model and experts: see `Examiner`.

    Experts' decoders may differ, for they may learn with a gate. Of the general model the graphs
    are compared, not the folders, where random prompts lie that change no answer. In another
    precision or form it is another model: its answers are others, if only a little.
    """
    here, there = ({expert.name for expert in b.manifest.experts} for b in (first, other))
    if here != there:
        raise BundleInvalid(
            f"{first.path} and {other.path} have other experts ({', '.join(sorted(here ^ there))}"
            " only in one of them): evaluate them one after the other"
        )
    for plain, what in _GENERAL_MODEL.items():
        if first.model_digest(plain) != other.model_digest(plain):
            raise BundleInvalid(
                f"{first.path} and {other.path} have not the same {what}, byte for byte: evaluate"
                " them one after the other, or put both gates on one bundle (sammoe bundle"
                " set-gate)"
            )


def _results(
    folders: Mapping[str, Path], jobs: Sequence[Job], work: Work[T], processes: int
) -> Iterator[tuple[Job, list[T]]]:
    if processes == 1:
        _load(folders)
        try:
            for job in jobs:
                yield job, _run(work, job)
        finally:
            _close()
        return
    with work_force(processes, _load, folders) as pool:
        waiting = {pool.submit(_run, work, job): job for job in jobs}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def _load(folders: Mapping[str, Path]) -> None:
    options = EngineOptions(encoder_threads=1, decoder_threads=1, decode_workers=1)
    for name, folder in folders.items():
        _engines[name] = LocalEngine(load_bundle(folder, verify=False), options)


def _run(work: Work[T], job: Job) -> list[T]:
    try:
        return asyncio.run(work(_engines, job))
    except NoForeground as error:
        raise DataSetInvalid(
            f"{job.case.image}: where {' or '.join(job.classes)} is labelled: {error.detail}"
        ) from error


def _close() -> None:
    for engine in _engines.values():
        asyncio.run(engine.close())
    _engines.clear()


async def _evaluate(engines: Engines, job: Job, options: Options) -> list[Row]:
    return await evaluate_case(engines, job.case, job.classes, options)
