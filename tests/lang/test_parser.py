from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sexpr import expression, statements

from dmlite.lang.lexer import DOTTED_NAMES
from dmlite.lang.parser import parse

BOUNDARIES = [
    ("y = x\n-3", ["y = (- x 3)"]),
    ("z = x\n + y", ["z = (+ x y)"]),
    ("y = x\n(2)", ["y = x(2)"]),
    ("y = x\n[1,1]", ["y = x[1, 1]"]),
    ("y = x\n[a,b] = f(x)", ["y = x", "<a, b> = f(x)"]),
    ("y = x\n[a,b] <- f(x)", ["y = x", "<a, b> = f(x)"]),
    ("y = f(x)\n[a,b] = g(x)", ["y = f(x)", "<a, b> = g(x)"]),
    ("y = 3 [a] = g(x)", ["y = 3", "<a> = g(x)"]),
    ('y = "s" [a] = g(x)', ["y = 's'", "<a> = g(x)"]),
    ("y = X[1,] [a, B[1,2]] = g(x)", ["y = X[1, _]", "<a, B[1, 2]> = g(x)"]),
    ("print(1) print(2)", ["print(1)", "print(2)"]),
    ("z = 3 print(z) w = z", ["z = 3", "print(z)", "w = z"]),
    ("x[1,2] = 3", ["x[1, 2] = 3"]),
    ("y = a x[1,2] = 3", ["y = a", "x[1, 2] = 3"]),
    ("y = f(a) x[i] = 3 x[,j] += 4", ["y = f(a)", "x[i] = 3", "x[_, j] += 4"]),
    ("y = x[z[1]] [a] = f()", ["y = x[z[1]]", "<a> = f()"]),
    ("if (x[1] == 2) y[1] = 2", ["if (== x[1] 2) {y[1] = 2} else {}"]),
    ("y = x [1] == 2", ["y = (== x[1] 2)"]),
    ('source("a") as b [c] = f()', ["source 'a' b", "<c> = f()"]),
    ("if (a) [b, c] = f() else [c, b] = f()", ["if a {<b, c> = f()} else {<c, b> = f()}"]),
    ("f = function() {} [a] = f()", ["f() -> () {}", "<a> = f()"]),
    ("x<-5", ["x = 5"]),
    ("y = x < -5", ["y = (< x -5)"]),
    ("x <- -5", ["x = -5"]),
    ("x = 1;;; y = 2;", ["x = 1", "y = 2"]),
    (";;x = 1", ["x = 1"]),
    ("if (a) { x = 1 }; y = 2", ["if a {x = 1} else {}", "y = 2"]),
    ("if (a) x = 1; else y = 2", ["if a {x = 1} else {y = 2}"]),
    ("while (a) { ; x = 1;; ; }", ["while a {x = 1}"]),
    ("x = # a comment\n 3 /* another\n */ + /***/ 4 #", ["x = (+ 3 4)"]),
    ('x = "# no /* comment */"', ["x = '# no /* comment */'"]),
    ("", []),
    ("# only this", []),
]


@pytest.mark.parametrize(("text", "expected"), BOUNDARIES)
def test_statement_boundaries(text, expected):
    assert statements(text) == expected


