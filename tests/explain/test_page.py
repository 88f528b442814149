"""The page in a real browser: what its program draws for the addresses that name a block, an operator, a rewrite."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

from dmlite import dml
from tests.support.browser import CHROMIUM, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page with")
SCRIPT = """r = X %*% w - y
loss = sum(r^2)
if (loss > 1) {
  g = t(X) %*% r
  z = t(t(g)) * 1
}
print("</script><b>" + loss)
"""


# What is done to the page, one after the other, each from the plan of the first block; then its body is kept.
STEPS = {
    "plan": "",
    "hops": "visit('#level=hops&block=0')",
    "product": "visit('#level=plan&block=0&node=' + number('_1 = X %*% w'))",
    "fused": "visit('#level=plan&block=0&node=' + number('loss = sumsq(r)'))",
    "first rewrite": "visit('#level=trace&step=0')",
    "second rewrite": "visit('#level=trace&step=1')",
    "find": "visit('#level=plan&block=0&find=sumsq')",
    "fold": "visit('#level=plan&block=0&folded=' + number('r = _1 - y'))",
    "python": "visit('#level=runtime&block=0')",
    "syntax": "visit('#level=ast')",
    "arrow keys": "press('ArrowDown', 'ArrowUp')",
    "fold key": "visit('#level=plan&block=0&node=' + number('r = _1 - y')); press(' ')",
    "trace keys": "press('4', 'n')",
    "larger": "press('+', '+')",
    "time": "press('3')",
    "time by line": "press('3'); go({ by: 'line' })",
    "time by kind": "press('3'); go({ by: 'kind of operator', sort: 'text' })",
    "row of the time": "press('3'); document.querySelector('.times tbody tr').click()",
    "help": "press('?'); document.getElementById('keys').close()",
    "dark": "press('d')",
    "click": "node('_1 = X %*% w').dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    "click line": "document.querySelector('#source [data-line=\"4\"]').click()",
    "type": "at('find').value = 'sumsq'; at('find').dispatchEvent(new Event('input'))",
}
HARNESS = """
const visit = (address) => { location.hash = address; recall(); state.view = null; draw(); };
const press = (...keys) => keys.forEach((key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })));
const node = (title) => [...document.querySelectorAll(".node")].find((n) => n.querySelector("title").textContent === title);
const number = (title) => node(title).dataset.node;
const kept = {};
const steps = %s;
for (const [name, step] of Object.entries(steps)) {
  visit("#level=plan&block=0");
  eval(step);
  const copy = document.body.cloneNode(true);
  copy.querySelectorAll("script").forEach((s) => s.remove());
  kept[name] = document.documentElement.dataset.theme + copy.innerHTML;
}
document.body.append(element("pre", { id: "kept" }, JSON.stringify(kept)));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    rng = np.random.default_rng(5)
    inputs = {"X": rng.normal(size=(60, 8)), "w": rng.normal(size=(8, 1)), "y": rng.normal(size=(60, 1))}
    file = tmp_path_factory.mktemp("page") / "page.html"
    dml(SCRIPT).input(**inputs).explain("plan", "html", analyze=True).save(file)
    return file


@pytest.fixture(scope="module")
def seen(page) -> dict[str, str]:
    """The body of the page after each of the steps."""
    text = page.read_text(encoding="utf-8").replace("script-src 'unsafe-inline'", "script-src 'unsafe-inline' 'unsafe-eval'")
    extended = page.with_name("extended.html")
    extended.write_text(text.replace("</body>", f"<script>{HARNESS % json.dumps(STEPS)}</script></body>"), encoding="utf-8")
    found = re.search(r'<pre id="kept">(.*?)</pre>', opened(extended), re.DOTALL)
    return json.loads(html.unescape(found[1]))


def titles(body: str) -> list[str]:
    """The operators that are drawn."""
    return [html.unescape(t) for t in re.findall(r'<g class="node[^"]*"[^>]*>\s*<title>([^<]*)</title>', body)]


def test_an_address_opens_the_page_there(page):
    dom = opened(page, "#level=trace&step=1")
    assert "<h3>sum_of_squares</h3>" in dom and 'id="tab-trace" aria-selected="true"' in dom


def test_the_program_and_its_graph(seen):
    body = seen["plan"]
    assert {"r = _1 - y", "X"} <= set(titles(body))
    assert "if (loss &gt; 1)" in body
    assert '<h2 id="heavy-title">Where the time goes, measured</h2>' in body
    assert 'id="tab-plan" aria-selected="true"' in body
    assert '<path class="arrow"' in body
    assert "run time" in body and "peak memory" in body


