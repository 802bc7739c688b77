"""A run under load as text, and as a page with plots."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

PERCENTILES: Final = (50, 90, 95, 99)

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Load</title>
<style>body{{font:15px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
pre{{overflow-x:auto}}img{{max-width:100%}}</style>
<h1>Radiologists at work</h1>
<pre>{text}</pre>
{images}
<p><a href="locust.html">Locust's own page</a></p>
</html>
"""


@dataclass(frozen=True)
class Figures:
    """What a run showed.

    Attributes
    ----------
    users, seconds, requests
        How many there were, for how long, and what they sent.
    think_seconds, cores
        Mean pause of a user between two requests; cores of the machine.
    generator_cpu, service_cpu
        Seconds of processor time of the users themselves, and of the service.
    good, refused, failed
        Answers in time; 429 and 503; anything else, by kind and status.
    by_kind, by_phase
        Milliseconds of each answer, and of each phase of a click.
    hits, encodes
        Share of clicks that found their embedding; encodes that were begun.
    times, rss, descriptors
        Of the service, over time: seconds, bytes, number.
    triton, shared_memory
        Bytes of Triton, where there is one, and of its blocks in ``/dev/shm``.
    """

    users: int
    seconds: float
    think_seconds: float
    cores: int
    generator_cpu: float
    service_cpu: float
    requests: int
    good: int
    refused: int
    failed: Mapping[str, int]
    by_kind: Mapping[str, Sequence[float]]
    by_phase: Mapping[str, Sequence[float]]
    hits: float
    encodes: float
    times: Sequence[float]
    rss: Sequence[int]
    descriptors: Sequence[int]
    triton: Sequence[int]
    shared_memory: Sequence[int]


def write_report(figures: Figures, folder: Path) -> str:
    """Write ``report.html`` and its plots, and what they show as ``figures.json``; the text."""
    (folder / "figures.json").write_text(json.dumps(asdict(figures)))
    text = "\n".join(_lines(figures))
    _plot_times(figures, folder / "times.png")
    _plot_process(figures, folder / "process.png")
    images = "".join(f'<p><img src="{name}.png" alt="{name}">' for name in ("times", "process"))
    page = _PAGE.format(text=html.escape(text), images=images)
    (folder / "report.html").write_text(page, "utf-8")
    return text


def _lines(figures: Figures) -> list[str]:
    mib = [one / 2**20 for one in figures.rss]
    failed = ", ".join(f"{count} x {what}" for what, count in figures.failed.items())
    return [
        f"{figures.users} users, {figures.seconds:.0f} s: {figures.requests} requests,"
        f" {figures.good / figures.seconds:.2f} good ones a second"
        f" (answered within 2 s), {figures.refused} refused with Retry-After,"
        f" {sum(figures.failed.values())} failed{': ' if failed else ''}{failed}",
        f"processor time: service {figures.service_cpu:.1f} s, users {figures.generator_cpu:.1f} s",
        f"clicks that found their embedding: {figures.hits:.0%}; encodes: {figures.encodes:.0f}",
        f"memory: {mib[0]:.0f} MiB at first, {max(mib):.0f} at most, {mib[-1]:.0f} at last;"
        f" descriptors {figures.descriptors[0]} to {figures.descriptors[-1]},"
        f" {max(figures.descriptors)} at most; /dev/shm"
        f" {figures.shared_memory[0]} to {figures.shared_memory[-1]} bytes",
        "",
        *_table("request", figures.by_kind),
        "",
        *_table("phase of a click", figures.by_phase),
    ]


def _table(title: str, rows: Mapping[str, Sequence[float]]) -> list[str]:
    head = "".join(f"{f'p{p}':>9}" for p in PERCENTILES)
    lines = [f"{title:18}{'count':>8}{head}   ms"]
    for name, values in rows.items():
        cells = "".join(f"{value:9.1f}" for value in np.percentile(values, PERCENTILES))
        lines.append(f"{name:18}{len(values):8}{cells}")
    return lines


def _plot_times(figures: Figures, path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 4), layout="constrained")
    axes = picture.subplots()
    for name, values in figures.by_kind.items():
        ordered = np.sort(values)
        axes.step(ordered, np.linspace(0, 1, len(ordered)), label=f"{name} ({len(ordered)})")
    axes.set(xscale="log", xlabel="ms", ylabel="share of answers", title="Time to the answer")
    axes.grid(alpha=0.3)
    axes.legend()
    picture.savefig(path, dpi=110)


def _plot_process(figures: Figures, path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 5), layout="constrained")
    above, below = picture.subplots(2, sharex=True)
    above.plot(figures.times, [value / 2**20 for value in figures.rss])
    above.set(ylabel="MiB", title="Memory of the service", ylim=0)
    below.plot(figures.times, figures.descriptors)
    below.set(xlabel="seconds", ylabel="number", title="Its open descriptors", ylim=0)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    picture.savefig(path, dpi=110)
