"""The parser on whole scripts, long ones and nonsense."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sexpr import expression, show

from dmlite.errors import DMLSyntaxError
from dmlite.lang import nodes, tables
from dmlite.lang.parser import parse

PUBLISHED = Path(__file__).parents[3] / "shared" / "published"


# ---------------------------------------------------------------- size and speed
def test_long_and_deep_expressions():
    (item,) = parse("x = " + " + ".join(["1"] * 5000)).body
    depth = 0
    node = item.value
    while isinstance(node, nodes.Binary):
        node, depth = node.left, depth + 1
    assert depth == 4999
    assert expression("(" * 500 + "1" + ")" * 500) == "1"
    parse("x = " + "f(" * 500 + "1" + ")" * 500)
    parse("x = " + "-!" * 500 + "a")
    parse("x = " + "^".join(["a"] * 2000))
    parse("if (a) {" * 500 + "}" * 500)


def test_a_thousand_lines_take_less_than_a_quarter_of_a_second():
    block = 'smpz2 = sigmoid::backward(delta2, z2)\n# step\nW1 = W1 - 0.1 * t(X[1:k,]) %*% dW1\nif (iter %% 100 == 0)\n  print(iter + ": " + loss)\n'
    text = block * 200
    parse(block)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        parse(text)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.25


def test_parsing_never_loads_lark_once_the_tables_are_stored(tmp_path):
    program = "import sys; from dmlite.lang.parser import parse; parse('x = 1'); print('lark' in sys.modules)"
    environment = {**os.environ, "DMLITE_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> str:
        return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert run() == "True"
    (stored,) = (tmp_path / "cache").iterdir()
    assert stored.suffix == ".json"
    assert run() == "False"
    stored.write_text("{]")
    assert run() == "True"  # a damaged file is made again
    assert run() == "False"


def test_tables_are_built_where_nothing_can_be_stored(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(blocked / "cache"))
    built, stored = tables.tables.__wrapped__(), tables.tables()  # states are numbered anew by every build
    assert (built.patterns, built.words) == (stored.patterns, stored.words)
    assert len(built.actions) == len(stored.actions)
    assert {rule.action for rule in built.rules} == {rule.action for rule in stored.rules}


# ---------------------------------------------------------------- whole scripts
def test_random_token_soup_only_ever_raises_syntax_errors():
    rng = random.Random(7)
    words = [
        "x",
        "f",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        ":",
        "=",
        "<-",
        "+=",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%*%",
        "%%",
        "!",
        "&",
        "==",
        "<",
        "1",
        "2.5",
        "'a'",
        "TRUE",
        "$p",
        "if",
        "else",
        "for",
        "in",
        "while",
        "function",
        "return",
        "source",
        "as",
        "ifdef",
        "double",
        "matrix",
        '"',
        "#",
        ".",
        "@",
    ]
    for _ in range(400):
        text = " ".join(rng.choices(words, k=rng.randint(1, 25)))
        try:
            parse(text)
        except DMLSyntaxError as error:
            assert error.problems
            assert all(problem.span is not None for problem in error.problems)


LSTM_LIKE = """
source("nn/layers/lstm.dml") as lstm
in_TS = 70 #in_TS
N = nrow(X) / (in_TS + out_TS)
idx = outer(seq(0,N-1,1), t(seq(0,in_TS+out_TS-1,1)), "+") + 1
Y = X[,in_TS+1:in_TS+out_TS]
[W, b, out0, c0] = lstm::init(N,1,M)
if (pushWeights) {
W = Wpush
}
while( iter < max_iterations ){
[a1, c, c_out] = lstm::forward(X, W, b, in_TS, 1, FALSE, out0, c0)
loss = l2_loss::forward(a1, Y)
if(iter %% 100 == 0) print("iter=" + iter + " loss=" + loss)
[W, cache] = rmsprop::update(W, dW, learningRate, decayRate, 1e-6, cache)
}
"""


def test_a_script_without_blank_lines():
    source, *_, loop = parse(LSTM_LIKE).body
    assert show(source) == "source 'nn/layers/lstm.dml' lstm"
    assert [show(item) for item in loop.body] == [
        "<a1, c, c_out> = lstm::forward(X, W, b, in_TS, 1, FALSE, out0, c0)",
        "loss = l2_loss::forward(a1, Y)",
        "if (== (%% iter 100) 0) {print((+ (+ (+ 'iter=' iter) ' loss=') loss))} else {}",
        "<W, cache> = rmsprop::update(W, dW, learningRate, decayRate, 1e-06, cache)",
    ]


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published scripts are not here")
def test_published_scripts_parse():
    for path in sorted(PUBLISHED.glob("*.dml")):
        assert len(parse(path.read_text(), path.name).body) > 10