PRECEDENCE = [
    ("2^3^2", "(^ 2 (^ 3 2))"),
    ("2^-1", "(^ 2 -1)"),
    ("-2^2", "(- (^ 2 2))"),
    ("-2", "-2"),
    ("- 2.5", "-2.5"),
    ("-(2)", "(- 2)"),
    ("- -2", "(- -2)"),
    ("+2", "(+ 2)"),
    ("-x", "(- x)"),
    ("- -x", "(- (- x))"),
    ("x - -y", "(- x (- y))"),
    ("2 -3", "(- 2 3)"),
    ("-A %*% B", "(%*% (- A) B)"),
    ("-7 %% 4", "(%% -7 4)"),
    ("A * A %*% A", "(* A (%*% A A))"),
    ("A^2 %*% A", "(%*% (^ A 2) A)"),
    ("A %*% B / C", "(/ (%*% A B) C)"),
    ("A %*% B %*% C", "(%*% (%*% A B) C)"),
    ("2*3 %% 2", "(* 2 (%% 3 2))"),
    ("10*7 %% 3", "(* 10 (%% 7 3))"),
    ("5*3 %/% 2", "(* 5 (%/% 3 2))"),
    ("7 %% 4 %/% 2", "(%/% (%% 7 4) 2)"),
    ("100/10*2", "(* (/ 100 10) 2)"),
    ("2-3-4", "(- (- 2 3) 4)"),
    ('"a" + 1 * 2', "(+ 'a' (* 1 2))"),
    ("3 > 2 > 1", "(> (> 3 2) 1)"),
    ("1 < 2 == TRUE", "(== (< 1 2) TRUE)"),
    ("a+1 >= b*2", "(>= (+ a 1) (* b 2))"),
    ("!x == y", "(! (== x y))"),
    ("!a & b", "(& (! a) b)"),
    ("!!a", "(! (! a))"),
    ("2 * !a + 1", "(* 2 (! (+ a 1)))"),
    ("a ^ !b + c == d & e", "(& (^ a (! (== (+ b c) d))) e)"),
    ("-!a + b", "(- (! (+ a b)))"),
    ("a & !b | c", "(| (& a (! b)) c)"),
    ("TRUE | FALSE & FALSE", "(| TRUE (& FALSE FALSE))"),
    ("a && b || c & d", "(|| (&& a b) (& c d))"),
    ("a != b", "(!= a b)"),
    ("a <= b", "(<= a b)"),
    ("(a + b) * c", "(* (+ a b) c)"),
    ("((((a))))", "a"),
    ("-a^b %*% -c", "(%*% (- (^ a b)) (- c))"),
]


@pytest.mark.parametrize(("text", "expected"), PRECEDENCE)
def test_precedence(text, expected):
    assert expression(text) == expected


OPERANDS = [
    ("007", "7"),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("1.5", "1.5"),
    ("5.", "5.0"),
    (".5", "0.5"),
    ("1e3", "1000.0"),
    ("1E-3", "0.001"),
    ("1.e2", "100.0"),
    (".5e+2", "50.0"),
    ("1e-17", "1e-17"),
    ("-0.0", "-0.0"),
    ("TRUE", "TRUE"),
    ("FALSE", "FALSE"),
    ("T", "T"),
    ("true", "true"),
    ("NaN", "NaN"),
    ("$x", "$x"),
    ("$1", "$1"),
    ("'single'", "'single'"),
    ('"it\'s"', '"it\'s"'),
    (r'"a\tb\n\"c\"\\n\'\b\f\r"', repr('a\tb\n"c"\\n\'\b\f\r')),
    ('"two\nlines"', repr("two\nlines")),
    ('""', "''"),
    ("X[i]", "X[i]"),
    ("X[i,]", "X[i, _]"),
    ("X[,j]", "X[_, j]"),
    ("X[,]", "X[_, _]"),
    ("X[a:b,c:d]", "X[a:b, c:d]"),
    ("X[a:b]", "X[a:b]"),
    ("X[,in_TS+1:in_TS+out_TS]", "X[_, (+ in_TS 1):(+ in_TS out_TS)]"),
    ('L["name"]', "L['name']"),
    ("L[[1]]", "L[[1]]"),
    ("f()", "f()"),
    ("ns::f(1, b=2, x[1], c = d == 3)", "ns::f(1, b=2, x[1], c=(== d 3))"),
    ("order(target=X, index.return=TRUE)", "order(target=X, index.return=TRUE)"),
    ("as.scalar(x) + is.na(y)", "(+ as.scalar(x) is.na(y))"),
    ("conv2d(X, W, input_shape=[N,C,H,W], stride=[1,1])", "conv2d(X, W, input_shape=[N, C, H, W], stride=[1, 1])"),
    ('["INT64","FP64"]', "['INT64', 'FP64']"),
    ("[]", "[]"),
    ("matrix(0, rows=nrow(X), cols=1)", "matrix(0, rows=nrow(X), cols=1)"),
    ("1+2e3*x", "(+ 1 (* 2000.0 x))"),
    ("T * F + matrix", "(+ (* T F) matrix)"),
]


