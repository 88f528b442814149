from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sexpr import show

from dmlite.errors import Source, Span
from dmlite.lang import nodes as n
from dmlite.lang.lexer import tokenize
from dmlite.lang.parser import parse
from dmlite.lang.printer import to_dml

ROOT = Path(__file__).parents[2]
AT = Span(Source("<made>", ""), 1, 1, 1, 1)

CANONICAL = [
    ("x=1", "x = 1"),
    ("x<-1;", "x = 1"),
    ("x+=1", "x += 1"),
    ("x=a+b*c^2", "x = a + b * c^2"),
    ("x=((a+b))*c", "x = (a + b) * c"),
    ("x=a-(b-c)", "x = a - (b - c)"),
    ("x=(a-b)-c", "x = a - b - c"),
    ("x=2^3^2", "x = 2^3^2"),
    ("x=(2^3)^2", "x = (2^3)^2"),
    ("x=2^-1", "x = 2^-1"),
    ("x=-2^2", "x = -2^2"),
    ("x=(-2)^2", "x = (-2)^2"),
    ("x=-(2)", "x = -(2)"),
    ("x=- -y", "x = -(-y)"),
    ("x=a - -2", "x = a - -2"),
    ("x=-a%*%b", "x = -a %*% b"),
    ("x=-(a%*%b)", "x = -(a %*% b)"),
    ("x=!a==b", "x = !a == b"),
    ("x=(!a)==b", "x = (!a) == b"),
    ("x=2*!a+1", "x = 2 * (!a + 1)"),
    ("x=a&!b|c", "x = a & !b | c"),
    ("x=X[i,]+X[,j]+X[i]+X[,]+X[1:2,3]", "x = X[i, ] + X[, j] + X[i] + X[, ] + X[1:2, 3]"),
    ("x=X[,k+1:k+2]", "x = X[, (k + 1):(k + 2)]"),
    ("x=f(a,b=c,[1,2])", "x = f(a, b=c, [1, 2])"),
    ("[a,b]=ns::f()", "[a, b] = ns::f()"),
    ("x=ifdef($p,'q')", 'x = ifdef($p, "q")'),
    (r"x='a\'b\"c\\\n\t'", r'x = "a' + r"'b\"c\\\n\t" + '"'),
    ("x=1e-17+1.0+1e400+$1", "x = 1e-17 + 1.0 + 1e999 + $1"),
    ("source('a/b.dml')as c", 'source("a/b.dml") as c'),
    ("setwd('a')", 'setwd("a")'),
    ("if(a)x=1 else if(b){x=2}else{}", "if (a) {\n    x = 1\n} else if (b) {\n    x = 2\n}"),
    ("if(a){}else{if(b){x=2}y=1}", "if (a) {\n} else {\n    if (b) {\n        x = 2\n    }\n    y = 1\n}"),
    ("while(a)x=1", "while (a) {\n    x = 1\n}"),
    ("for(i in 1:n-1){}", "for (i in 1:(n - 1)) {\n}"),
    ("parfor(i in seq(1,n,2),check=0)R[i,]=i", "parfor (i in seq(1, n, 2), check=0) {\n    R[i, ] = i\n}"),
    ("f=function(){}", "f = function() {\n}"),
    (
        "f<-function(Matrix[Double]X,integer a=-3)return(boolean b,frame[string]F){b=TRUE}",
        "f = function(matrix[double] X, int a = -3) return (boolean b, frame[string] F) {\n    b = TRUE\n}",
    ),
    (
        f"print({'+'.join(['alpha'] * 8)}, {'+'.join(['beta'] * 8)})",
        f"print(\n    {' + '.join(['alpha'] * 8)},\n    {' + '.join(['beta'] * 8)}\n)",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_form(text, expected):
    script = parse(text)
    assert to_dml(script) == expected + "\n"
    assert to_dml(script.body[0]) == expected
    assert parse(expected) == script


def test_expressions_and_statements_print_alone():
    (item,) = parse("x[1,] = (a + b) * f(1)").body
    assert to_dml(item.value) == "(a + b) * f(1)"
    assert to_dml(item.target) == "x[1, ]"
    assert to_dml(item) == "x[1, ] = (a + b) * f(1)"


def test_long_chains_print_without_recursion():
    text = "x = " + " + ".join(["1"] * 5000) + "\n"
    assert to_dml(parse(text)) == text
    nested = parse("x = " + "a^(b - (" * 400 + "1" + "))" * 400)
    assert to_dml(parse(to_dml(nested))) == to_dml(nested)


# ---------------------------------------------------------------- comments and blank lines
COMMENTED = """\
# a script

# about x
x = 1  # one


y = f(a, # first
      # the second
      b) # call
z = (a + # plus
     b)
/* block
     comment */
if (a) # why
  x = 1 # bare
else { # otherwise
  # inside

  y = 2 /* two */; w = 3 # three
  # last of else
} # after if
while (a) { # loop
  # nothing else
}
for (i in 1:3) # header
  # before the body
  print(i)
f = function(double a, # the a
             # double c,
             double b /* bb */) # tail
    return (double c) # result
{
    # body
    c = a
    # end of body
}
if (a) x = 1 else {
  y = 2
  # in the else branch
}
# the end"""

PRINTED = """\
# a script

# about x
x = 1  # one

y = f(
    a,  # first
    # the second
    b
)  # call
# plus
z = a + b
/* block
     comment */
if (a) {  # why
    x = 1  # bare
} else {  # otherwise
    # inside

    y = 2  /* two */
    w = 3  # three
    # last of else
}  # after if
while (a) {  # loop
    # nothing else
}
for (i in 1:3) {  # header
    # before the body
    print(i)
}
f = function(
    double a,  # the a
    # double c,
    double b  /* bb */
) return (  # tail
    double c
) {  # result
    # body
    c = a
    # end of body
}
if (a) {
    x = 1
} else {
    y = 2
    # in the else branch
}
# the end
"""


def test_comments_keep_their_places():
    script = parse(COMMENTED)
    assert to_dml(script) == PRINTED
    assert to_dml(parse(PRINTED)) == PRINTED
    assert parse(PRINTED) == script


def test_further_lines_of_a_comment_move_with_its_first():
    text = "f = function() {\n  /*\n   * about f\n   *   more\n   */\n  x = 1\n}\n"
    assert to_dml(parse(text)) == "f = function() {\n    /*\n     * about f\n     *   more\n     */\n    x = 1\n}\n"
    text = "if (a) {\n        /* one\n           two */\n  x = 1\n}\n"
    assert "\n    /* one\n       two */\n" in to_dml(parse(text))


def bare(comment: n.Comment) -> str:
    return re.sub(r"\n[ \t]*", "\n", comment.text)


SNIPPETS = [
    COMMENTED,
    "x = f(a, b)\n[y, z] = ns::g(X[1:2,], -3)\nif (a) { x = 1 } else if (b) x = 2; else { }\n",
    "f = function(matrix[double] X, double a = 3) return (double y, string t) { y = sum(X); if (y > 1) t = 'b' }",
    "while (a & b) { parfor (i in seq(1, n, 2), check=0) R[i,] = i; } for (i in 1:3) { } setwd('a') source('b') as c x += [1, 2]",
]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SNIPPETS), st.data())
def test_no_comment_is_ever_lost(snippet, data):
    tokens, _ = tokenize(Source("", snippet))
    pieces = []
    for number, token in enumerate(tokens):
        kind = data.draw(st.sampled_from(["", "", "", "#", "\n#", "/*", "\n/*", "/*\n", "\n"]))
        if "#" in kind:
            pieces.append(f"{kind} {number}\n")
        elif "*" in kind:
            pieces.append(f"{kind.rstrip()} {number} {'more' if kind[-1] != '*' else chr(10) + '  more'} */ ")
        else:
            pieces.append(kind)
        pieces.append(token.text + " ")
    script = parse("".join(pieces))
    printed = to_dml(script)
    again = parse(printed)
    assert again == script
    assert sorted(map(bare, again.comments)) == sorted(map(bare, script.comments))
    assert to_dml(again) == printed


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("nnlib/**/*.dml"), *ROOT.glob("scripts/**/*.dml"), *ROOT.glob("../shared/published/*.dml")]),
    ids=lambda path: path.name,
)
def test_scripts_come_back(path):
    script = parse(path.read_text(), path.name)
    printed = to_dml(script)
    again = parse(printed)
    assert again == script
    assert list(map(bare, again.comments)) == list(map(bare, script.comments))
    assert to_dml(again) == printed


