"""Reports as one self-contained HTML file: no scripts, nothing fetched, readable in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any, Final, TypeAlias

import numpy as np

from dmlite.text import scalar_text
from dmlite.tools.charts import Axis, Line, Mark, axis_of, legend, line_chart, number

# The runs of one detector by name, in the order they were made, each as (iteration, loss) pairs.
Runs: TypeAlias = Mapping[str, Sequence[tuple[float, float]]]
_AXES: Final = ("x", "y", "z")
_RUN_COLORS: Final = ("c1", "c2", "c3", "c4")
# A loss falls while a network learns; one that starts this much above the end of the run before has met something new.
JUMP: Final = 1.05
# Magnitudes below this share of the largest are off the chart.
_FAINT: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence or two (plain text), and figures or tables as ready HTML."""

    heading: str
    text: str = ""
    html: str = ""


def report_html(title: str, sections: Sequence[Section], lead: str = "") -> str:
    """A complete HTML page of `sections` below `title`; `title`, `lead` and section texts are plain text."""
    style = files("dmlite.tools").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(_section(section) for section in sections)
    intro = f"<p>{escape(lead)}</p>" if lead else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{intro}</header>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    heading = f"<h2>{escape(section.heading)}</h2>\n" if section.heading else ""
    text = f"<p>{escape(section.text)}</p>\n" if section.text else ""
    return f"<section>\n{heading}{text}{section.html}\n</section>"


def figure(caption: str, *parts: str) -> str:
    """Charts and legends under one caption."""
    return f"<figure>\n<figcaption>{escape(caption)}</figcaption>\n" + "\n".join(parts) + "\n</figure>"


def tiles(values: Mapping[str, Any]) -> str:
    """Names and values, each pair in a tile of its own."""
    cells = "".join(f"<div><dt>{escape(str(name))}</dt><dd>{escape(_shown(value))}</dd></div>" for name, value in values.items())
    return f'<dl class="tiles">{cells}</dl>'


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if type(value) is int else scalar_text(value)


# --- the anomaly demonstration ----------------------------------------------------------------------------------------


def demo_report(
    signal_healthy: Any,
    signal_broken: Any,
    spectrum_healthy: Any,
    spectrum_broken: Any,
    losses: Mapping[str, Runs],
    notes: Mapping[str, Any],
    *,
    sample_rate: float = 100.0,
) -> str:
    """The page that `dmlite demo` writes.

    Signals are samples x 3 (acceleration along x, y, z, at `sample_rate` Hz); spectra are bins x 4 (frequency in Hz, then the
    magnitude along x, y, z). `losses` holds for each detector its runs in the order they were made, each as (iteration, loss)
    pairs; a run that starts well above the end of the one before is marked as a jump. `notes` become tiles at the top.
    """
    healthy, broken = (np.atleast_2d(np.asarray(signal, dtype=np.float64)) for signal in (signal_healthy, signal_broken))
    sections = [Section("", html=tiles(notes))] if notes else []
    sections += [
        Section(
            "The loss tells the difference",
            "Trained on the healthy bearing, a detector foretells or reconstructs it well. When the signal changes, its loss jumps.",
            "".join(figure(f"{name}: training loss, run after run", *_loss_chart(runs)) for name, runs in losses.items()),
        ),
        Section(
            "Vibration",
            "Acceleration along three axes, healthy and broken, at the same scale.",
            f'<div class="pair">{_signals("Healthy", healthy, broken, sample_rate, "good")}'
            f"{_signals('Broken', broken, healthy, sample_rate, 'bad')}</div>",
        ),
        Section(
            "Spectrum",
            "Magnitude of the Fourier transform along each axis.",
            _spectra(np.asarray(spectrum_healthy, dtype=np.float64), np.asarray(spectrum_broken, dtype=np.float64)),
        ),
    ]
    return report_html("Anomaly detection on a bearing", sections, "Networks learn what healthy vibration looks like, in DML.")


def _signals(name: str, signal: np.ndarray, other: np.ndarray, sample_rate: float, color: str) -> str:
    """One lane an axis, scaled alike for this signal and the other."""
    time = np.arange(len(signal)) / sample_rate
    lanes = []
    for k in range(signal.shape[1]):
        axis = axis_of([signal[:, k], *([other[:, k]] if k < other.shape[1] else [])])
        line = Line(_axis_name(k), time, signal[:, k], color)
        last = k == signal.shape[1] - 1
        size = (560, 170 if last else 150)
        lanes.append(line_chart([line], "time (s)" * last, f"{line.name} (a.u.)", y_axis=axis, size=size, x_name="time (s)"))
    return figure(name, *lanes)


def _spectra(healthy: np.ndarray, broken: np.ndarray) -> str:
    """One chart an axis; the constant part, at frequency 0, would hide all the rest."""
    healthy, broken = healthy[healthy[:, 0] > 0], broken[broken[:, 0] > 0]
    charts = []
    for k in range(1, healthy.shape[1]):
        lines = [Line("healthy", healthy[:, 0], healthy[:, k], "good"), Line("broken", broken[:, 0], broken[:, k], "bad")]
        axis = axis_of([line.y[line.y > _FAINT * line.y.max()] for line in lines if len(line.y)], log=None)
        charts.append(line_chart(lines, "frequency (Hz)", f"{_axis_name(k - 1)} magnitude", y_axis=axis, size=(420, 260)))
    entries = [("healthy", "good"), ("broken", "bad")]
    return figure("Healthy and broken along x, y and z", legend(entries), '<div class="triple">' + "".join(charts) + "</div>")


def _axis_name(k: int) -> str:
    return _AXES[k] if k < len(_AXES) else f"axis {k + 1}"


def _loss_chart(losses: Runs) -> tuple[str, str]:
    """The legend and the chart of all runs, one after the other on a common axis of iterations."""
    lines: list[Line] = []
    marks: list[Mark] = []
    entries: list[tuple[str, str]] = []
    start, before = 0.0, None
    for index, (name, points) in enumerate(losses.items()):
        pairs = np.asarray(list(points), dtype=np.float64).reshape(-1, 2)
        color = "bad" if "broken" in name.lower() else _RUN_COLORS[index % len(_RUN_COLORS)]
        entries.append((name, color))
        if not len(pairs):
            continue
        if before is not None:
            marks.append(Mark(start, _change(name, before, pairs[0, 1])))
        lines.append(Line(name, start + pairs[:, 0] - pairs[0, 0], pairs[:, 1], color))
        start, before = float(lines[-1].x[-1]) + _gap(pairs[:, 0]), pairs[-1, 1]
    axis = axis_of([line.y for line in lines], log=None) if lines else Axis(0.0, 1.0)
    label = "loss (logarithmic)" if axis.log else "loss"
    return legend(entries), line_chart(
        lines, "iteration, counted over all runs", label, y_axis=axis, marks=marks, size=(1000, 330), x_name="iteration"
    )


def _gap(iterations: np.ndarray) -> float:
    """One step between the last iteration of a run and the first of the next."""
    return float(iterations[-1] - iterations[-2]) if len(iterations) > 1 else 1.0


def _change(name: str, before: float, after: float) -> str:
    if before > 0 and after > JUMP * before:
        return f"{name}: jump to {number(float(after))}, {number(round(float(after / before), 1))} times as high"
    return ""