@pytest.mark.parametrize(("text", "expected"), OPERANDS)
def test_operands(text, expected):
    assert expression(text) == expected


STATEMENTS = [
    ("x = ifdef($a, 3 + 1)", "x = ifdef($a, (+ 3 1))"),
    ('x <- ifdef($1, "s")', "x = ifdef($1, 's')"),
    ("x += 2", "x += 2"),
    ("R += matrix(i,2,2)", "R += matrix(i, 2, 2)"),
    ("[a] = f(1)", "<a> = f(1)"),
    ("[W, b] = affine::init(D, M)", "<W, b> = affine::init(D, M)"),
    ('source("nn/layers/affine.dml") as affine', "source 'nn/layers/affine.dml' affine"),
    ('setwd("dir")', "setwd 'dir'"),
    ('print("%d", x)', "print('%d', x)"),
    ("while(FALSE){}", "while FALSE {}"),
    ("while (i < 3) i = i + 1", "while (< i 3) {i = (+ i 1)}"),
    ("if (a) if (b) x = 1 else x = 2", "if a {if b {x = 1} else {x = 2}} else {}"),
    ("if (a) {x=1} else if (b) {x=2} else {x=3}", "if a {x = 1} else {if b {x = 2} else {x = 3}}"),
    ("for (i in 1:10) print(i)", "for i range 1 10 _ [] {print(i)}"),
    ("for (i in a+1:b) x = i;", "for i range (+ a 1) b _ [] {x = i}"),
    ("for (i in seq(1,10)) {}", "for i seq 1 10 _ [] {}"),
    ("for (i in seq(10,1,-3)) {}", "for i seq 10 1 -3 [] {}"),
    ("for (i in seq(from=1, to=n, incr=2)) {}", "for i seq 1 n 2 [] {}"),
    ("parfor (i in 1:n, check=0, mode=LOCAL) { R[i,] = i }", "parfor i range 1 n _ [check=0, mode=LOCAL] {R[i, _] = i}"),
    (
        'f = function(matrix[double] X, double a = 3, boolean flag = TRUE) return (double y, string t) { y = sum(X)*a; t = "v" + flag }',
        "f(matrix[double] X, double a = 3, boolean flag = TRUE) -> (double y, string t) {y = (* sum(X) a); t = (+ 'v' flag)}",
    ),
    ("f <- function() { print(1) };", "f() -> () {print(1)}"),
    ("f = function(matrix[double] z) return (matrix[double] z) { z = z }", "f(matrix[double] z) -> (matrix[double] z) {z = z}"),
    (
        "f = function(Matrix[Double] A, Frame[String] F, List[unknown] L, Scalar[int] s, integer i, Boolean b) { }",
        "f(matrix[double] A, frame[string] F, list[unknown] L, int s, int i, boolean b) -> () {}",
    ),
    (
        "f = function(double a = 2*3-1, matrix[double] M = matrix(0,0,0)) {}",
        "f(double a = (- (* 2 3) 1), matrix[double] M = matrix(0, 0, 0)) -> () {}",
    ),
    ("f = function(double a, # one\n#two\ndouble b) #{\nreturn (double c) { c = a }", "f(double a, double b) -> (double c) {c = a}"),
]


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_statements(text, expected):
    assert statements(text) == [expected]


@pytest.mark.parametrize("name", DOTTED_NAMES)
def test_dotted_names_are_plain_names(name):
    assert expression(f"{name}({name}={name})") == f"{name}({name}={name})"


def test_literal_types():
    (one, two, three) = (item.value for item in parse("a = 1 b = 1.0 c = TRUE").body)
    assert [type(one.value), type(two.value), type(three.value)] == [int, float, bool]
    assert len({one, two, three}) == 3


