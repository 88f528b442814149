"""Well-known mistakes: what people write in place of DML, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A known mistake: `pattern` is searched in the window, `within` in the innermost open bracket and its word.

    In the window tokens are a blank apart and `@` precedes the one that does not fit. The report is about that token, or
    about the group `at`. `expects` is a kind that must have been possible. Both texts may use groups of the pattern.
    """

    pattern: str
    message: str
    hint: str
    within: str = ""
    expects: str = ""


NAME = r"(?!TRUE|FALSE)[A-Za-z][A-Za-z0-9_]*"
TYPE = r"(?:[Ii]nt(?:eger)?|[Ss]tring|[Bb]oolean|[Dd]ouble|[Uu]nknown)"
NOT_A_VALUE = "an assignment is a statement of its own and has no value"
NOT_THERE = "there is no '\\1' in DML"
SEVERAL = "several variables are assigned in brackets"
STATEMENTS = "statements are if, while, for, parfor, assignments and calls"
WHOLE_IFDEF = "ifdef(...) must be the whole right-hand side of an assignment"
MISTAKES = (
    # operators of other languages
    Mistake(r"(?P<at>\*) @\*", "'**' is not an operator", "a power is written x^y"),
    Mistake(r"@: =", "':=' is not an operator", "assign with '='"),
    Mistake(r"(?P<at>==|!=) @=", "'===' and '!==' are not operators", "compare with '==' or '!='"),
    Mistake(r"(?P<at>=) @([<>])", "'=\\2' is not an operator", "write '\\2='"),
    Mistake(r"@= ([<>])", "'=\\1' is not an operator", "write '\\1='"),
    Mistake(r"(?P<at><) @>", "'<>' is not an operator", "write '!='"),
    Mistake(rf"({NAME}) @([-*/]) =", "'\\2=' is not an operator; only '+=' is", "write \\1 = \\1 \\2 ..."),
    Mistake(rf"({NAME}) @([-+]) \2", "'\\2\\2' is not an operator", "write \\1 = \\1 \\2 1"),
    Mistake(r"(?P<at>/) @/", "'//' does not start a comment", "comments are '# ...' or '/* ... */'"),
    Mistake(r"@/ /", "'//' does not start a comment", "comments are '# ...' or '/* ... */'"),
    Mistake(r"@%in%", "'%in%' is not an operator of DML", 'for rows of x in y: rowMaxs(outer(x, t(y), "=="))'),
    Mistake(r"@%o%", "'%o%' is not an operator of DML", 'the outer product is x %*% t(y), or outer(x, y, "*")'),
    Mistake(r"@(%[A-Za-z]+%)", "'\\1' is not an operator of DML", "operators in percent signs are %*%, %% and %/%"),
    Mistake(r"@\?", "'?' is not an operator", "choose with ifelse(condition, a, b)"),
    Mistake(r"@%(?! [*/%])", "'%' is not an operator", "the remainder is x %% y, the whole quotient x %/% y, the matrix product x %*% y"),
    Mistake(r"@(and|or|not)\b", "'\\1' is not an operator", "write '&' for and, '|' for or, '!' for not"),
    Mistake(r"\b(?P<at>not) @", "'not' is not an operator", "write '!'"),
    Mistake(r"(?P<at>\b(and|or)) @(?:\w|\(|!|-)", "'\\2' is not an operator", "write '&' for and, '|' for or"),
    Mistake(r"@- > ", "'->' is not an operator", "write the name first: x = ..."),
    Mistake(rf"@[\w.\"]+ - > ({NAME})", "'->' is not an operator", "write \\1 = ..."),
    Mistake(r"@< <-", "'<<-' is not an operator", "a function changes no variable of its caller; return the value as an output"),
    Mistake(rf"({NAME}) @\$(\w+)", "'$' does not select", 'an element of a list is as.scalar(\\1["\\2"]) or as.matrix(\\1["\\2"])'),
    # assignments where a value is wanted
    Mistake(r"@=", "'=' assigns, it does not compare", "write '=='", within=r"(if|while) \("),
    Mistake(r"@<-", "'<-' assigns, even without blanks around it", "write x < -5 to compare", within=r"(if|while) \("),
    Mistake(
        r"@<-", "'<-' cannot stand inside an expression", "write x < -5 to compare, or name=value for a named argument", within=r"[(\[]"
    ),
    Mistake(rf"(?:par)?for \( {NAME} @", "a loop is written for (i in from:to)", "for example for (i in 1:10)"),
    Mistake(rf"\b(?:par)?for \( @{TYPE}\b", "a loop is written for (i in from:to)", "for example for (i in 1:10)"),
    Mistake(r"\w \( [^()]* \) @(?:=|<-)(?!=)", "a call cannot be assigned to", "cells are chosen by brackets: X[i, j] = ..."),
    Mistake(rf"(?<!= )(?<!<- )\b({NAME}) @, ({NAME}) (?:=|<-)(?!=)", SEVERAL, "write [\\1, \\2] = f(...)"),
    Mistake(rf"@\( ({NAME}) , ({NAME})", SEVERAL, "write [\\1, \\2] = f(...)"),
    Mistake(r"(?:=|<-|\(|,) @\{", "'{' begins a block, not a value", 'a list is list(a, b), a matrix matrix("1 2 3 4", rows=2, cols=2)'),
    Mistake(
        r"@(?:;|\d)", "values in brackets are separated by commas", 'a matrix is matrix("1 2 3 4", rows=2, cols=2)', within=r"(=|<-|\() \["
    ),
    Mistake(r"@;", "the parts of an index are separated by a comma", "an index is X[rows, columns]", within=r"\["),
    Mistake(rf"({NAME}) @==", "'==' compares, which is no statement", "write \\1 = ... to assign"),
    Mistake(rf"(?:=|<-) ({NAME}) @(?:=|<-)", NOT_A_VALUE, "write two statements: first \\1 = ..., then use \\1"),
    Mistake(r"@(?:=|<-|\+=)", NOT_A_VALUE, "assign first, on a line of its own, then use the name", within=r"\("),
    Mistake(
        rf"(?P<at>{NAME}) @:", "the type stands before the name", "write matrix[double] \\1 or double \\1", within=r"(function|return) \("
    ),
    # ranges and brackets
    Mistake(r", @[,\]]", "a range is missing between the commas of an index", "an index is X[rows, columns]", within=r"\["),
    Mistake(r": @[,\]]", "a range needs both ends", "write X[a:nrow(X), ] for all that follow", within=r"\["),
    Mistake(r"@:", "a range needs both ends", "write X[1:b, ] for all up to b", within=r"\["),
    Mistake(r"@:", "a range from:to can only stand in a for header or in [ ]", "a column of numbers is seq(from, to)"),
    Mistake(r"[,(] @[,)]", "an argument is missing", "remove the ',' or write the argument", within=r"\("),
    Mistake(r"@,", "a matrix has two dimensions", "an index is X[rows, columns]", within=r"\w \["),
    # statements of other languages
    Mistake(r"\b(?P<at>break) @", "there is no 'break'", "leave a loop by its condition: while (go & i <= n) { ... go = FALSE ... }"),
    Mistake(r"\b(?P<at>next|continue) @", "there is no '\\1'", "put the rest of the loop body into an if"),
    Mistake(r"@return", "there is no 'return' statement", "declare outputs, f = function(...) return (double y) { ... }, and assign y"),
    Mistake(r"\b(?P<at>repeat) @", "there is no 'repeat'", "write while (TRUE) { ... }, or better a condition"),
    Mistake(r"\b(?P<at>elif|elsif|elseif) \([^{};]*\) @\{", "there is no '\\1'", "write else if (...)"),
    Mistake(r"\) (?P<at>then|do) @", NOT_THERE, "write if (condition) { ... } else { ... }, or while (condition) { ... }"),
    Mistake(r"\b(?P<at>foreach|unless|until|switch|with) \([^{};]* @", NOT_THERE, STATEMENTS),
    Mistake(r"\b(?P<at>switch|case|do|foreach|try|class|lambda|global|var|let|const) @", NOT_THERE, STATEMENTS),
    Mistake(rf"@({TYPE}) ({NAME}) =", "a variable is assigned without naming its type", "write \\2 = ..."),
    Mistake(rf"(?P<at>matrix|frame|list) \[ @{TYPE}\b", "types stand in function headers only", "write X = ..."),
    Mistake(rf"\b(?P<at>def) @({NAME})", "there is no 'def'", "write \\2 = function(double x) return (double y) { y = ... }"),
    Mistake(rf"@function ({NAME})", "a function is assigned to its name", "write \\1 = function(double x) return (double y) { y = ... }"),
    Mistake(
        r"@function",
        "functions are defined at the top level of a file only, and are not values",
        "move the definition out, and call it by its name",
    ),
    Mistake(r"\b(?P<at>import|from|library|require|include) @", "files are imported with source", 'write source("path/file.dml") as name'),
    Mistake(r'source \( "" \) @', "the imported file needs a name", 'write source("path/file.dml") as name'),
    Mistake(r"@if\b", "'if' is a statement and has no value", "write ifelse(condition, a, b), or assign inside the branches"),
    Mistake(r"@(?:for|while|parfor)\b", "a loop is a statement and has no value", "assign inside the loop body", within=r"[(\[]"),
    Mistake(r"; @else", "this 'else' belongs to no 'if'", "remove the ';' before 'else'"),
    Mistake(r"@else", "the branch before 'else' is missing", "write { } for an empty one", expects="LBRACE"),
    Mistake(r"@else", "this 'else' belongs to no 'if'", "use { } around a branch of several statements"),
    Mistake(r"\b(?P<at>print) @", "print is a function", 'write print("text")'),
    Mistake(r"\b(if|while) @", "expected '(' after '\\1'", "its header stands in parentheses: \\1 (condition) { ... }"),
    Mistake(r"\b(for|parfor) @", "expected '(' after '\\1'", "its header stands in parentheses: \\1 (i in from:to) { ... }"),
    Mistake(r"\) return @", "expected '(' after 'return'", "outputs are declared as return (double y, matrix[double] Z)", expects="LPAR"),
    Mistake(r"\b(source|setwd) \( @", "'\\1' takes a string in quotes", 'for example \\1("folder/name")'),
    # parameters
    Mistake(
        r"ifdef \( .* \) @[-+*/^%&|<>=!]",
        WHOLE_IFDEF,
        "compute with its result in the next statement",
    ),
    Mistake(r"@ifdef", WHOLE_IFDEF, "give it a name first: p = ifdef($p, 1), then use p"),
    Mistake(r"ifdef \( @", "ifdef asks for a command-line parameter", "write x = ifdef($x, default)"),
    Mistake(r"@(\$\w+) (?:=|<-)", "a command-line parameter cannot be assigned", "copy it first: x = \\1"),
    Mistake(
        rf"(?P<at>{NAME}) @[,)=]",
        "the parameter '\\1' has no type",
        "write matrix[double] \\1, double \\1, int \\1, boolean \\1 or string \\1",
        within=r"(function|return) \(",
    ),
)

