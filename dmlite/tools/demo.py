"""`dmlite demo`: two detectors learn a healthy bearing, then hear a broken one; a report shows what they heard."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from io import TextIOBase
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

import numpy as np

from dmlite.api import MLResults, dmlFromFile
from dmlite.errors import DMLIOError
from dmlite.lang.modules import library
from dmlite.tools.report import JUMP, demo_report

SAMPLE_RATE: Final = 100.0  # Hz
# Shape of the attractor that plays the bearing: a, b, c.
HEALTHY: Final[Mapping[str, float]] = {"$a": 10, "$b": 28, "$c": 8 / 3}
BROKEN: Final[Mapping[str, float]] = {"$a": 30, "$b": 128, "$c": 28 / 3}
_PROGRESS: Final = re.compile(r"iter=(\S+) loss=(\S+)")
_BARS: Final = "▁▂▃▄▅▆▇█"

Report: TypeAlias = Callable[[float, float], None]
Losses: TypeAlias = list[tuple[float, float]]


@dataclass(frozen=True)
class Detector:
    """One model of the library: its script, the weights it hands on from run to run, and how long a run is."""

    name: str
    script: str
    weights: tuple[str, ...]
    iterations: int
    quick: int
    settings: Mapping[str, float] = field(default_factory=dict)
    reports: int = 10

    def train(self, data: Any, known: Mapping[str, Any], quick: bool, report: Report) -> MLResults:
        """One run on `data`, starting from the weights in `known`, or from random ones."""
        iterations = self.quick if quick else self.iterations
        settings = {"$iterations": iterations, "$every": max(1, iterations // self.reports), **self.settings}
        script = dmlFromFile(library("scripts") / "anomaly" / self.script).input(X=data, **settings, **known)
        with redirect_stdout(_Listener(report)):
            return script.output("losses", *self.weights).execute()


LSTM: Final = Detector("LSTM", "lstm.dml", ("W",), iterations=1000, quick=150)
AUTOENCODER: Final = Detector("autoencoder", "autoencoder.dml", ("W1", "W2"), 800, 500, {"$learning_rate": 0.01})


@dataclass
class Findings:
    """Losses of each run of one detector, by name of the run, and how far the error rose on the broken bearing."""

    detector: Detector
    losses: dict[str, Losses] = field(default_factory=dict)

    @property
    def factor(self) -> float:
        *_, healthy, broken = self.losses.values()
        return broken[0][1] / healthy[-1][1]

    def sentence(self) -> str:
        """What was found, in one sentence."""
        if self.factor > JUMP:
            return f"Alarm: on the broken bearing the loss of the {self.detector.name} jumped by a factor of {self.factor:.3g}."
        return f"No alarm: on the broken bearing the loss of the {self.detector.name} changed by a factor of {self.factor:.3g}."


class _Listener(TextIOBase):
    """Stands in for stdout while a script runs and hears the losses it prints."""

    def __init__(self, report: Report):
        self._report = report
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if match := _PROGRESS.match(line):
                self._report(float(match[1]), float(match[2]))
        return len(text)


def run_demo(folder: Path, quick: bool = False, stream: TextIO | None = None) -> int:
    """Write `report.html` to `folder`, progress and findings to `stream` (stdout). Raises DMLError."""
    out = stream or sys.stdout
    started = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DMLIOError(f"{folder}: {error.strerror}", hint="choose a folder with --out") from None
    out.write("Simulating 30 seconds of a healthy bearing and of a broken one.\n")
    signals = {"healthy": _signal(HEALTHY), "broken": _signal(BROKEN)}
    spectra = {
        name: _script("spectrum.dml").input(X=signal).output("spectrum").execute().get("spectrum") for name, signal in signals.items()
    }
    findings = [_listen(detector, data, quick, out) for detector, data in ((LSTM, signals), (AUTOENCODER, spectra))]
    notes: dict[str, Any] = {f"{f.detector.name}: loss on the broken bearing": f"{f.factor:.3g} x" for f in findings}
    notes["seconds"] = round(time.perf_counter() - started, 1)
    page = folder / "report.html"
    _write(page, _page(signals, findings, notes))
    for found in findings:
        out.write(found.sentence() + "\n")
    out.write(f"Report: {page}\n")
    return 0


def _script(name: str) -> Any:
    return dmlFromFile(library("scripts") / "anomaly" / name)


def _signal(shape: Mapping[str, float]) -> np.ndarray:
    """Acceleration along three axes: samples x 3."""
    return _script("lorenz.dml").input(**shape).output("data").execute().get("data").toNumPy()


def _listen(detector: Detector, data: Mapping[str, Any], quick: bool, out: TextIO) -> Findings:
    """Train on healthy data twice, the second time with what was learned, then on broken data with the same weights."""
    findings = Findings(detector)
    known: Mapping[str, Any] = {}
    runs = (("healthy", "healthy"), ("healthy, again", "healthy"), ("broken", "broken"))
    with _progress(out) as show:
        for run, source in runs:
            heard = findings.losses.setdefault(run, [])
            report = show(f"{detector.name}, {run}", heard, detector.quick if quick else detector.iterations)
            results = detector.train(data[source], known, quick, report)
            known = {weight: results.get(weight) for weight in detector.weights}
    return findings


def _page(signals: Mapping[str, np.ndarray], findings: list[Findings], notes: Mapping[str, Any]) -> str:
    losses = {found.detector.name: found.losses for found in findings}
    healthy, broken = signals["healthy"], signals["broken"]
    return demo_report(healthy, broken, _magnitudes(healthy), _magnitudes(broken), losses, notes, sample_rate=SAMPLE_RATE)


def _magnitudes(signal: np.ndarray) -> np.ndarray:
    """Bins x 4: frequency in Hz, magnitude along x, y, z."""
    frequency = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    return np.column_stack([frequency, np.abs(np.fft.rfft(signal, axis=0)) / len(signal)])


def _write(path: Path, text: str) -> None:
    from dmlite.runtime.io.files import create_text, replacing, reporting

    with reporting(str(path)), replacing(str(path)) as (temporary,), create_text(temporary) as file:
        file.write(text)


# ---------------------------------------------------------------- progress
Show: TypeAlias = Callable[[str, Losses, int], Report]


def _progress(out: TextIO) -> AbstractContextManager[Show]:
    """A bar and a sparkline for each run on a terminal, a line for each loss elsewhere."""
    return _bars(out) if out.isatty() else nullcontext(_lines(out))


def _lines(out: TextIO) -> Show:
    def show(name: str, heard: Losses, iterations: int) -> Report:
        def report(iteration: float, loss: float) -> None:
            heard.append((iteration, loss))
            out.write(f"{name:<28} iteration {iteration:5.0f}   loss {loss:.6g}\n")
            out.flush()

        return report

    return show


@contextmanager
def _bars(out: TextIO) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(20),
        TextColumn("{task.fields[loss]:>10}  {task.fields[curve]:<20}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=out), redirect_stdout=False, redirect_stderr=False) as progress:

        def show(name: str, heard: Losses, iterations: int) -> Report:
            task = progress.add_task(name, total=iterations, loss="", curve="")

            def report(iteration: float, loss: float) -> None:
                heard.append((iteration, loss))
                progress.update(task, completed=iteration, loss=f"{loss:.6g}", curve=sparkline([value for _, value in heard]))

            return report

        yield show
        for task in progress.tasks:
            progress.update(task.id, completed=task.total)


def sparkline(values: list[float]) -> str:
    """The course of `values` in one character each."""
    low, high = min(values), max(values)
    steps = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * steps)] for value in values)