def test_an_operator_shows_its_source_facts_and_rules(seen):
    body = seen["product"]
    assert re.search(r'<g class="node \w+ chosen"[^>]*>\s*<title>([^<]*)', body)[1] == "_1 = X %*% w"
    details = re.search(r'<section id="details".*?</section>', body, re.DOTALL)[0]
    assert "<dt>gives</dt><dd>60x1</dd>" in details
    assert re.search(r"<dt>measured</dt><dd>[\d.]+ [mun]?s in 1 call</dd>", details)
    assert (
        re.search("<dt>runs on</dt><dd>local: (no GPU on this machine|the GPU backend does not run this operator)", details)
        and "<dt>because</dt>" in details
    )
    assert '<li data-line="1" class="here">r = <mark>X %*% w</mark> - y</li>' in body
    assert "Made by these rewrites" in seen["fused"] and ">sum_of_squares</button>" in seen["fused"]


def test_hops_show_the_program_before_rewriting(seen):
    assert "_2 = r^2" in titles(seen["hops"])
    assert not any("r^2" in t for t in titles(seen["plan"]))


def test_the_trace_steps_through_rewrites(seen):
    first, second = seen["first rewrite"], seen["second rewrite"]
    assert "Rewrite 1 of " in first and "<h3>power_two</h3>" in first
    assert "Rewrite 2 of " in second and "<h3>sum_of_squares</h3>" in second
    assert "<strong>before</strong><br><code>sum(square(r))</code>" in second
    assert "<strong>after</strong><br><code>sumsq(r)</code>" in second
    assert '<li data-line="2" class="here">loss = <mark>sum(r^2)</mark></li>' in second
    assert re.search(r'aria-current="true">2\. sum_of_squares', second)


def test_finding_and_folding(seen):
    for step in ("find", "type"):
        assert len(re.findall(r'<g class="node \w+\s+faint"', seen[step])) == len(titles(seen[step])) - 1
    assert "_1 = X %*% w" in titles(seen["plan"])
    for step in ("fold", "fold key"):
        assert "_1 = X %*% w" not in titles(seen[step]) and "r = _1 - y" in titles(seen[step])


def test_keys(seen):
    assert re.search(r'<g class="node \w+ chosen"', seen["arrow keys"])
    assert "Rewrite 3 of " in seen["trace keys"]  # the second was looked at before
    assert seen["dark"].startswith("dark") and seen["help"].startswith("undefined")
    width = lambda step: float(re.search(r'<svg viewBox="([^"]*)"', seen[step])[1].split()[2])  # noqa: E731
    assert width("larger") < width("plan")


def rows(body: str) -> list[list[str]]:
    """The cells of the table of times."""
    table = re.search(r'<table class="times">.*?</table>', body, re.DOTALL)[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)[1:]]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells]


def test_the_table_of_times(seen):
    found = rows(seen["time"])
    shares = [float(row[2].removesuffix("%")) for row in found]
    assert shares == sorted(shares, reverse=True) and abs(sum(shares) - 100) < 0.1 * len(shares)
    product = next(row for row in found if row[0] == "_1 = X %*% w")
    assert product[1] == "1" and product[5] == "1" and product[6] == "480 B"
    assert all(re.fullmatch(r"[\d.]+ (s|ms|us|ns)", row[3]) for row in found)
    lines = [row[1] for row in rows(seen["time by line"])]
    assert len(lines) == len(set(lines)) and {"1", "2", "4"} <= set(lines)
    kinds = [row[0] for row in rows(seen["time by kind"])]
    assert kinds == sorted(kinds) and "matmul" in kinds
    assert re.search(r'<g class="node \w+ chosen"', seen["row of the time"])
    assert "Measured, beside the estimate" in seen["time"]


def test_clicking(seen):
    assert "<h3>_1 = X %*% w</h3>" in seen["click"]
    assert re.search(r'<g class="node \w+ chosen"[^>]*>\s*<title>([^<]*)', seen["click line"])
    assert '<li data-line="4" class="here">' in seen["click line"]


def test_python_and_syntax(seen):
    assert "def block0(" in seen["python"]
    assert "Binary %*%" in seen["syntax"]


def test_text_of_the_script_is_never_markup(seen):
    for body in seen.values():
        assert "<script" not in body.lower() and "<b>" not in body
        assert "&lt;/script&gt;&lt;b&gt;" in body