CHARACTERS = {
    "\N{NO-BREAK SPACE}": "a no-break space, which looks like a blank; replace it by one",
    **dict.fromkeys("“”„«»", 'typographic quotes; write "'),
    **dict.fromkeys("‘’‚`´", "a typographic quote; write '"),
    **dict.fromkeys("–—−", "a dash; write the minus sign -"),
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "×": "write * or %*%",
    "·": "write * or %*%",
    "÷": "write /",
    "~": "DML has no formulas",
    "@": "the matrix product is %*%",
    "\\": "a backslash only stands inside strings; newlines need none",
}
ATTRIBUTES = {"T": "write t({})", "shape": "write nrow({0}) and ncol({0})", "size": "write length({})"}
DOTTED_HINTS = {
    "read.csv": 'use read("file.csv", format="csv")',
    "write.csv": 'use write(X, "file.csv", format="csv")',
    "read.table": 'use read("file", format="text")',
    "write.table": 'use write(X, "file", format="text")',
    "as.numeric": "use as.double",
    "as.float": "use as.double",
    "as.int": "use as.integer",
    "as.bool": "use as.logical",
    "as.vector": "use matrix(X, rows=length(X), cols=1)",
    "as.character": 'use "" + x',
    "is.null": "there are no null values; use exists(x)",
    "which.max": "use rowIndexMax",
    "which.min": "use rowIndexMin",
    "data.frame": "use as.frame",
}