# ---------------------------------------------------------------- any tree
names = st.sampled_from(["x", "X", "a1", "is.nan", "index.return", "T", "sum", "seq", "matrix", "elif", "break"])
plain = st.sampled_from(["x", "y2", "longer_name"])


def made(kind, *parts, **named):
    return st.builds(kind, *parts, **named, span=st.just(AT))


literals = made(
    n.Literal,
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.booleans(),
    ),
)
leaves = st.one_of(literals, made(n.Name, names), made(n.Dollar, st.sampled_from(["p", "1", "long_one"])))
OPERATORS = ["+", "-", "*", "/", "^", "%*%", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "&&", "|", "||"]


def ranges(expressions):
    return st.none() | made(n.Range, expressions, st.none() | expressions)


def indices(expressions):
    whole = made(n.Index, names, ranges(expressions), ranges(expressions), st.just(True))
    return whole | made(n.Index, names, ranges(expressions), st.none(), st.just(False))


def arguments(expressions):
    return st.lists(made(n.Arg, st.none() | names, expressions), max_size=3).map(tuple)


def calls(expressions):
    return made(n.Call, names, arguments(expressions), st.none()) | made(n.Call, plain, arguments(expressions), st.just("ns"))


def compounds(expressions):
    return st.one_of(
        made(n.Unary, st.sampled_from("-+!"), expressions),
        made(n.Binary, st.sampled_from(OPERATORS), expressions, expressions),
        indices(expressions),
        calls(expressions),
        made(n.ListLiteral, st.lists(expressions, max_size=3).map(tuple)),
    )


