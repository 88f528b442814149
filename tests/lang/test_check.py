"""What the check says of scripts, with the place it points at; and that it is silent about everything the language allows."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dmlite.errors import Problems
from dmlite.hop import ops
from dmlite.lang.check import check
from dmlite.lang.parser import parse
from tests.support.checking import Builtins, File, checked, shown

# text, then (place, piece of the message, piece of the hint) of each problem
WRONG = {
    "undefined variables": [
        ("x = y + 1", ("1:5", "'y' is not defined", "bind it as an input")),
        ("value = 1\nprint(valeu)", ("2:7", "'valeu' is not defined", "did you mean 'value'?")),
        ("print(x)\nx = 1", ("1:7", "'x'", "only further down")),
        ("if (FALSE) { x = 1 }\nprint(x)", ("2:7", "'x'", "never runs")),
        ("if (a > 1) { x = 1; stop('no') }\nprint(x)", ("1:5", "'a'", ""), ("2:7", "'x'", "ends in stop()")),
        ("x = x + 1", ("1:5", "'x'", "only further down")),
        ("x += 1", ("1:1", "'x'", "")),
        ("X[1,1] = 2", ("1:1", "'X'", "")),
        ("X = matrix(0,2,2); y = Z[1,k]", ("1:24", "'Z'", ""), ("1:28", "'k'", "")),
        ("X = matrix(0,2,2); X[i,1] = 3", ("1:22", "'i'", "")),
        ("[X[1,1], a] = eigen(B)", ("1:21", "'B'", ""), ("1:2", "'X'", "")),
        ("while (x < 3) x = x + 1", ("1:8", "'x'", "")),
        ("for (i in 1:n) print(i)", ("1:13", "'n'", "")),
        ("for (i in seq(1,10,k)) print(i)", ("1:20", "'k'", "")),
        ("print(y); print(y); print(y + z)", ("1:7", "'y'", ""), ("1:31", "'z'", "")),
        ("if (TRUE) { a = 1 } else { b = 1 }\nprint(b)", ("2:7", "'b'", "")),
        ("if (x == 1) y = 2 else if (z == 1) y = 3", ("1:5", "'x'", ""), ("1:28", "'z'", "")),
        (
            "y = conv2d(X, W, input_shape=[N,1,1,1], filter_shape=[1,1,1,1], stride=[1,1], padding=[0,0])",
            ("1:12", "'X'", ""),
            ("1:15", "'W'", ""),
            ("1:31", "'N'", ""),
        ),
        ("y = -(!q)", ("1:8", "'q'", "")),
        ("x = sum", ("1:5", "'sum'", "is a function: call it as sum(..)")),
        ("R = matrix(0,3,1)\nparfor (i in 1:3) { q = i; R[i,1] = q }\nprint(q)", ("3:7", "'q'", "does not outlive it")),
    ],
    "other spellings of constants": [
        ("x = T", ("1:5", "'T'", "write TRUE")),
        ("x = false", ("1:5", "'false'", "write FALSE")),
        ("x = PI", ("1:5", "'PI'", "write pi")),
        ("x = INF", ("1:5", "'INF'", "write Inf")),
        ("x = NA", ("1:5", "'NA'", "write NaN")),
        ("x = NULL", ("1:5", "'NULL'", "has no null")),
        ("pi = 3", ("1:1", "'pi' is a constant", "")),
        ("NaN += 3", ("1:1", "'NaN' is a constant", "")),
        ("for (Inf in 1:2) print(1)", ("1:1", "'Inf' is a constant", "")),
    ],
    "parameters of the command line": [
        ("x = $n + 1", ("1:5", "$n is not given", "-nvargs n=...")),
        ("x = $2", ("1:5", "$2 is not given", "-args")),
        ("x = ifdef($n, $m)", ("1:15", "$m is not given", "ifdef($m, ..)")),
        ("f = function(double a = $q) return (double b) { b = a }", ("1:25", "$q is not given", "")),
    ],
    "functions": [
        (
            "f = function(double a) return (double b) { b = a + g }\ng = 3",
            ("1:52", "'g'", "functions do not see the variables of the script"),
        ),
        ("f = function(double a) return (double b) { b = h }", ("1:48", "'h'", "only their parameters")),
        ("f = function(double a) return (double b, double c) { b = a }", ("1:42", "f: the output 'c' is never assigned", "")),
        ("f = function(double a, int a) return (double b) { b = a }", ("1:24", "two parameters are named 'a'", "")),
        ("f = function(double a) return (double b, double b) { b = a }", ("1:42", "two outputs are named 'b'", "")),
        ("f = function(double pi) return (double b) { b = 1 }", ("1:14", "'pi' is a constant", "")),
        (
            "f = function(double a, double b = a + 1) return (double c) { c = a + b }",
            ("1:35", "the default of 'b' cannot use the variable 'a'", ""),
        ),
        ("f = function(double b = sun(2)) return (double c) { c = b }", ("1:25", "no function 'sun'", "did you mean 'sum'?")),
    ],
    "calls of functions": [
        (
            "f = function(double a, double b = 1) return (double c) { c = a + b }\nx = f()",
            ("2:5", "f: 1 argument missing: 'a'", "f(a, b = 1)"),
        ),
        (
            "f = function(double a, double b, double d) return (double c) { c = a }\nx = f(d=1)",
            ("2:5", "2 arguments missing: 'a', 'b'", "f(a, b, d)"),
        ),
        ("f = function(double a) return (double c) { c = a }\nx = f(1, 2)", ("2:10", "2 arguments given, at most 1 expected", "f(a)")),
        ("f = function(double a) return (double c) { c = a }\nx = f(q=1)", ("2:7", "f has no parameter 'q'", "f(a)")),
        (
            "f = function(double alpha) return (double c) { c = alpha }\nx = f(alhpa=1)",
            ("2:7", "no parameter 'alhpa'", "did you mean 'alpha'?"),
        ),
        ("f = function(double a) return (double c) { c = a }\nx = f(1, a=2)", ("2:10", "'a' is given twice", "")),
        ("f = function(double a, double b) return (double c) { c = a }\nx = f(a=2, 1)", ("2:12", "cannot follow a named one", "")),
        (
            "f = function(double a) return (double c) { c = a }\n[x, y] = f(1)",
            ("2:10", "f() gives 1 result, but 2 variables are assigned", "its outputs are c"),
        ),
        ("f = function(double a) { print(a) }\nx = f(1)", ("2:5", "f() gives no value", "call it as a statement")),
        ("f = function(double a) { print(a) }\nx = 1 + f(1)", ("2:9", "f() gives no value", "")),
        ("x = fordward(1)", ("1:5", "no function 'fordward'", "")),
        ("sum = function(double a) return (double c) { c = a }\nx = sum(1, 2)", ("2:12", "at most 1 expected", "")),
        ("x = g(h(1))", ("1:5", "no function 'g'", ""), ("1:7", "no function 'h'", "")),
    ],
    "namespaces": [
        ("x = afine::forward(1, 2, 3)", ("1:5", "no namespace 'afine'", "did you mean 'affine'?")),
        ("x = zzz::forward(1, 2, 3)", ("1:5", "no namespace 'zzz'", 'source("path.dml") as zzz')),
        ("x = affine::forwrd(1, 2, 3)", ("1:5", "'affine' has no function 'forwrd'", "did you mean 'forward'?")),
        ("x = affine::sum(1)", ("1:5", "'affine' has no function 'sum'", "is a builtin")),
        ("x = nothing::qq(1)", ("1:5", "'nothing' has no function 'qq'", "no functions")),
        ("X = affine::forward(1, 2)", ("1:5", "affine::forward: 1 argument missing: 'b'", "affine::forward(X, W, b)")),
        ("X = forward(1, 2, 3)", ("1:5", "no function 'forward'", "did you mean 'affine::forward'?")),
        ("[W, b, c] = affine::init(2, 3)", ("1:13", "gives 2 results, but 3", "its outputs are W, b")),
    ],
    "calls of builtins": [
        ("x = rand(row=3, cols=2)", ("1:10", "rand has no parameter 'row'", "did you mean 'rows'?")),
        ("x = matrix(0, 2)", ("1:5", "matrix: 1 argument missing: 'cols'", "matrix(data, rows, cols, byrow = TRUE)")),
        ("x = matrix(0, 2, 2, TRUE, 5)", ("1:27", "5 arguments given, at most 4 expected", "")),
        ("x = matrix(rows=2, 0, cols=2)", ("1:20", "cannot follow a named one", "")),
        ("x = max()", ("1:5", "arguments missing", "")),
        ("x = eigen(matrix(1,2,2))", ("1:5", "eigen() gives 2 results", "[a, b] = eigen(..)")),
        ("[a, b, c] = eigen(matrix(1,2,2))", ("1:13", "eigen() gives 2 results, but 3", "")),
        ("[a, b] = sum(matrix(1,2,2))", ("1:10", "sum() gives 1 result, but 2", "")),
        ('x = print("a")', ("1:5", "print() gives no value", "")),
        ("x = c(1, 2)", ("1:5", "no function 'c'", "rbind")),
        ("x = nrows(matrix(1,2,2))", ("1:5", "no function 'nrows'", "did you mean 'nrow'?")),
        ("x = exists(1 + 2)", ("1:5", "exists takes a variable", "")),
        ("[a, b] = list(1, 2)", ("1:10", "list() gives 1 result", "")),
        ("x = list(a=1, a=2)", ("1:15", "two elements are named 'a'", "")),
        ("x = list(a=1, 2, b=3)", ("1:15", "some elements have a name", "")),
        ('x = eval("nosuch", 1)', ("1:10", "no function 'nosuch'", "")),
        ("x = table(1, 2, 3, 4, 5)", ("1:23", "at most 4 expected", "")),
    ],
    "conditions and operators": [
        ('if ("a") print(1)', ("1:5", "must be a boolean or a number, not a string", "")),
        ('while ("a") print(1)', ("1:8", "not a string", "")),
        ("if (TRUE && FALSE) print(1)", ("1:5", "no operator &&", "use &")),
        ("x = TRUE || FALSE", ("1:5", "no operator ||", "use |")),
    ],
    "parfor": [
        ("parfor (i in 1:3, chek=0) print(i)", ("1:19", "no option 'chek'", "did you mean 'check'?")),
        ("parfor (i in 1:3, zzzz=0) print(i)", ("1:19", "no option 'zzzz'", "the options are check, par")),
        ("parfor (i in 1:3, par=k) print(i)", ("1:23", "'k'", "")),
        ('parfor (i in 1:3) stop("x")', ("1:19", "stop() is not allowed", "")),
        ("parfor (i in 1:3) { for (j in 1:2) { if (j > 1) assert(TRUE) } }", ("1:49", "assert() is not allowed", "")),
        ("s = 0\nparfor (i in 1:3) s += i", ("2:19", "'s' is a scalar", "R[i,1]")),
        ("s = nrow(matrix(1,2,2)) * 2 + exp(1)\nparfor (i in 1:3) s += i", ("2:19", "'s' is a scalar", "")),
        ("f = function(int s) return (int r) { r = 1; parfor (i in 1:3) s = i }", ("1:63", "'s' exists before the loop", "")),
        (
            "R = matrix(0,3,3)\nparfor (i in 1:3) parfor (j in 1:3) R[i,1] = j",
            ("2:37", "two iterations may write the same cells of 'R'", "'j'"),
        ),
    ],
}


@pytest.mark.parametrize(("text", "expected"), [(case[0], case[1:]) for cases in WRONG.values() for case in cases])
def test_problems(text, expected):
    problems, _ = checked(text)
    assert len(problems.found) == len(expected), shown(problems)
    for problem, (place, message, hint) in zip(problems.found, expected, strict=True):
        assert f"{problem.span.line}:{problem.span.col}" == place
        assert message in problem.message
        assert hint in (problem.hint or "")


RIGHT = [
    "x = NaN + Inf * pi; print(x)",
    "T = 5; F = 2; true = T + F; print(true)",
    "sum = 3; x = sum + sum(matrix(1,2,2)); print(x)",
    "x <- 1; x += 2; print(x)",
    "X = matrix(0, 2, 2); X[1,1] = 3; X[1,] += X[2,]; X[,] = X; X[1] = X[2]; print(sum(X[1:2, 1]))",
    "x = ifdef($n, 3); y = $given; print(x + y)",
    "f = function(double a, double b = 2*3-1, matrix[double] W = matrix(0,0,0)) return (double y) { y = a - b }\nprint(f(1) + f(1, 2) + f(b=2, a=1) + f(1, b=3))",
    "f = function(matrix[double] z) return (matrix[double] z) { z[1,1] = 2 }\nx = f(matrix(0,1,1)); print(sum(x))",
    "f = function(matrix[double] z) return (matrix[double] z) { print(1) }\nx = f(matrix(0,1,1)); print(sum(x))",
    "f = function(int n) return (int r) { if (n <= 1) { r = 1 } else { r = n * f(n-1) } }\nprint(f(3))",
    "f = function(int n) return (int r) { if (n > 1) { r = 1 } else { stop('no') } }\nprint(f(3))",
    "f = function(int n) return (int r) { stop('never') }\nprint(f(3))",
    "f = function() return (int a, int b) { a = 1; b = 2 }\n[x] = f(); [x, y] = f(); z = f(); f(); print(x + y + z)",
    "f = function(double x) { print(x) }\nf(3)",
    "nrow = function(matrix[double] X) return (double n) { n = 1 }\nprint(nrow(matrix(1,2,2)))",
    "stop = function(double x) { print(x) }\nparfor (i in 1:2) stop(i)",
    "print(affine::forward(matrix(1,2,2), W=matrix(1,2,2), b=matrix(1,1,2))); [W, b] = affine::init(2, 3); [W, b] = affine::init(2, 3, seed=7); affine::log('x')",
    "[w, V] = eigen(matrix(1,2,2)); [w] = eigen(V); print(sum(w))",
    "L = list(1, 'two', matrix(3,1,2)); N = list(a=1, b='bee'); E = list(); print(toString(L) + toString(N, decimal=2) + length(E))",
    "L = list(1,2); L[1] = 3; L['a'] = 4; print(as.scalar(L['a']) + as.scalar(L[1:2]))",
    "x = rand(cols=2, rows=3, seed=1, pdf='normal'); y = matrix(0, cols=2, rows=3); z = matrix(x, rows=1, cols=6, byrow=FALSE); print(sum(x + y + z))",
    "x = order(target=matrix(1,2,2), index.return=TRUE, by=1); print(sum(x))",
    "print('%d %s', 3, 'a'); print(max(matrix(1,2,2)) + max(1, 2) + max(1, 2, 3, 4)); x = table(seq(1,2), seq(1,2), 3, 4); print(sum(x))",
    "x = seq(1, 3); y = seq(1, 3, 2); write(x, 'a.csv', format='csv'); z = read('a.csv', format='csv'); print(sum(y + z))",
    "print(exists('zz')); print(exists(zz))",
    "f = function(double a) return (double b) { b = a }\nprint(toString(eval('f', 3))); x = eval('affine::forward', 1, 2, 3); name = 'f'; y = eval(name, 2)",
    "for (i in 1:3) x = i\nprint(x + i)",
    "for (i in 1:0) { if (i > 0) { x = 1 } else { x = 2 } }\nprint(x)",
    "i = 0\nwhile (i < 3) { i = i + 1; if (i == 2) print('two') else print(i) }",
    "if (FALSE) { x = 1 } else if (TRUE) { x = 2 }\nprint(x)",
    "x = 3; if (x > 1) { y = 1 } else if (x > 2) { y = 2 } else { y = 3 }\nprint(y)",
    "x = 3; if (x > 1) { y = 1 } else { stop('bad ' + x) }\nprint(y)",
    "R = matrix(0,3,1)\nparfor (i in 1:3, check=1, par=2, mode=LOCAL, opt=CONSTRAINED, log=DEBUG, resultmerge=LOCAL_MEM, taskpartitioner=STATIC, tasksize=1, profile=0) R[i,1] = i * i\nprint(sum(R) + i)",
    "R = matrix(0,2,2)\nparfor (i in 1:3) { R += matrix(i,2,2) }\nprint(sum(R))",
    "R = matrix(0,2,2); s = 1\nparfor (i in 1:3, check=0) { s = i; R[1,1] = s }\nprint(sum(R) + s)",
    "R = matrix(0,4,4)\nfor (k in 1:2) { parfor (i in 1:4) { parfor (j in 1:4) { v = i * j; R[i,j] = v } } }\nprint(sum(R))",
    "for (k in 1:2) { parfor (i in 1:4) { v = i }; parfor (i in 1:4) { v = i } }",
    "f = function(matrix[double] R) return (matrix[double] R) { parfor (i in 1:nrow(R)) { x = sum(R[i,]); R[i,] = R[i,] / x } }\nR = f(matrix(1,2,2))\nprint(sum(R))",
    "x = conv2d(matrix(1,1,9), matrix(1,1,4), input_shape=[1,1,3,3], filter_shape=[1,1,2,2], stride=[1,1], padding=[1,1]); print(sum(x))",
    "if (!exists('X')) { X = 1 }\nprint(X)",
    "R = matrix(0,3,1); if (exists('X')) { print(X) }\nparfor (i in 1:3) { X = i; R[i,1] = X }\nprint(sum(R))",
    "if (exists(X) & exists('Y')) print(X + Y)\nif (!exists(X) | FALSE) print(1) else print(X)",
    "v = nrow(matrix(1,2,2)) > 1; if (v) x = 1\nprint(1); if (v & v) print(0); if (v) print(x); if (!v) y = 2\nif (!v) print(y)",
    "m = 'a'; if (m == 'a') { x = 1 } else if (m == 'b') { y = 1 } else { y = 2 }\nfor (i in 1:3) { if (m == 'a') print(x) else print(y) }",
    "assert(TRUE); x = !TRUE & FALSE | (1 < 2) == TRUE; print(x)",
    "setwd('a'); x = -2^2 %% 3 %/% 2 %*% 1; print(x)",
]


@pytest.mark.parametrize("text", RIGHT)
def test_nothing_to_say(text):
    problems, findings = checked(text, dollar={"given": 1})
    assert shown(problems) == []
    assert shown(findings.warnings) == []
    assert findings.maybe_unset == set()


def test_inputs_are_defined_and_seen_by_no_function():
    problems, _ = checked("f = function(double a) return (double b) { b = a + X }\ny = f(1) + sum(X)", inputs=["X"])
    assert shown(problems) == ["1:52 the variable 'X' is not defined here"]
    assert "pass 'X' as an argument" in problems.found[0].hint


WARNED = [
    ("x = 1; if (x > 0) y = 2\nprint(y)", ["2:7 'y' is set only on some"]),
    ("x = 1; if (x > 0) { y = 2 } else if (x > 1) { y = 3 }\nprint(y); print(y)", ["2:7 'y'", "2:17"]),
    ("x = 1; while (x < 3) { x = x + 1; y = 1 }\nprint(y)", ["2:7 'y'"]),
    ("for (i in seq(1, 3)) y = i\nprint(y + i)", ["2:7 'y'", "2:11 'i'"]),
    ("for (i in 1:3) { if (i > 1) print(y); y = i }", ["1:35 'y'"]),
    ("x = 1; if (x > 0) Y = matrix(0,2,2)\nY[1,1] = 2; Y += 1", ["2:1 'Y'", "2:13"]),
    ("f = function(int n) return (int r) { if (n > 1) r = 2 }", ["f: the output 'r' is set only on some paths"]),
    ("v = TRUE; if (v) x = 1\nv = TRUE; if (v) print(x)", ["2:24 'x'"]),
    ("v = TRUE; if (v) { x = 1; v = FALSE }\nif (v) print(x)", ["2:14 'x'"]),
    ("v = TRUE; if (v) x = 1\nfor (i in 1:3) { if (v) print(x); v = i > 2 }", ["2:31 'x'"]),
    ("v = TRUE; if (v) x = 1\nif (!v) print(x)", ["2:15 'x'"]),
    ("v = TRUE; if (v) x = 1\nif (v) print(1)\nprint(x)", ["3:7 'x'"]),
    ("sum(matrix(1,2,2))", ["1:1 the result of sum() is not used"]),
    ('print("a", 3)', ["1:1 print shows only its first argument"]),
    ("for (i in 1:3)\n  x = i\n  y = x * 2\nprint(y)", ["3:3 this statement is indented like the body of the loop"]),
    ("x = 1\nif (x > 2)\n  x = 2\n  print(x)", ["4:3 this statement is indented like the body of the if"]),
    ("x = 1\nif (x > 2) { x = 3 }\nelse\n  x = 2\n  print(x)", ["5:3 this statement is indented like the body of the if"]),
]


@pytest.mark.parametrize(("text", "expected"), WARNED)
def test_warnings(text, expected):
    """A use on some path is no problem: it is found at run time, at each of the spans; the first is warned of."""
    problems, findings = checked(text)
    assert shown(problems) == []
    told = shown(findings.warnings)
    assert len(told) == len({re.search(r"'(\w+)'|$", t).group() for t in told}) > 0
    for piece in expected:
        spans = {f"{s.line}:{s.col}" for s in findings.maybe_unset}
        assert any(piece in t for t in told) or piece in spans


def test_calls_into_a_file_that_could_not_be_read_are_not_reported_again():
    assert shown(checked('source("nowhere.dml") as missing\nx = missing::f(1)')[0]) == []


def test_all_files_are_checked_and_their_statements_are_not():
    inner = File(parse("g = function(double a) return (double b) { b = oops }\nprint(alsoOops)", "inner.dml"))
    outer = File(parse("h = function(double a) return (double b) { b = inner::g(a, 2) }", "outer.dml"), {"inner": inner})
    inner.imports["again"] = outer
    problems = Problems()
    check(File(parse("x = y", "main.dml"), {"one": outer, "two": outer}), (), {}, Builtins(), problems)
    assert sorted(f"{p.span} {p.message}" for p in problems.found) == [
        "inner.dml:1:48 the variable 'oops' is not defined here",
        "main.dml:1:5 the variable 'y' is not defined here",
        "outer.dml:1:60 inner::g: 2 arguments given, at most 1 expected",
    ]


SNIPPETS = [
    (f"{path.stem} {name}", body)
    for path in sorted((Path(__file__).parents[1] / "golden").glob("*.dml"))
    for name, body in re.findall(r"^#--- name: (.*)\n((?:(?!#--- name).*\n)*)", path.read_text(encoding="utf-8"), re.M)
]


def test_the_golden_corpus_has_no_problems():
    """Every snippet, against the real operator table; that a function is missing is for the corpus itself to say."""
    assert len(SNIPPETS) > 500
    for name, body in SNIPPETS:
        problems = Problems()
        check(File(parse(body, name)), (), {}, ops, problems)
        assert [str(p) for p in problems.found if not p.message.startswith("there is no function")] == []


# ---------------------------------------------------------------- size
def test_a_long_script_checks_quickly_and_a_long_sum_at_all():
    block = "A{0} = matrix(0, 3, 3)\nB{0} = A{0} %*% t(A{0}) + sum(A{0})\nfor (i in 1:3) {{ B{0}[i,1] = i }}\nif (sum(B{0}) > 1) {{ c{0} = 1 }} else {{ c{0} = 2 }}\nprint(c{0})\n"
    script = File(parse("".join(block.format(k) for k in range(200))))
    problems = Problems()
    start = time.perf_counter()
    check(script, (), {}, Builtins(), problems)
    assert time.perf_counter() - start < 2
    checked_sum, _ = checked("x = 1\ny = " + " + ".join(["x"] * 5000) + " + z")
    assert shown(problems) == []
    assert len(checked_sum.found) == 1


def test_a_long_chain_of_branches():
    arms = "".join(f"if (x == {k}) y = {k} else " for k in range(60))
    problems, findings = checked(f"x = 1\n{arms} y = 0\nprint(y)")
    assert shown(problems) == shown(findings.warnings) == []