def test_separators_and_blanks_do_not_matter():
    plain = parse("x = 1 y = f(x, 2) if (x > 1) { print(y) } else y = 2").body
    assert parse("x=1;y=f(x,2);if(x>1){print(y);}else y=2;").body == plain
    assert parse("\ufeffx\n=\r\n1\ty\f=\nf\n(\nx\n,\n2\n)\nif\n(\nx\n>\n1\n)\n{\nprint\n(\ny\n)\n}\nelse\ny\n=\n2\n").body == plain


# ---------------------------------------------------------------- an independent reading of the precedence table
LEVELS = {"|": 1, "||": 1, "&": 2, "&&": 2, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6}
LEVELS |= {"%%": 7, "%/%": 7, "%*%": 8, "^": 10}
PREFIX = {"!": 3, "-": 9, "+": 9}


def climb(tokens: list[str], lowest: int = 0) -> str:
    """Precedence climbing: a prefix operator may open any operand and then takes all that binds tighter than itself."""
    token = tokens.pop(0)
    if token in PREFIX:
        literal = token == "-" and tokens[0][0].isdigit() and tokens[1:2] != ["^"]
        left = "-" + tokens.pop(0) if literal else f"({token} {climb(tokens, PREFIX[token])})"
    elif token == "(":
        left = climb(tokens)
        assert tokens.pop(0) == ")"
    else:
        left = token
    while tokens and tokens[0] in LEVELS and LEVELS[tokens[0]] >= lowest:
        op = tokens.pop(0)
        right = climb(tokens, LEVELS[op] if op == "^" else LEVELS[op] + 1)
        left = f"({op} {left} {right})"
    return left


@st.composite
def token_lists(draw) -> list[str]:
    atoms = st.sampled_from(["a", "b", "2", "3.5"])
    operand = st.tuples(st.lists(st.sampled_from(list(PREFIX)), max_size=2), atoms)
    tokens: list[str] = []
    for at in range(draw(st.integers(1, 8))):
        prefixes, atom = draw(operand)
        tokens += ([draw(st.sampled_from(list(LEVELS)))] if at else []) + prefixes + [atom]
    if draw(st.booleans()):
        tokens = ["(", *tokens, ")", draw(st.sampled_from(list(LEVELS))), "c"]
    return tokens


@settings(max_examples=200, deadline=None)
@given(token_lists())
def test_precedence_as_by_climbing(tokens):
    assert expression(" ".join(tokens)) == climb(list(tokens))


# ---------------------------------------------------------------- spans
def test_spans_cover_the_text_of_every_node():
    text = "x = f(a,\n  -b[1, 2:3]) + 2\nif (x) {\n  y = 'two\nlines'\n}"
    lines = text.split("\n")

    def covered(node) -> str:
        span = node.span
        if span.line == span.end_line:
            return lines[span.line - 1][span.col - 1 : span.end_col - 1]
        inner = lines[span.line : span.end_line - 1]
        return "\n".join([lines[span.line - 1][span.col - 1 :], *inner, lines[span.end_line - 1][: span.end_col - 1]])

    script = parse(text, "name.dml")
    assign, branch = script.body
    assert covered(assign) == "x = f(a,\n  -b[1, 2:3]) + 2"
    assert covered(assign.target) == "x"
    assert covered(assign.value.left) == "f(a,\n  -b[1, 2:3])"
    assert covered(assign.value.right) == "2"
    minus = assign.value.left.args[1].value
    assert covered(minus) == "-b[1, 2:3]"
    assert covered(minus.operand.cols) == "2:3"
    assert covered(branch) == "if (x) {\n  y = 'two\nlines'\n}"
    assert covered(branch.then[0].value) == "'two\nlines'"
    assert str(branch.then[0].span) == "name.dml:4:3"
    assert script.span.source.text == text


def test_comments_ride_along():
    script = parse("# one\nx = 1 # two\n  /* three\n */ y = 2 /* four */ z = 3\r\n#five\r\n")
    assert [(c.text, c.own_line, c.span.line, c.span.col) for c in script.comments] == [
        ("# one", True, 1, 1),
        ("# two", False, 2, 7),
        ("/* three\n */", True, 3, 3),
        ("/* four */", False, 4, 11),
        ("#five", True, 5, 1),
    ]
