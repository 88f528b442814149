"""What people ask first can be answered from the page as it opens: the time, the fusions, the memory, the place."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import dml, dmlFromFile, settings
from dmlite.explain.answers import answers
from tests.support.browser import CHROMIUM, opened

LSTM = Path(__file__).parents[2] / "scripts" / "anomaly" / "lstm.dml"
NOWHERE_ELSE = r"(no GPU on this machine|the GPU backend does not run this operator)"
RNG = np.random.default_rng(12)
W = random_array((4000, 3000), density=0.01, format="csr", rng=RNG)
U, V = RNG.uniform(0.1, 1, (4000, 10)), RNG.uniform(0.1, 1, (3000, 10))
PRODUCT = 8 * 4000 * 3000


def weighted(script: str = "G = (W / (U %*% t(V))) %*% V", level: int = 2, analyze: bool = False):
    with settings(opt_level=level):
        return dml(script).input(W=W, U=U, V=V).explain(analyze=analyze)


def lstm():
    return dmlFromFile(LSTM).input("X", np.random.default_rng(1).normal(size=(3000, 1))).output("W").explain()


def told(explanation) -> dict[str, list[str]]:
    return {answer.question: [point.text for point in answer.points] for answer in answers(explanation.record)}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page with")
@pytest.mark.parametrize(
    ("made", "time", "fused"),
    [
        (lstm, r"\d+\.\d%: \w+ = tanh\(\w+\) \(lstm:45\), [\d.]+ ms in 70 runs", "in place of sum(square(prediction - future)): one pass"),
        (weighted, r"100\.0%: G = wdivmm_div_right\(W, U, V\) \(line 1\)", "G = wdivmm_div_right(W, U, V) (line 1) in place of (W / U %*% t(V)) %*% V"),
    ],
)  # fmt: skip
def test_the_page_as_it_opens(made, time, fused, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(made().page(), encoding="utf-8")
    details = re.search(r'<section id="details".*?</section>', opened(page), re.DOTALL)[0]
    text = html.unescape(re.sub(r"<[^>]*>", " ", details.replace("</h2>", "\n").replace("</li>", "\n").replace("</ul>", "\n")))
    assert re.search(rf"Where does the time go\?\s+.*\n(.*\n)*\s*{time}", text), text
    assert re.search(rf"Which operators were fused\?\s+(.*\n)*?.*{re.escape(fused)}", text), text
    assert re.search(
        rf"Where does it run, and why not on a GPU\?\s+(All \d+ operators run|The operator runs) on the local backend: {NOWHERE_ELSE}", text
    )


def test_the_product_is_never_made():
    plan = weighted()
    assert re.search(r"wdivmm_div_right\(W, U, V\)  \(.*, 97.\d MB never made\)", str(plan))
    assert any(re.search(r"as written it would be 19\d\.\d MB", point) for point in told(plan)["How much memory does it take?"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory since a moment is known on Linux only")
def test_analyze_shows_the_memory_that_fusing_saves():
    fused = weighted(analyze=True)
    runs = (weighted(level=0, analyze=True) for _ in range(3))  # the system may take away idle pages meanwhile, which hides growth
    plain = max(runs, key=lambda explanation: explanation.record.run.peak)
    assert plain.record.run.peak - fused.record.run.peak > 0.9 * PRODUCT
    assert fused.record.run.peak < PRODUCT / 2
    assert re.search(r"_2 = U %\*% _1 .* memory \+\d+\.\d MB", str(plain))
    memory = told(plain)["How much memory does it take?"]
    assert memory[0].startswith("Memory grew by ") and any("while it ran: _2 = U %*% _1 (line 1)" in point for point in memory)
    assert '"grew":' in plain.page()


@pytest.mark.parametrize("script", ["G = (W / (U %*% t(V))) %*% V\ns = sum(G)", "G = (W / (U %*% t(V))) %*% V\nH = G * 2\nK = G + H"])
def test_further_uses_of_the_result_leave_it_fused(script):
    operators = [o.op for b in weighted(script).record.blocks for o in b.plan.operators]
    assert "wdivmm_div_right" in operators and "matmul" not in operators


def test_nothing_is_asked_of_an_empty_program():
    assert told(dml("").explain()) == {}
    assert set(told(dml("print(1)").explain())) == {"Where does the time go?", "Where does it run, and why not on a GPU?"}
