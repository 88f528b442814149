"""The report page: valid, self-contained, and showing what it should."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dmlite.tools.charts import Axis, Line, Mark, axis_of, legend, line_chart, number, thin
from dmlite.tools.report import Section, demo_report, figure, report_html, tiles


class _Page(HTMLParser):
    """Collects texts by tag and checks that every element is closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def _demo(**changes) -> str:
    time = np.arange(3000) / 100
    healthy = np.column_stack([np.sin(time), np.cos(time), 25 + np.sin(3 * time)])
    frequency = np.linspace(0, 50, 1501)
    spectrum = np.column_stack([frequency, *(1 / (k + frequency) for k in (1, 2, 3))])
    spectrum[0, 1:] = 1e-16
    iterations = np.arange(0, 1000, 100)
    arguments = {
        "signal_healthy": healthy,
        "signal_broken": 4 * healthy,
        "spectrum_healthy": spectrum,
        "spectrum_broken": 5 * spectrum,
        "losses": {
            "LSTM": {
                "healthy, first run": [(i, 530.6 + 160 * np.exp(-i / 120)) for i in iterations],
                "healthy, second run": [(i, 530.6) for i in iterations],
                "broken": [(i, 23430.0 + 470 * np.exp(-i / 200)) for i in iterations],
            }
        },
        "notes": {"Verdict": "anomaly <found>", "Ratio": 44.2, "Iterations": 3000},
    } | changes
    return demo_report(**arguments)


def test_the_demo_page():
    html = _demo()
    page = _Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert len(page.all("svg")) == 1 + 6 + 3
    assert page.texts["h2"] == ["The loss tells the difference", "Vibration", "Spectrum"]
    assert page.texts["dd"] == ["anomaly <found>", "44.2", "3,000"]
    labels = set(page.texts["text"])
    assert {"x (a.u.)", "time (s)", "frequency (Hz)", "z magnitude", "loss (logarithmic)"} <= labels
    assert "broken: jump to 23,900, 45 times as high" in labels
    assert any(text.startswith("iteration: 0\nhealthy, first run: 690.6") for text in page.texts["title"])
    assert {"healthy, first run", "healthy, second run", "broken"} <= set(page.texts["li"])


def test_the_page_fetches_nothing_and_runs_nothing():
    html = _demo()
    assert not re.search(r"https?:|<script|<link|<img|@import|url\(|\bon\w+=", html)
    assert "prefers-color-scheme: dark" in html
    assert len(html) < 400_000


def test_numbers_in_paths_are_finite():
    assert not re.search(r"\b(nan|inf)\b", "".join(re.findall(r' d="([^"]*)"', _demo())))


def test_runs_follow_each_other_on_the_axis():
    page = _Page(_demo())
    starts = [a["d"] for a in page.all("path") if a["class"].startswith("curve")][:3]
    xs = [[float(x) for x in re.findall(r"[ML]([\d.]+) ", d)] for d in starts]
    assert xs[0][-1] < xs[1][0] <= xs[1][-1] < xs[2][0]
    ys = [[float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", d)] for d in starts]
    assert max(ys[2]) < min(ys[0])  # the broken run lies above, so nearer to the top


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": {}},
        {"losses": {"LSTM": {"healthy": []}}},
        {"losses": {"LSTM": {"one": [(0, 5.0)], "two": [(0, np.nan)], "three": [(0, 0.0)]}, "other": {}}},
        {"signal_healthy": np.zeros((1, 3))},
        {"signal_broken": np.full((10, 3), np.nan)},
        {"signal_healthy": np.ones((50, 1)), "signal_broken": np.ones((50, 1))},
        {"spectrum_healthy": np.zeros((4, 4)), "spectrum_broken": np.zeros((4, 4))},
        {"notes": {}},
    ],
)
def test_odd_inputs_still_make_a_page(changes):
    page = _Page(_demo(**changes))
    assert page.all("svg")


def test_texts_are_escaped():
    page = _Page(
        report_html("a <b> & c", [Section("<h>", "1 < 2", figure("<caption>", legend([("<name>", 'x" onload="y')])))], lead="<lead>")
    )
    assert page.texts["title"] == page.texts["h1"] == ["a <b> & c"]
    assert page.texts["h2"] == ["<h>"]
    assert page.texts["li"] == ["<name>"]
    assert all("onload" not in attrs for _, attrs in page.tags)
    chart = line_chart([Line("<s>", np.arange(3), np.arange(3), "c1")], "<x>", '"y"', marks=[Mark(1, "<mark>")])
    assert {"<x>", '"y"', "<mark>"} <= set(_Page(chart).texts["text"])


def test_tiles():
    assert _Page(tiles({"a": 1.23456, "b": True, "c": "text", "d": 23412})).texts["dd"] == ["1.235", "TRUE", "text", "23,412"]


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 10), [0, 2, 4, 6, 8, 10]),
        (Axis(-1, 1), [-1, -0.5, 0, 0.5, 1]),
        (Axis(0.1, 0.2), [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]),
        (Axis(1, 1000, log=True), [1, 10, 100, 1000]),
        (Axis(400, 25000, log=True), [500, 1000, 2000, 5000, 10000, 20000]),
        (Axis(100, 200, log=True), [100, 120, 140, 160, 180, 200]),
    ],
)
def test_ticks(axis, ticks):
    np.testing.assert_allclose(axis.ticks(), ticks)


@pytest.mark.parametrize("span", [1e-300, 1e-12, 1.0, 123.4, 1e12, 1e300])
def test_ticks_are_few_and_inside(span):
    for axis in (Axis(0, span), Axis(span, 2 * span, log=True), Axis(span, span * 1e6, log=True)):
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 12
        assert all(axis.low * (1 - 1e-6) <= tick <= axis.high * (1 + 1e-6) for tick in ticks)


def test_axis_of_data():
    assert axis_of([np.array([1.0, 2.0])], log=None).log is False
    assert axis_of([np.array([1.0, 2000.0])], log=None).log is True
    assert axis_of([np.array([-1.0, 2000.0])], log=None).log is False
    flat = axis_of([np.array([5.0, 5.0])])
    assert flat.low < 5 < flat.high
    assert axis_of([]).low < axis_of([]).high
    np.testing.assert_allclose(Axis(1, 100, log=True).at(np.array([1, 10, 100])), [0, 0.5, 1])


def test_thin_keeps_the_extremes():
    rng = np.random.default_rng(0)
    x, y = np.arange(20000.0), rng.standard_normal(20000)
    y[7777], y[12345] = 50, -50
    tx, ty = thin(x, y)
    assert len(tx) < 1000
    assert (np.diff(tx) > 0).all()
    assert {50.0, -50.0, y[0], y[-1]} <= set(ty.tolist())
    short = thin(x[:10], y[:10])
    np.testing.assert_array_equal(short[1], y[:10])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (23412.3, "23,412"),
        (0.03121, "0.03121"),
        (1.5e-7, "1.5e-07"),
        (0.0, "0"),
        (np.nan, "not a number"),
        (np.inf, "infinite"),
        (2.5e9, "2.5e+09"),
    ],
)
def test_numbers_for_people(value, text):
    assert number(value) == text
