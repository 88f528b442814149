"""Some doubles at once, for Numba: a sum of rows that stays in registers, where LLVM by itself would gather cells or go through memory.

A count of lanes is a power of two; the processor takes them in as many registers as they fill.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

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
        return builder.load(_place(context, builder, signature, args, context.get_value_type(lanes)), align=8)

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
        cells = builder.load(_place(context, builder, signature, args, total.type), align=8)
        return builder.fadd(total, builder.fmul(factor, cells, flags=_CONTRACT), flags=_CONTRACT)

    return total(total, x, row, start), generate


@intrinsic
def put(_typing, total, row, start):
    """Writes all lanes to row[start:]; nobody checks that it has as many cells."""

    def generate(context, builder, signature, args):
        builder.store(args[0], _place(context, builder, signature, args, args[0].type), align=8)
        return context.get_dummy_value()

    return types.void(total, row, start), generate


def _place(context, builder, signature, args, kind_of_lanes):
    """The address of the cell of an array, or behind a pointer, that the last two operands name, as that of lanes."""
    kind, row, start = signature.args[-2], *args[-2:]
    first = context.make_array(kind)(context, builder, row).data if isinstance(kind, types.Array) else row
    return builder.bitcast(builder.gep(first, [start]), kind_of_lanes.as_pointer())