expressions = st.recursive(leaves, compounds, max_leaves=12)
targets = made(n.Name, names) | indices(leaves)


def loops(body):
    step = st.none() | expressions
    options = st.lists(made(n.Arg, plain, leaves), max_size=2).map(tuple)
    over_range = made(n.For, plain, expressions, expressions, st.none(), st.just(False), body, st.booleans(), options)
    return over_range | made(n.For, plain, expressions, expressions, step, st.just(True), body, st.booleans(), options)


simple = st.one_of(
    made(n.Assign, targets, expressions, st.booleans()),
    made(n.IfDef, targets, plain, expressions),
    made(n.MultiAssign, st.lists(targets, min_size=1, max_size=3).map(tuple), calls(leaves)),
    made(n.CallStmt, calls(expressions)),
    made(n.Import, st.text(st.characters(codec="utf-8"), max_size=5), plain),
    made(n.SetWd, st.just("dir")),
)


def nested(stmts):
    body = st.lists(stmts, max_size=3).map(tuple)
    return st.one_of(made(n.If, expressions, body, body), made(n.While, expressions, body), loops(body))


stmts = st.recursive(simple, nested, max_leaves=5)
types = st.sampled_from(
    [n.DataType("matrix", "double"), n.DataType("frame", "string"), n.DataType("list", "unknown"), n.DataType("scalar", "int")]
)
params = st.lists(made(n.Param, names, types, st.none() | leaves), max_size=3).map(tuple)
returns = st.lists(made(n.Param, names, types, st.none()), max_size=2).map(tuple)
functions = made(n.Function, plain, params, returns, st.lists(stmts, max_size=2).map(tuple))
scripts = st.lists(stmts | functions, max_size=4).map(lambda body: n.Script(tuple(body), span=AT))


@settings(max_examples=120, deadline=None)
@given(expressions)
def test_any_expression_comes_back(tree):
    assert parse(f"x = {to_dml(tree)}").body[0].value == tree


@settings(max_examples=120, deadline=None)
@given(scripts)
def test_any_script_comes_back(tree):
    printed = to_dml(tree)
    assert parse(printed) == tree
    assert to_dml(parse(printed)) == printed


def test_a_not_a_number_prints_as_the_constant():
    assert to_dml(n.Literal(math.nan, span=AT)) == "NaN"
    assert show(n.Literal(-0.0, span=AT)) == to_dml(n.Literal(-0.0, span=AT)) == "-0.0"
