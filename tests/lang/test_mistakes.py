from __future__ import annotations

import pytest

from dmlite.errors import DMLSyntaxError
from dmlite.lang.parser import parse

F = "f = function(double x) return (double y) "

# text, line, column, part of the message, part of the hint
MISTAKES = [
    # operators
    ("x = 2**3", 1, 6, "'**' is not an operator", "x^y"),
    ("x := 3", 1, 3, "':=' is not an operator", "="),
    ("x = a === b", 1, 7, "'==='", "'=='"),
    ("x = a <> b", 1, 7, "'<>'", "'!='"),
    ("x = a => b", 1, 7, "'=>'", "'>='"),
    ("x = a =< b", 1, 7, "'=<'", "'<='"),
    ("x = 3 => 2", 1, 7, "'=>'", "'>='"),
    ("x -= 1", 1, 3, "'-='", "x = x - ..."),
    ("x *= 2", 1, 3, "'*='", "x = x * ..."),
    ("i++", 1, 2, "'++'", "i = i + 1"),
    ("i--\nx = 3", 1, 2, "'--'", "i = i - 1"),
    ("// text\nx = 1", 1, 1, "does not start a comment", "#"),
    ("x = 1 // text", 1, 7, "does not start a comment", "#"),
    ("x = a %in% b", 1, 7, "'%in%'", "outer"),
    ("x = a %o% b", 1, 7, "'%o%'", "outer"),
    ("x = a %x% b", 1, 7, "'%x%'", "%*%"),
    ("x = a @ b", 1, 7, "'@'", "%*%"),
    ("x = a ? b : c", 1, 7, "'?'", "ifelse"),
    ("y ~ x", 1, 3, "'~'", "formulas"),
    ("if (a and b) x = 1", 1, 7, "'and'", "'&'"),
    ("if (not a) x = 1", 1, 5, "'not'", "'!'"),
    # assignments
    ("x = y = 3", 1, 7, "has no value", "y = ..."),
    ("x <- y <- 3", 1, 8, "has no value", "y = ..."),
    ("if (x = 3) y = 1", 1, 7, "'=' assigns", "'=='"),
    ("while (a & x = 3) y = 1", 1, 14, "'=' assigns", "'=='"),
    ("if (x<-5) y = 1", 1, 6, "'<-' assigns", "x < -5"),
    ("y = f(x<-5)", 1, 8, "'<-' cannot stand", "x < -5"),
    ("x == 3", 1, 3, "'==' compares", "x = ..."),
    ("$x = 3", 1, 1, "cannot be assigned", "x = $x"),
    ("int x = 3", 1, 1, "without naming its type", "x = ..."),
    ("matrix[double] X = 3", 1, 1, "function headers", "X = ..."),
    ("in = 3", 1, 1, "'in' is a reserved word", "in_"),
    ("x = 3 + double", 1, 9, "found 'double'", ""),
    ("y = double * 2", 1, 5, "'double' is a reserved word", "double_"),
    ("x = double(y)", 1, 5, "a type, not a function", "as.double"),
    ("x = string(y)", 1, 5, "a type, not a function", '"" + x'),
    # indexing and ranges
    ("A[1,][1,1] = 3", 1, 6, "only a variable can be indexed", "a name first"),
    ("x = A[1,][i,j]\ny = 1", 1, 10, "only a variable can be indexed", "a name first"),
    ("x = t(A)[1,1]", 1, 9, "only a variable can be indexed", "a name first"),
    ("x = (A)[1,1]", 1, 8, "only a variable can be indexed", "a name first"),
    ("x = 1:3", 1, 6, "a range from:to", "seq(from, to)"),
    ("print(1:3)", 1, 8, "a range from:to", "seq(from, to)"),
    ("x = X[1:,]", 1, 9, "both ends", "nrow"),
    ("x = X[:2,]", 1, 7, "both ends", "1:b"),
    ("x = X[1,,2]", 1, 9, "a range is missing", "X[rows, columns]"),
    ("[a, b] = x + 1", 1, 10, "only a function call gives several values", "f(...)"),
    ("[a, b] = 3", 1, 10, "only a function call gives several values", "f(...)"),
    ("x = a::b", 1, 5, "'a::b' names a function", "functions only"),
    ("a::b = 3", 1, 1, "'a::b' names a function", "functions only"),
    # calls
    ("f(a b)", 1, 5, "expected ',' or ')' before 'b'", "comma"),
    ("f(a,)", 1, 5, "an argument is missing", "','"),
    ("f(,a)", 1, 3, "an argument is missing", "','"),
    ('print "hi"', 1, 1, "print is a function", "print("),
    # statements of other languages
    ("while (TRUE) {\n  break\n}", 2, 3, "no 'break'", "condition"),
    ("while (a) {\n  if (b) break;\n  x = 1\n}", 2, 10, "no 'break'", "condition"),
    ("for (i in 1:3) { if (a) next; x = 2 }", 1, 25, "no 'next'", "if"),
    (F + "{\n  return(x)\n}", 2, 3, "no 'return'", "assign y"),
    (F + "{\n  y = x\n  return y\n}", 3, 3, "no 'return'", "assign y"),
    ("if (a) { x = 1 } elif (b) { x = 2 }", 1, 18, "no 'elif'", "else if"),
    ("if (a) { x = 1 } elseif (b & f(c)) { x = 2 }", 1, 18, "no 'elseif'", "else if"),
    ("repeat { x = 1 }", 1, 1, "no 'repeat'", "while"),
    ("foreach (x in y) { }", 1, 1, "no 'foreach'", "parfor"),
    ("switch (x) { }", 1, 1, "no 'switch'", "if"),
    ("x = if (a) 1 else 2", 1, 5, "'if' is a statement", "ifelse"),
    ("if (a) { x = 1 }; else { x = 2 }", 1, 19, "belongs to no 'if'", "';'"),
    ("x = 1\nelse y = 2", 2, 1, "belongs to no 'if'", "{ }"),
    ("if (a) else y = 2", 1, 8, "branch before 'else' is missing", "{ }"),
    ("if a > 3 { x = 1 }", 1, 4, "expected '(' after 'if'", "parentheses"),
    ("for i in 1:3 { }", 1, 5, "expected '(' after 'for'", "parentheses"),
    ("for (i = 0; i < 3; i++) { }", 1, 8, "for (i in from:to)", "1:10"),
    ("for (i in X) { }", 1, 11, "a loop runs over from:to", "nrow"),
    ("for (i in seq(3)) { }", 1, 11, "seq(from, to)", ""),
    ('import "x"', 1, 1, "imported with source", "as name"),
    ('source("a.dml")', 1, 16, "needs a name", "as name"),
    ("source(x) as y", 1, 8, "a string in quotes", 'source("'),
    # functions
    ("def f(x) { }", 1, 1, "no 'def'", "f = function"),
    ("def f(x):\n  y = 1", 1, 1, "no 'def'", "f = function"),
    ("function f(x) { }", 1, 1, "assigned to its name", "f = function"),
    ("f = function(x) { }", 1, 14, "the parameter 'x' has no type", "double x"),
    ("f = function(X: matrix) { }", 1, 14, "type stands before the name", "matrix[double] X"),
    ("f = function(matrix X) { }", 1, 14, "'matrix' needs a value type", "matrix[double]"),
    ("f = function(matrix[int] X) { }", 1, 21, "a matrix holds doubles", "matrix[double]"),
    ("f = function(vector[double] X) { }", 1, 14, "'vector' is not a type", "matrix[double]"),
    ("f = function(double a) return (double y = 3) { }", 1, 32, "cannot have a default", "body"),
    ("f = function(double a) return double y { }", 1, 31, "expected '(' after 'return'", "double y"),
    ("if (a) { f = function(double b) { } }", 1, 10, "top level", "line 1"),
    ("f(function(double x) { })", 1, 3, "top level", "by its name"),
    ('f = externalFunction(int a) return (int b) implemented in (classname="x", exectype="mem")', 1, 1, "external (Java)", "Python"),
    # command-line parameters
    ("x = 1 + ifdef($a, 3)", 1, 9, "whole right-hand side", "a name first"),
    ("x = ifdef($a, 3) + 1", 1, 18, "whole right-hand side", "next statement"),
    ("print(ifdef($a, 3))", 1, 7, "whole right-hand side", "a name first"),
    ("x = ifdef(a, 3)", 1, 11, "command-line parameter", "$x"),
    # names, numbers, strings, characters
    ('x = read.csv("a")', 1, 5, "'read.csv' is not a name", 'format="csv"'),
    ("x = as.numeric(y)", 1, 5, "'as.numeric'", "as.double"),
    ("x = as.scalr(y)", 1, 5, "'as.scalr'", "as.scalar"),
    ("a.b = 4", 1, 1, "'a.b' is not a name", "a_b"),
    ("_a = 4", 1, 1, "'_a' is not a name", "letter"),
    ("größe = 4", 1, 3, "'ö'", "a to z"),
    ("x = 5L", 1, 5, "'5L' is not a number", "write 5"),
    ("x = 0x1F", 1, 5, "'0x1F' is not a number", "decimal"),
    ("x = 1_000", 1, 5, "'1_000' is not a number", "1000"),
    ("x = 1.2.3", 1, 5, "'1.2.3' is not a number", ""),
    ("x = 9223372036854775808", 1, 5, "too large", "9223372036854775807"),
    ("x = -9223372036854775809", 1, 6, "too large", "9223372036854775807"),
    ('y = 1\nx = "abc\nz = 3', 2, 5, "string is never closed", '"'),
    ('print("abc)\nprint("x")', 1, 7, "goes on over several lines, up to line 2", "closing quote"),
    (r'x = "a\qb"', 1, 5, r"cannot contain '\q'", "backslash"),
    ("x = 1 /* abc\ny = 2", 1, 7, "comment is never closed", "*/"),
    ("x = “a”", 1, 5, "'“'", '"'),
    ("x = a – b", 1, 7, "'–'", "minus"),
    ("x =\N{NO-BREAK SPACE}1", 1, 4, "not a character", "no-break space"),
    # brackets
    ('print("a"\nx = 3', 2, 1, "expected ')' to close the '(' of line 1", "')'"),
    ("if (a) {\n  x = 1\n", 1, 8, "'{' is never closed", "'}'"),
    ("x = f(1, g(2)", 1, 6, "'(' is never closed", "')'"),
    ("x = [1, 2", 1, 5, "'[' is never closed", "']'"),
    ("x = 1 }", 1, 7, "'}' closes nothing", "'{'"),
    ("print(1))", 1, 9, "')' closes nothing", "'('"),
    ("x = X[1)", 1, 8, "expected ']' to close the '['", ""),
    (F + "{\n  y = x\n\ng = function(double z) { y = 1 }", 4, 1, "top level", "'{' of line 1"),
    # other languages
    ("x = 7 % 2", 1, 7, "'%' is not an operator", "x %% y"),
    ("a = b and c", 1, 7, "'and' is not an operator", "'&'"),
    ("a = TRUE or !c", 1, 10, "'or' is not an operator", "'|'"),
    ("for i in range(10) { x = i }", 1, 5, "expected '(' after 'for'", "for (i in from:to)"),
    ("for (int i = 0; i < 3; i = i + 1) { }", 1, 6, "a loop is written", "for (i in 1:10)"),
    ("A(1, 1) = 3", 1, 9, "a call cannot be assigned to", "X[i, j]"),
    ("x(1) <- 3", 1, 6, "a call cannot be assigned to", "X[i, j]"),
    ("print(1)\nw, V = eigen(A)", 2, 2, "assigned in brackets", "[w, V] = f(...)"),
    ("(w, V) = eigen(A)", 1, 1, "assigned in brackets", "[w, V] = f(...)"),
    ("x = L$a", 1, 6, "'$' does not select", 'L["a"]'),
    ("B = A'", 1, 6, "a quote is not an operator", "t(X)"),
    ("B = A' %*% C'", 1, 6, "a quote is not an operator", "t(X)"),
    ("print(f'{x}')", 1, 8, "a quote is not an operator", "with +"),
    ("x = {1, 2}", 1, 5, "'{' begins a block", "list(a, b)"),
    ("x = [1 2; 3 4]", 1, 8, "separated by commas", "matrix("),
    ("x = [1, 2; 3, 4]", 1, 10, "separated by commas", "matrix("),
    ("x = A[1; 2]", 1, 8, "separated by a comma", "X[rows, columns]"),
    ("if (a) then b = 2", 1, 8, "there is no 'then'", "if (condition)"),
    ("x -> y", 1, 3, "'->' is not an operator", "x = ..."),
    ("3 -> x", 1, 1, "'->' is not an operator", "x = ..."),
    ("x <<- 3", 1, 3, "'<<-' is not an operator", "output"),
    ("B = A.T", 1, 5, "'A.T' is not a name", "t(A)"),
    ("n = A.shape", 1, 5, "'A.shape' is not a name", "nrow(A)"),
    ("s = A.sum()", 1, 5, "'A.sum' is not a name", "sum(..)"),
    # the general form
    ("x = y, 4", 1, 6, "expected a statement, an operator or the end of the text, found ','", ""),
    ("x =", 1, 4, "expected a value, found the end of the text", ""),
    ("x = 3 4", 1, 7, "expected a statement, an operator", "operator missing"),
    ("-3", 1, 1, "expected a statement", "a statement is"),
    ("z w", 1, 3, "'=' or '['", "a statement is"),
    ("x = 3 +\n}", 2, 1, "'}' closes nothing", ""),
    ("x = * 3", 1, 5, "expected a value, found '*'", ""),
    ("x = f(while)", 1, 7, "a loop is a statement", ""),
]


