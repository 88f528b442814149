"""Values as text: the print forms of scalars, `toString` of matrices and lists, and `print("%d", x)` formats.

DML inherited its number texts from Java; a script that compares or parses its own output depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

import numpy as np

from dmlite.errors import DMLRuntimeError
from dmlite.values import DMLList

# Wide enough that no double, at any number of decimals a format may ask for, is ever rounded by the context itself.
_EXACT: Final = Context(prec=5000, rounding=ROUND_HALF_UP, Emax=MAX_EMAX, Emin=MIN_EMIN)


# --- scalars ----------------------------------------------------------------------------------------------------------


def scalar_text(value: Any) -> str:
    """What `print` writes for a scalar: `TRUE`, `12`, `0.1`, `1.0E10`, `NaN`, `Infinity`, or the string itself."""
    kind = value.__class__
    if kind is float:
        return _double_text(value)
    if kind is bool:
        return "TRUE" if value else "FALSE"
    if kind is int or kind is str:
        return str(value)
    if isinstance(value, np.generic):
        return scalar_text(value.item())
    return str(value)


def _double_text(x: float) -> str:
    if 1e-3 <= x < 1e7 or -1e7 < x <= -1e-3 or x == 0.0:
        return repr(x)
    if x != x:
        return "NaN"
    if x in (np.inf, -np.inf):
        return "Infinity" if x > 0 else "-Infinity"
    mantissa, exponent = _scientific(x)
    return f"{mantissa}E{exponent}"


def _scientific(x: float) -> tuple[str, int]:
    """The shortest mantissa that reads back as `x`, with at least one decimal, and the exponent of ten."""
    sign, digits, exponent = Decimal(repr(x)).normalize().as_tuple()
    if len(digits) == 1:
        # The nearest two-digit form: it is d.0 except for the last few subnormals (4.9E-324).
        mantissa, power = f"{x:.1e}".split("e")
        return mantissa, int(power)
    text = "".join(map(str, digits))
    return f"{'-' if sign else ''}{text[0]}.{text[1:]}", int(exponent) + len(digits) - 1


def double_texts(values: np.ndarray) -> list[str]:
    """`scalar_text` of every cell of a 1-D float64 array, fast for ordinary magnitudes."""
    texts = list(map(repr, values.tolist()))
    size = np.abs(values)
    for i in np.flatnonzero(~((size >= 1e-3) & (size < 1e7) | (values == 0.0))).tolist():
        texts[i] = _double_text(float(values[i]))
    return texts


# --- toString ---------------------------------------------------------------------------------------------------------


def to_text(
    value: Any, rows: int = 100, cols: int = 100, decimal: int = 3, sparse: bool = False, sep: str = " ", linesep: str = "\n"
) -> str:
    """`toString(value, ...)` for a scalar (options ignored), a matrix or a list.

    Raises DMLRuntimeError for a value that has no text form and for options out of range.
    """
    if isinstance(value, float | int | str | np.generic):
        return scalar_text(value)
    if isinstance(value, DMLList | tuple):
        return list_text(value, rows, cols, decimal, sparse, sep, linesep)
    if hasattr(value, "shape"):
        return matrix_text(value, rows, cols, decimal, sparse, sep, linesep)
    raise DMLRuntimeError(f"a value of kind {type(value).__name__} has no text form", hint="toString takes a scalar, a matrix or a list")


def matrix_text(
    matrix: Any, rows: int = 100, cols: int = 100, decimal: int = 3, sparse: bool = False, sep: str = " ", linesep: str = "\n"
) -> str:
    """The upper left `rows` x `cols` cells of a dense or CSR matrix with `decimal` digits after the point.

    Every row ends with `linesep`. With `sparse` there is one line `row sep column sep value` for each non-zero instead.
    Rounding is half to even on the exact binary value. Raises DMLRuntimeError when `decimal` is not in 0..340.
    """
    if not 0 <= decimal <= 340:
        raise DMLRuntimeError(f"toString with decimal={decimal}, expected 0 to 340", hint="decimal=3 is the default")
    shown = matrix[: _limit(rows, matrix.shape[0]), : _limit(cols, matrix.shape[1])]
    part = shown if isinstance(shown, np.ndarray) else shown.toarray()
    if sparse:
        at = np.nonzero(part)
        cells = fixed_texts(part[at], decimal)
        return "".join(f"{i}{sep}{j}{sep}{v}{linesep}" for i, j, v in zip((at[0] + 1).tolist(), (at[1] + 1).tolist(), cells, strict=True))
    if part.size == 0:
        return linesep * part.shape[0]
    cells, width = fixed_texts(part.ravel(), decimal), part.shape[1]
    return "".join(sep.join(cells[i : i + width]) + linesep for i in range(0, len(cells), width))


def _limit(asked: int, have: int) -> int:
    return have if asked < 0 else min(asked, have)


def fixed_texts(values: np.ndarray, decimal: int) -> list[str]:
    """Every cell of a 1-D float64 array in fixed point with `decimal` digits, never in scientific notation."""
    if not len(values):
        return []
    values = values + 0.0  # -0.0 is shown without its sign
    texts = ("\n".join([f"%.{decimal}f"] * len(values)) % tuple(values.tolist())).split("\n")
    # Up to fifteen significant digits the C format and the shortest form padded with zeros are the same text.
    with np.errstate(invalid="ignore"):
        odd = ~(np.abs(values) < 10.0 ** (15 - decimal))
    for i in np.flatnonzero(odd).tolist():
        texts[i] = _fixed(float(values[i]), decimal)
    return texts


def _fixed(x: float, decimal: int) -> str:
    if not np.isfinite(x):
        return _double_text(x)
    shortest = Decimal(repr(x))
    if -int(shortest.as_tuple().exponent) <= decimal:
        return f"{shortest:.{decimal}f}"
    return f"{x:.{decimal}f}"


def list_text(
    items: DMLList | Sequence[Any],
    rows: int = 100,
    cols: int = 100,
    decimal: int = 3,
    sparse: bool = False,
    sep: str = " ",
    linesep: str = "\n",
) -> str:
    """`toString` of a list: its elements in brackets, matrices on lines of their own."""
    parts = []
    for item in items:
        text = to_text(item, rows, cols, decimal, sparse, sep, linesep)
        parts.append(f"\nMatrix:\n{text}" if hasattr(item, "shape") else text)
    return f"List containing:\n[{', '.join(parts)}]"


# --- print("format", ...) ---------------------------------------------------------------------------------------------

_SPECIFIER: Final = re.compile(r"%(?:(\d+)\$|(<))?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])?")
_FLAGS: Final = {"d": "-+ 0,(", "x": "-#0", "o": "-#0", "f": "-#+ 0,(", "e": "-#+ 0(", "g": "-+ 0,(", "s": "-", "b": "-", "c": "-"}


def java_format(fmt: str, args: Sequence[Any]) -> str:
    """`print(fmt, args...)`: the conversions %d %x %o %f %e %g %s %b %c %n %% with flags, width, precision and `1$` or `<` index.

    Integers are accepted where doubles are. Raises DMLRuntimeError, naming the format and the argument, for a specifier
    that is malformed, has no argument or does not fit its argument (%d of a double).
    """
    out, end = [], 0
    for text, value in _specifiers(fmt, args):
        out.append(fmt[end : text.start()])
        out.append(_convert(fmt, text, value))
        end = text.end()
    return "".join(out) + fmt[end:]


def _specifiers(fmt: str, args: Sequence[Any]) -> Iterator[tuple[re.Match[str], Any]]:
    """Each specifier with its argument: by index, the previous one (`<`), or the next in line."""
    following, last = 0, -1
    for match in _SPECIFIER.finditer(fmt):
        index, again, _, _, _, conversion = match.groups()
        if conversion is None:
            raise _bad(fmt, match[0], "is incomplete", "write %% for a percent sign")
        if conversion in "n%":
            yield match, None
            continue
        if index is not None:
            last = int(index) - 1
        elif not again:
            last, following = following, following + 1
        if not 0 <= last < len(args):
            raise _bad(fmt, match[0], f"has no argument: {len(args)} given", None)
        yield match, args[last]


def _bad(fmt: str, specifier: str, what: str, hint: str | None) -> DMLRuntimeError:
    return DMLRuntimeError(f"'{specifier}' in the format {fmt!r} {what}", hint=hint)


def _convert(fmt: str, match: re.Match[str], value: Any) -> str:
    """The text of one specifier, padded to its width."""
    flags, digits, conversion = match[3], match[5], match[6]
    width = int(match[4] or 0)
    kind, precision = conversion.lower(), None if digits is None else int(digits)
    if kind == "n" or conversion == "%":
        if digits is not None or (kind == "n" and (flags or width)):
            raise _bad(fmt, match[0], "takes no width or precision", None)
        return "\n" if kind == "n" else f"{'%':{'<' if '-' in flags else '>'}{max(width, 1)}}"
    _check(fmt, match[0], conversion, flags, width, precision)
    text = _TEXTS[kind](value, flags, precision, kind)
    if text is None:
        raise _bad(fmt, match[0], f"does not fit the argument {scalar_text(value)} ({_kind(value)})", _FIT_HINTS.get(kind))
    if "0" in flags and text[-1] not in "yN":  # Infinity and NaN are padded with blanks
        head = re.match(r"[-+ (]*(?:0x)?", text)[0]  # type: ignore[index]
        text = head + text[len(head) :].rjust(width - len(head), "0")
    text = text.ljust(width) if "-" in flags else text.rjust(width)
    return text.upper() if conversion.isupper() else text


def _check(fmt: str, specifier: str, conversion: str, flags: str, width: int, precision: int | None) -> None:
    kind = conversion.lower()
    if kind not in _FLAGS or conversion in "DOFC":
        raise _bad(fmt, specifier, "is not a known conversion", "use %d %f %e %g %s %b %x %o %c %n or %%")
    for flag in flags:
        if flag not in _FLAGS[kind]:
            raise _bad(fmt, specifier, f"may not have the flag '{flag}'", None)
        if flags.count(flag) > 1:
            raise _bad(fmt, specifier, f"has the flag '{flag}' twice", None)
    if {"-", "0"} <= set(flags) or {"+", " "} <= set(flags):
        raise _bad(fmt, specifier, "has flags that exclude each other", None)
    if ("-" in flags or "0" in flags) and not width:
        raise _bad(fmt, specifier, "has a padding flag but no width", "write the width after the flag, as in %-8s")
    if precision is not None and kind in "dxoc":
        raise _bad(fmt, specifier, "may not have a precision", None)
    if width > 10_000 or (precision or 0) > 1_000:
        raise _bad(fmt, specifier, "is wider than 10000 characters or more precise than 1000 digits", None)


_FIT_HINTS: Final = {
    "d": "%d takes integers; use %f or %s for doubles",
    "x": "%x takes integers",
    "o": "%o takes integers",
    "f": "%f takes numbers; use %s for anything else",
    "e": "%e takes numbers; use %s for anything else",
    "g": "%g takes numbers; use %s for anything else",
    "c": "%c takes a character code or a string of one character",
}


def _kind(value: Any) -> str:
    return {bool: "boolean", int: "int", float: "double", str: "string"}.get(type(value), type(value).__name__)


def _format_string(value: Any, flags: str, precision: int | None, kind: str) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = "true" if kind == "b" else to_text(value)
    return text[:precision]


def _format_char(value: Any, flags: str, precision: int | None, kind: str) -> str | None:
    if isinstance(value, str):
        return value if len(value) == 1 else None
    return chr(value) if type(value) is int and 0 <= value <= 0x10FFFF else None


def _format_int(value: Any, flags: str, precision: int | None, kind: str) -> str | None:
    if type(value) is not int:
        return None
    if kind == "d":
        return _signed(f"{abs(value):,}" if "," in flags else str(abs(value)), value < 0, flags)
    prefix = {"x": "0x", "o": "0"}[kind] if "#" in flags else ""
    return prefix + format(value & 0xFFFF_FFFF_FFFF_FFFF, kind)


def _format_double(value: Any, flags: str, precision: int | None, kind: str) -> str | None:
    if not isinstance(value, float | int) or isinstance(value, bool):
        return None
    x = float(value)
    if x != x:
        return "NaN"
    negative = np.signbit(x)
    if np.isinf(x):
        return _signed("Infinity", bool(negative), flags)
    digits = 6 if precision is None else precision
    size = Decimal(abs(value) if type(value) is int else _double_text(abs(x)))
    if kind == "g":
        kind, digits, size = _general(size, digits or 1)
    text = _power(size, digits) if kind == "e" else _rounded(size, digits, "," in flags)
    if "#" in flags and digits == 0:
        text += "."
    return _signed(text, bool(negative), flags)


def _general(size: Decimal, digits: int) -> tuple[str, int, Decimal]:
    """How %g shows a number: fixed point from 1e-4 up to 10^digits, after rounding to `digits` significant ones."""
    if not size:
        return "f", digits - 1, size
    size = size.quantize(Decimal(1).scaleb(size.adjusted() - digits + 1), context=_EXACT)
    if Decimal("0.0001") <= size < Decimal(10) ** digits:
        return "f", digits - 1 - size.adjusted(), size
    return "e", digits - 1, size


def _rounded(size: Decimal, digits: int, grouped: bool) -> str:
    """Fixed point, ties away from zero on the shortest decimal form."""
    return format(size.quantize(Decimal(1).scaleb(-max(digits, 0)), context=_EXACT), ",f" if grouped else "f")


def _power(size: Decimal, digits: int) -> str:
    exponent = size.adjusted() if size else 0
    mantissa = size.scaleb(-exponent, context=_EXACT).quantize(Decimal(1).scaleb(-digits), context=_EXACT)
    if mantissa >= 10:
        mantissa, exponent = (mantissa / 10).quantize(Decimal(1).scaleb(-digits), context=_EXACT), exponent + 1
    return f"{mantissa:f}e{exponent:+03d}"


def _signed(text: str, negative: bool, flags: str) -> str:
    if negative:
        return f"({text})" if "(" in flags else f"-{text}"
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text


_TEXTS: Final = {
    "d": _format_int,
    "x": _format_int,
    "o": _format_int,
    "f": _format_double,
    "e": _format_double,
    "g": _format_double,
    "s": _format_string,
    "b": _format_string,
    "c": _format_char,
}
