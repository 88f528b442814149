"""Operators of compiled loops that are no single operators on cells: views, stores, products, aggregates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from dmlite.codegen.small.cells import Cells
from dmlite.codegen.small.memory import Check
from dmlite.codegen.small.scalars import Scalar, index_bound
from dmlite.codegen.small.values import Place, Unsuitable, number
from dmlite.codegen.templates import LOOP_TOTALS
from dmlite.hop.node import LIVE_IN, Hop
from dmlite.hop.ops import BY_NAME

if TYPE_CHECKING:
    from dmlite.codegen.small.block import BlockWriter

UNLIMITED: Final = frozenset({"index", "leftindex", "reshape", "fill", "t", "rbind", "cbind", "as.matrix", "cast_to", "live_in"})
_SMALL_PRODUCT: Final = 4096  # multiplications below which a loop is faster than a call of BLAS
_STARTS: Final = {"plus": 0.0, "plus_product": 0.0, "least": math.inf, "most": -math.inf}
_CHAINS: Final = {"mmchain": "", "mmchain_w": "*", "mmchain_y": "-"}
_MEANS: Final = {"mean": "sum", "colMeans": "colSums"}
_ROWS: Final = {
    "rowSums": ("plus", "{0}"), "rowSumsSq": ("plus", "{0} * {0}"), "rowMeans": ("plus", "{0}"),
    "tak_rows": ("plus", "{0} * {1}"), "rowMaxs": ("most", "{0}"), "rowMins": ("least", "{0}"),
}  # fmt: skip


def write(block: BlockWriter, hop: Hop) -> list[str]:
    """The statements of one operator; its place or number is noted in the block. Raises Unsuitable."""
    if block.constant(hop):
        return []
    writer = _WRITERS.get(hop.op)
    if writer is None and (hop.op in LOOP_TOTALS or hop.op in _MEANS):
        writer = _total
    if writer is None:
        block.number(hop)
        return []
    return writer(block, hop)


def copied(target: Place, source: Place) -> list[str]:
    """Statements that copy all cells, between places that do not overlap."""
    if source == target:
        return []
    if source.number is not None:
        return [f"fill({target.base}, {target.origin}, {target.row}, {target.rows}, {target.cols}, {source.number})"]
    if target.is_plain and source.is_plain:
        return [f"copy({target.base}, {target.origin}, {source.base}, {source.origin}, {target.cells})"]
    args = (
        target.base,
        target.origin,
        target.row,
        target.col,
        source.base,
        source.origin,
        source.row,
        source.col,
        target.rows,
        target.cols,
    )
    return [f"copy_part({', '.join(map(str, args))})"]


# ---------------------------------------------------------------- views
def _turned(block: BlockWriter, hop: Hop) -> list[str]:
    block.settle(hop, block.place(hop.args[0]).turned(), block.owner[hop.args[0]])
    return []


def _same(block: BlockWriter, hop: Hop) -> list[str]:
    x = hop.args[0]
    if block.facts[x].is_matrix:
        block.settle(hop, block.place(x), block.owner[x])
        return []
    if hop.op != "as.matrix":
        return _cast(block, hop)
    block.settle(hop, Place("", 0, "", 1, 1, 0, 0, block.scalar(x).double))
    return []


def _cast(block: BlockWriter, hop: Hop) -> list[str]:
    value, kind = block.scalar(hop.args[0]), block.facts[hop].vtype
    if kind != value.kind and kind != "double":
        raise Unsuitable(f"a {value.kind} as {kind}")
    block.scalars[hop] = Scalar(value.double, "double", math.inf) if kind == "double" else value
    return []


def _reshaped(block: BlockWriter, hop: Hop) -> list[str]:
    x, by_row = block.place(hop.args[0]), hop.args[3]
    rows, cols = block.shape(hop)
    if x.cells != rows * cols or not (by_row.is_literal and by_row.value is True):
        raise Unsuitable("a reshape that changes the order")
    if x.number is not None:
        block.settle(hop, Place("", 0, "", rows, cols, 0, 0, x.number))
    elif x.is_plain:
        block.settle(hop, Place(x.base, x.start, x.shift, rows, cols, cols, 1), block.owner[hop.args[0]])
    else:
        place = block.temporary(hop)
        return copied(Place.whole(place.base, place.start, x.rows, x.cols), x)
    return []


def _filled(block: BlockWriter, hop: Hop) -> list[str]:
    rows, cols = block.shape(hop)
    block.settle(hop, Place("", 0, "", rows, cols, 0, 0, block.scalar(hop.args[0]).double))
    return []


def _index(block: BlockWriter, hop: Hop) -> list[str]:
    checks, place = _part(block, hop, block.place(hop.args[0]), hop.args[1:], block.shape(hop), by_axis=True)
    block.settle(hop, place, block.owner[hop.args[0]])
    return checks


def _part(
    block: BlockWriter, hop: Hop, x: Place, bounds: tuple[Hop, ...], shape: tuple[int, int] | None, *, by_axis: bool
) -> tuple[list[str], Place]:
    """Checks, and the part of x that bounds select; of `shape`, or of what the bounds tell when that is None.

    by_axis: whether an error speaks of the rows or columns rather than of the whole range.
    """
    given = tuple(not (b.is_literal and b.value is None) for b in bounds)
    if x.number is not None:
        raise Unsuitable("a part of equal numbers")
    values = [block.scalar(b) if g else None for b, g in zip(bounds, given, strict=True)]
    lines, parts = [], []
    for axis, size in enumerate((x.rows, x.cols)):
        low, high = values[2 * axis : 2 * axis + 2]
        width = shape[axis] if shape else block.facts.width(*bounds[2 * axis : 2 * axis + 2], size)
        if low is None:
            parts.append(("0", size))
            continue
        if width is None:
            raise Unsuitable("a range of unknown width")
        text, needs_check = _first(low, high, width, size)
        if needs_check:
            stop = low if high is None else high
            where = Check(block.span(hop), BY_NAME[hop.op].dml, (x.rows, x.cols), axis if by_axis else None, given)  # type: ignore[arg-type]
            sent = ", ".join("0" if v is None else v.text for v in values)
            lines.append(f"if {low.text} < 1 or {stop.text} > {size}:")
            lines.append(f"    return failed(n, {block.memory.check(where)}, {sent})")
        parts.append((text, width))
    return lines, x.part(parts[0], parts[1])


def _first(low: Scalar, high: Scalar | None, width: int, size: int) -> tuple[str, bool]:
    """The first selected row or column counted from 0, and whether it must be checked."""
    if isinstance(low.value, (int, float)):
        first = int(low.value // 1)
        if not 1 <= first <= first + width - 1 <= size:
            raise Unsuitable("a range outside of its matrix")
        return str(first - 1), False
    if not index_bound(low) or (high is not None and not index_bound(high)):
        raise Unsuitable("bounds that are no whole numbers")
    return f"({low.text} - 1)", True


def _joined(block: BlockWriter, hop: Hop) -> list[str]:
    target, lines, at = block.target(hop), [], 0
    for part in hop.args:
        p = block.place(part)
        rows, cols = ((str(at), p.rows), ("0", p.cols)) if hop.op == "rbind" else (("0", p.rows), (str(at), p.cols))
        lines += copied(target.part(rows, cols), p)
        at += p.rows if hop.op == "rbind" else p.cols
    return lines


def _cell(block: BlockWriter, hop: Hop) -> list[str]:
    x = block.place(hop.args[0])
    if x.cells != 1:
        raise Unsuitable("as.scalar of several cells")
    name = block.memory.name("s")
    block.scalars[hop] = Scalar(name, "double", math.inf)
    return [f"{name} = {x.number or x.at('0', '0')}"]


# ---------------------------------------------------------------- stores
def _store(block: BlockWriter, hop: Hop) -> list[str]:
    """A store into the memory of the old value where nobody reads that any more, else into a copy."""
    x, value = hop.args[:2]
    source, is_matrix = block.place(x), block.facts[value].is_matrix
    lines: list[str] = []
    written = block.place(value) if is_matrix else None
    if written is not None and block.owner[value] is block.owner[x]:
        copy = block.memory.temporary(written.rows, written.cols)
        lines += copied(copy, written)
        block.temporaries[value] = written = copy
    if _is_last_reader(block, hop, x):
        target = block.settle(hop, source, block.owner[x])
    else:
        target = block.target(hop)
        lines += copied(target, source)
    checks, part = _part(
        block, hop, target, hop.args[2:], None if written is None else (written.rows, written.cols), by_axis=written is not None
    )
    if written is None:
        written = Place("", 0, "", part.rows, part.cols, 0, 0, block.scalar(value).double)
    if part.cells == 1 and written.number is not None:
        return [*lines, *checks, f"{part.at('0', '0')} = {written.number}"]
    return [*lines, *checks, *copied(part, written)]


def _is_last_reader(block: BlockWriter, hop: Hop, x: Hop) -> bool:
    """Whether a store may change the memory of x."""
    owner, place = block.owner[x], block.place(x)
    whole = place.is_plain and not place.shift and place.cells == block.places[owner].cells
    if owner.op == LIVE_IN and not (block.scope.owns(owner.value) and any(n == owner.value and h is not owner for n, h in block.outputs)):
        return False
    return whole and not block.is_kept(owner) and block.readers(owner) == {hop}


# ---------------------------------------------------------------- products
def _matmul(block: BlockWriter, hop: Hop) -> list[str]:
    a, b = (block.place(x) for x in hop.args)
    return _product(block, hop, a.turned() if hop.op == "tmm" else a, b)


def _chain(block: BlockWriter, hop: Hop) -> list[str]:
    """t(X) %*% (X %*% v), with the inner product weighted, or less y."""
    x, v, *more = (block.place(a) for a in hop.args)
    inner = block.memory.temporary(x.rows, v.cols)
    lines = _multiplied(block, inner, x, v)
    if more:
        cells = Cells(x.rows, v.cols, [inner, *more])
        names = [cells.read(p, block.memory.name("p")) for p in (inner, *more)]
        cells.stores.append(f"{cells.cell_of(inner)} = {f' {_CHAINS[hop.op]} '.join(names)}")
        lines += cells.lines()
    lines += _multiplied(block, block.target(hop), x.turned(), inner)
    block.memory.release(inner)
    return lines


def _crossed(block: BlockWriter, hop: Hop) -> list[str]:
    x = block.place(hop.args[0])
    return _product(block, hop, *((x.turned(), x) if hop.op == "tsmm_left" else (x, x.turned())))


def _product(block: BlockWriter, hop: Hop, a: Place, b: Place) -> list[str]:
    return _multiplied(block, block.target(hop), a, b)


def _multiplied(block: BlockWriter, target: Place, a: Place, b: Place) -> list[str]:
    lines: list[str] = []
    is_small = a.rows * a.cols * b.cols < _SMALL_PRODUCT
    factors, copies = [], []
    for x in (a, b):
        if x.number is not None or not (is_small or _for_blas(x)):
            copies.append(block.memory.temporary(x.rows, x.cols))
            lines += copied(copies[-1], x)
            x = copies[-1]
        factors.append(x)
    for copy in copies:
        block.memory.release(copy)
    args: list[object] = [target.base, target.origin, target.cols]
    for x in factors:
        args += [x.base, x.origin, *((x.row, x.col) if is_small else _trans(x))]
    name = "small_product" if is_small else "product"
    return [*lines, f"{name}({', '.join(map(str, [*args, a.rows, b.cols, a.cols]))})"]


def _for_blas(x: Place) -> bool:
    return (
        (x.col == 1 and x.row >= x.cols) or (x.row == 1 and x.col >= x.rows) or (x.cols == 1 and x.row >= 1) or (x.rows == 1 and x.col >= 1)
    )


def _trans(x: Place) -> tuple[int, int]:
    """Distance between rows, or between columns, and whether the latter: BLAS calls that transposed."""
    if x.col == 1 or (x.cols == 1 and x.row != 1):
        return max(x.row, x.cols), 0
    return max(x.col, x.rows), 1


# ---------------------------------------------------------------- aggregates
def _reading(block: BlockWriter, hop: Hop, *, by_row: bool = False) -> tuple[Cells, list[str]]:
    """A loop over the cells of the operands, and their values in it."""
    places = [block.place(a) for a in hop.args]
    rows, cols = places[0].rows, places[0].cols
    if rows * cols > 1 << 16 or any((p.rows, p.cols) != (rows, cols) for p in places):
        raise Unsuitable(f"{hop.op} of operands of several shapes, or many cells")
    cells = Cells(rows, cols, places)
    cells.is_flat = cells.is_flat and not by_row
    return cells, [cells.read(p, block.memory.name("p")) for p in places]


def _total(block: BlockWriter, hop: Hop) -> list[str]:
    join, cell = LOOP_TOTALS[_MEANS.get(hop.op, hop.op)]
    if block.facts[hop].is_matrix:
        return _by_column(block, hop, join, cell)
    cells, values = _reading(block, hop)
    name = block.memory.name("t")
    cells.before.append(f"{name} = {number(_STARTS[join])}")
    cells.cell.append(f"{name} = {join}({name}, {cell.format(*values)})")
    if hop.op in _MEANS:
        cells.after.append(f"{name} = {name} / {float(cells.rows * cells.cols)}")
    block.scalars[hop] = Scalar(name, "double", math.inf)
    return cells.lines()


def _by_column(block: BlockWriter, hop: Hop, join: str, cell: str) -> list[str]:
    cells, values = _reading(block, hop, by_row=True)
    z = block.target(hop)
    at = z.at("0", "c")
    cells.cell.append(f"{at} = {join}({at}, {cell.format(*values)})")
    if hop.op in _MEANS:
        cells.after += [f"for c in range({cells.cols}):", f"    {at} = {at} / {float(cells.rows)}"]
    start = Place("", 0, "", 1, cells.cols, 0, 0, number(_STARTS[join]))
    return [*copied(z, start), *cells.lines()]


def _by_row(block: BlockWriter, hop: Hop) -> list[str]:
    join, cell = _ROWS[hop.op]
    cells, values = _reading(block, hop, by_row=True)
    name, z = block.memory.name("t"), block.target(hop)
    cells.row.append(f"{name} = {number(_STARTS[join])}")
    cells.cell.append(f"{name} = {join}({name}, {cell.format(*values)})")
    cells.after_row.append(f"{z.at('r', '0')} = {name}" + (f" / {float(cells.cols)}" if hop.op == "rowMeans" else ""))
    return cells.lines()


_WRITERS: Final = {
    "t": _turned, "reshape": _reshaped, "fill": _filled, "index": _index, "as.matrix": _same, "cast_to": _same, "as.double": _cast,
    "as.scalar": _cell, "cbind": _joined, "rbind": _joined, "leftindex": _store,
    **dict.fromkeys(_ROWS, _by_row), **dict.fromkeys(_CHAINS, _chain),
    "matmul": _matmul, "tmm": _matmul, "tsmm_left": _crossed, "tsmm_right": _crossed,
}  # fmt: skip