@pytest.mark.parametrize(("text", "line", "col", "message", "hint"), MISTAKES)
def test_mistake(text, line, col, message, hint):
    with pytest.raises(DMLSyntaxError) as caught:
        parse(text, "file.dml")
    problem = caught.value.problems[0]
    assert message in problem.message
    assert (problem.span.line, problem.span.col) == (line, col), str(problem)
    assert hint in (problem.hint or "")
    assert len(caught.value.problems) == 1, str(caught.value)


SEVERAL = [
    ("x = y = 3\nz = 4\nw = = 5\n", [1, 3]),
    ("if (x = 3) {\n  y = 2\n}\nz = 2 ** 3\n", [1, 4]),
    ("while (a) {\n  x = 1:3\n  y = t(A)[1]\n  z = 1\n}\nw := 3\n", [2, 3, 6]),
    ('print("a"\nx = 3\ny = * 4\n', [2, 3]),
    ("f(a,\n  b c,\n  d = 3)\nx = 5L\ny = 2", [2, 4]),
    ("f = function(x) {\n  y = 1\n}\ng = function(double z) return (double y) {\n  return(z)\n}\n", [1, 5]),
    ("x = y = 3; z = = 4; w = 1", [1, 1]),
    ("for (i = 0; i < 3; i++) {\n  x = 1 +\n}\ny = 3 3", [1, 4]),
    ("if (a) {\n  x = )\n}\n", [2]),
    ("if (a {\n  x = 1\n}\nelse {\n y = 2\n}\nz = = 1", [1, 7]),
    ("x = 99999999999999999999\ny = '\\q' z = a ** b", [1, 2, 2]),
    (F + "{\n  if (x > 1) {\n    y = x\n}\n" + F + "{ y = 1 }\n" + F + "{ y = 2 }\nz = = 3\n", [5, 7]),
    ("f = = function(\n  matrix[double] X,\n  double b) {\n  y = 1\n}\nz = 2 ** 3", [1, 6]),
    ("-3\n" + F + "{ y = 1 2 }\nz = = 3", [1, 2, 3]),
    ("x = = 1\n" * 50, list(range(1, 21))),
]


@pytest.mark.parametrize(("text", "lines"), SEVERAL)
def test_several_problems_of_one_file(text, lines):
    with pytest.raises(DMLSyntaxError) as caught:
        parse(text)
    assert [problem.span.line for problem in caught.value.problems] == lines, str(caught.value)


def test_the_whole_message():
    with pytest.raises(DMLSyntaxError) as caught:
        parse("x = 1\ny = t(A)[1, 1]\n", "dir/a.dml")
    assert str(caught.value) == (
        "dir/a.dml:2:9: error: only a variable can be indexed\n"
        "    y = t(A)[1, 1]\n"
        "            ^\n"
        "  hint: give the value a name first, then index the name"
    )
