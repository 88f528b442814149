"""Some doubles at once, for Numba: a sum of rows that stays in registers, where LLVM by itself would gather cells or go through memory.

A count of lanes is a power of two; the processor takes them in as many registers as they fill.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import float64, types
from numba.extending import intrinsic, models, register_model

from dmlite.codegen.loops import strips

_CONTRACT = ("contract",)  # a product is added in one instruction


class Lanes(types.Type):
    """The type of `count` doubles."""

    def __init__(self, count: int):
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes):
        super().__init__(manager, kind, ir.VectorType(ir.DoubleType(), kind.count))


@intrinsic(prefer_literal=True)
def zeros(_typing, count):
    """As many zeros, a number that the source has."""
    lanes = Lanes(count.literal_value)

    def generate(context, _builder, _signature, _args):
        return ir.Constant(context.get_value_type(lanes), [0.0] * lanes.count)

    return lanes(count), generate


@intrinsic(prefer_literal=True)
def get(_typing, count, row, start):
    """Cells from row[start:], as many as the source says; nobody checks that `row` has them."""
    lanes = Lanes(count.literal_value)

    def generate(context, builder, signature, args):
        return _load(context, builder, signature.args[1:], args[1:], context.get_value_type(lanes))

    return lanes(count, types.unliteral(row), types.unliteral(start)), generate


@intrinsic
def plus_times(_typing, total, x, row, start):
    """total + x * row[start:], as many cells as `total` has; nobody checks that `row` has them."""

    def generate(context, builder, signature, args):
        total, x, _, _ = args
        zero = ir.Constant(ir.IntType(32), 0)
        undefined = ir.Constant(total.type, ir.Undefined)
        every = ir.Constant(ir.VectorType(ir.IntType(32), total.type.count), [0] * total.type.count)
        factor = builder.shuffle_vector(builder.insert_element(undefined, x, zero), undefined, every)
        cells = _load(context, builder, signature.args[2:], args[2:], total.type)
        return builder.fadd(total, builder.fmul(factor, cells, flags=_CONTRACT), flags=_CONTRACT)

    return total(total, x, row, start), generate


@intrinsic(prefer_literal=True)
def dot(_typing, count, a, i, b, j):
    """The sum of a[k] * b[k] of the cells from i and j on, as many as the source says; nobody checks that `a` and `b` have them."""
    a, i, b, j = map(types.unliteral, (a, i, b, j))

    def generate(context, builder, signature, args):
        _, a, i, b, j = args
        total = None
        for start, lanes in strips(count.literal_value):
            at = a, builder.add(i, i.type(start)), b, builder.add(j, j.type(start))
            product = _product(context, builder, signature.args[1:], at, ir.VectorType(ir.DoubleType(), lanes))
            total = product if total is None else builder.fadd(_folded(builder, total, lanes), product, flags=_CONTRACT)
        return _number(builder, total)

    return float64(count, a, i, b, j), generate


@intrinsic
def put(_typing, total, row, start):
    """Writes all lanes to row[start:]; nobody checks that it has as many cells."""

    def generate(context, builder, signature, args):
        builder.store(args[0], _place(context, builder, signature.args[1:], args[1:], args[0].type), align=8)
        return context.get_dummy_value()

    return types.void(total, row, start), generate


def _place(context, builder, kinds, args, lanes):
    """The address of the cell of an array, or behind a pointer, as that of lanes. kinds, args: of the array and of the place in it."""
    first = context.make_array(kinds[0])(context, builder, args[0]).data if isinstance(kinds[0], types.Array) else args[0]
    return builder.bitcast(builder.gep(first, [args[1]]), lanes.as_pointer())


def _load(context, builder, kinds, args, lanes):
    return builder.load(_place(context, builder, kinds, args, lanes), align=8)


def _product(context, builder, kinds, args, lanes):
    """Lanes of one array times those of another."""
    return builder.fmul(*(_load(context, builder, kinds[k : k + 2], args[k : k + 2], lanes) for k in (0, 2)), flags=_CONTRACT)


def _folded(builder, total, count):
    """The sums of lanes of which `count` are left."""
    while total.type.count > count:
        half = total.type.count // 2
        places = (ir.Constant(ir.VectorType(ir.IntType(32), half), [*range(k, k + half)]) for k in (0, half))
        total = builder.fadd(*(builder.shuffle_vector(total, total, which) for which in places))
    return total


def _number(builder, total):
    return builder.extract_element(_folded(builder, total, 1), ir.IntType(32)(0))
