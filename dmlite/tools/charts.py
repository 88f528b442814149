"""Line charts as inline SVG: axes with units, a legend, tooltips without scripts, colours from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

_LEFT: Final = 62
_RIGHT: Final = 14
_TOP: Final = 10
# Room below the plot: for tick numbers, and for a label under them.
_TICKS: Final = 22
_LABEL: Final = 18
_POINTS: Final = 480
_BANDS: Final = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; `color` is a class of the style sheet (`c1`, `good`, `bad`, ...)."""

    name: str
    x: np.ndarray
    y: np.ndarray
    color: str = "c1"


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at `x` with a short text at its top."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values on a straight or logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def at(self, values: np.ndarray) -> np.ndarray:
        """Places of `values` along the axis, from 0 to 1."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return (np.log10(np.maximum(values, self.low)) - low) / (high - low)
        return (values - self.low) / (self.high - self.low)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the range, about `count` of them."""
        if self.log and self.high / self.low >= 10:
            return self._log_ticks(count)
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(step - rough))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{k * step:.12g}") + 0.0 for k in range(first, last + 1)]

    def _log_ticks(self, count: int) -> list[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        steps: tuple[int, ...] = (1, 2, 5) if last - first < 3 else (1,)
        stride = max(1, math.ceil((last - first + 1) / (count + 1)))
        values = [m * 10.0**power for power in range(first - 1, last + 1, stride) for m in steps]
        return [value for value in values if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def axis_of(values: Sequence[np.ndarray], log: bool | None = False, margin: float = 0.05) -> Axis:
    """The axis that shows all finite `values`; with `log=None` logarithmic when they are positive and span a factor of 30."""
    known = np.concatenate([np.asarray(v, dtype=np.float64).ravel() for v in values]) if len(values) else np.zeros(0)
    known = known[np.isfinite(known)]
    if log is None:
        log = bool(len(known)) and known.min() > 0 and known.max() > 30 * known.min()
    if log:
        known = known[known > 0]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if log:
        low, high = (low or 1.0) / 1.2, (high or 1.0) * 1.2
        return Axis(low, high, True)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    pad = (high - low) * margin
    return Axis(low - pad, high + pad)


def number(value: float) -> str:
    """A value for people: `23,412`, `0.0312`, `1.5e-07`."""
    if not math.isfinite(value):
        return "not a number" if value != value else "infinite"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:.3g}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    y_axis: Axis | None = None,
    x_axis: Axis | None = None,
    marks: Sequence[Mark] = (),
    size: tuple[int, int] = (640, 280),
    x_name: str = "",
) -> str:
    """One chart as an `<svg>` element; `x_name` is what the tooltips call a place on the x axis.

    With an empty `x_label` there are only numbers below the plot, for charts stacked above another with the same axis.
    """
    x = x_axis or axis_of([line.x for line in lines], margin=0)
    y = y_axis or axis_of([line.y for line in lines])
    plot = _Plot(x, y, *size, below=_TICKS + (_LABEL if x_label else 0))
    said = escape(f"{y_label} over {x_label or x_name}", True)
    parts = [
        f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" style="min-width:{0.6 * size[0]:.0f}px" role="img" aria-label="{said}">',
        *plot.grid(x_label, y_label),
        *(plot.mark(mark) for mark in marks),
        *(plot.curve(line) for line in lines),
        *plot.tooltips(lines, x_name or x_label),
        "</svg>",
    ]
    return "\n".join(parts)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside a stroke of their colour class."""
    items = "".join(f'<li><i class="key {escape(color, True)}"></i>{escape(name)}</li>' for name, color in entries)
    return f'<ul class="legend">{items}</ul>'


@dataclass(frozen=True, slots=True)
class _Plot:
    """The drawing area: values to pixels."""

    x: Axis
    y: Axis
    width: int
    height: int
    below: int

    @property
    def _area(self) -> tuple[int, int, int, int]:
        return _LEFT, _TOP, self.width - _RIGHT, self.height - self.below

    def _across(self, values: np.ndarray) -> np.ndarray:
        left, _, right, _ = self._area
        return left + self.x.at(np.asarray(values, dtype=np.float64)) * (right - left)

    def _down(self, values: np.ndarray) -> np.ndarray:
        _, top, _, bottom = self._area
        return bottom - self.y.at(np.asarray(values, dtype=np.float64)) * (bottom - top)

    def grid(self, x_label: str, y_label: str) -> Iterator[str]:
        left, top, right, bottom = self._area
        for tick, at in _placed(self.y.ticks(4 if self.height < 200 else 5), self._down):
            yield f'<path class="grid" d="M{left} {at:.1f}H{right}"/>'
            yield f'<text class="tick" x="{left - 7}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        for tick, at in _placed(self.x.ticks(6), self._across):
            yield f'<path class="axis" d="M{at:.1f} {bottom}v4"/>'
            yield f'<text class="tick" x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{number(tick)}</text>'
        yield f'<path class="axis" d="M{left} {bottom}H{right}"/>'
        if x_label:
            yield f'<text class="label" x="{(left + right) / 2:.0f}" y="{self.height - 5}" text-anchor="middle">{escape(x_label)}</text>'
        place = f'transform="translate(13 {(top + bottom) / 2:.0f}) rotate(-90)"'
        yield f'<text class="label" {place} text-anchor="middle">{escape(y_label)}</text>'

    def curve(self, line: Line) -> str:
        xs, ys = thin(np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64))
        ok = np.isfinite(ys) & np.isfinite(xs) & ((ys > 0) | (not self.y.log))
        across, down = self._across(xs), self._down(np.where(ok, ys, self.y.low))
        if ok.sum() == 1:
            at = int(np.argmax(ok))
            return f'<circle class="dot {line.color}" cx="{across[at]:.1f}" cy="{down[at]:.1f}" r="3"/>'
        steps = ["L" if i and ok[i - 1] else "M" for i in range(len(ok))]
        path = "".join(f"{s}{a:.1f} {d:.1f}" for s, a, d, good in zip(steps, across, down, ok, strict=True) if good)
        return f'<path class="curve {escape(line.color, True)}" d="{path}"/>' if path else ""

    def mark(self, mark: Mark) -> str:
        _, top, right, bottom = self._area
        at = float(self._across(np.array(mark.x)))
        anchor, shift = ("end", -6) if at > (right + _LEFT) / 2 else ("start", 6)
        return (
            f'<path class="mark" d="M{at:.1f} {top}V{bottom}"/>'
            f'<text class="note" x="{at + shift:.1f}" y="{top + 12}" text-anchor="{anchor}">{escape(mark.text)}</text>'
        )

    def tooltips(self, lines: Sequence[Line], x_name: str) -> Iterator[str]:
        """Invisible strips over the plot, each with the values of the curves that pass through it."""
        left, top, right, bottom = self._area
        step = (right - left) / _BANDS
        places = [(line, self._across(np.asarray(line.x))) for line in lines if len(line.x)]
        for band in range(_BANDS):
            centre = left + (band + 0.5) * step
            said, where = [], None
            for line, across in places:
                nearest = int(np.argmin(np.abs(across - centre)))
                if abs(across[nearest] - centre) <= max(step, self._spacing(across)):
                    where = float(line.x[nearest]) if where is None else where
                    said.append(f"{line.name}: {number(float(line.y[nearest]))}")
            if where is not None:
                text = escape("\n".join([f"{x_name}: {number(where)}", *said]))
                strip = f'x="{centre - step / 2:.1f}" y="{top}" width="{step:.1f}" height="{bottom - top}"'
                yield f'<rect class="hover" {strip}><title>{text}</title></rect>'

    @staticmethod
    def _spacing(across: np.ndarray) -> float:
        return float(np.max(np.diff(across))) / 2 if len(across) > 1 else 0.0


def _placed(ticks: Sequence[float], place: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[float, float]]:
    return zip(ticks, place(np.array(ticks, dtype=np.float64)).tolist(), strict=True)


def thin(x: np.ndarray, y: np.ndarray, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Fewer points that look the same: the smallest and the largest value of each of `points` stretches, in their order."""
    if len(x) <= 2 * points:
        return x, y
    keep: list[int] = []
    for stretch in np.array_split(np.arange(len(x)), points):
        part = np.where(np.isfinite(y[stretch]), y[stretch], 0.0)
        keep += sorted({int(stretch[np.argmin(part)]), int(stretch[np.argmax(part)])})
    keep = sorted({0, *keep, len(x) - 1})
    return x[keep], y[keep]
