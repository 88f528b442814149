"""Whatever a program is, every view of it can be made, before it runs and after."""

from __future__ import annotations

import contextlib
import io

import pytest

from dmlite import DMLError, dml
from dmlite.explain.draw import DRAWN, dot, mermaid
from dmlite.explain.explanation import LEVELS
from dmlite.explain.text import text_of
from tests.support.programs import program


@pytest.mark.parametrize("seed", range(5000, 5012))
def test_random_programs(seed):
    made = program(seed)
    for analyze in (False, True):
        with contextlib.suppress(DMLError), contextlib.redirect_stdout(io.StringIO()):
            explanation = dml(made.text).input(**made.inputs).explain(analyze=analyze)
            assert all(text_of(explanation.record, level).startswith("# <script>: ") for level in LEVELS)
            assert all(draw(explanation.record, level) for draw in (dot, mermaid) for level in DRAWN)
            assert explanation.page().endswith("</html>\n") and explanation.as_data()["schema"] == 1
            for block in explanation.record.blocks:
                check(block)


def check(block):
    """Names are unique in a plan, operands come before what needs them, and rules and misses refer to what is there."""
    for graph in (block.hops, block.plan):
        names = [o.name for o in graph.operators if o.name and o.kind == "operator"]
        assert len(names) == len(set(names))
    ids = {o.id for o in block.plan.operators}
    assert all(a < o.id for o in block.plan.operators for a in o.operands)
    assert {n for o in block.plan.operators for n in o.rules} <= {r.number for r in block.rewrites}
    assert all(m.id is None or m.id in ids for m in block.misses)
