"""Kernels: random matrices and samples, the same for a seed on every backend and for every chunking.

A matrix is cut into logical blocks that depend on its shape alone. Each block has its own Philox stream: the key is the seed, the
counter starts at (0, 0, block row, block column). Any block can therefore be drawn alone, in any order, by `rand_block`.
"""

from __future__ import annotations

import builtins
import random as _python_random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from dmlite.backends.local.casts import describe, dimension, number
from dmlite.backends.local.storage import Matrix, index_type, settle
from dmlite.errors import DMLRuntimeError
from dmlite.hop.storage import SMALL, SPARSE_DRAW
from dmlite.memory import reserve

_SIDE: Final = 1024
_CELLS: Final = _SIDE**2
_STRIP_CELLS: Final = 1 << 16  # numbers drawn at a time, so that scaling and copying them stays within the caches

_Block: TypeAlias = tuple[int, int, slice, slice]  # block row and column, and the rows and columns it takes

_seeds = _python_random.Random()


def set_global_seed(seed: int | None) -> None:
    """Fix the seeds that `rand` and `sample` draw for themselves; None makes them unpredictable again."""
    _seeds.seed(seed)


def fresh_seed() -> int:
    """A seed for one execution of a draw without a seed."""
    return _seeds.getrandbits(63)


# ---------------------------------------------------------------- streams
class _Stream(threading.local):
    """One generator per thread that is set to the start of the wanted stream, ten times cheaper than a new one."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(key=0)
        self.generator = np.random.Generator(self.bits)
        self.start: Any = self.bits.state


_stream = _Stream()


def _generator(seed: int, block_row: int = 0, block_col: int = 0) -> np.random.Generator:
    """The generator of a block; it is this thread's only one, so use it up before asking for the next."""
    state = _stream.start
    words = state["state"]
    words["key"][0] = seed % 2**64
    words["counter"][2:] = (block_row, block_col)
    _stream.bits.state = state
    return _stream.generator


# ---------------------------------------------------------------- one matrix to draw
@dataclass(frozen=True)
class Draw:
    """A checked call of `rand`."""

    rows: int
    cols: int
    low: float
    high: float
    sparsity: float
    seed: int
    pdf: str
    rate: float

    @property
    def is_dense(self) -> bool:
        """Whether the matrix is an array."""
        return not self.by_positions or self.rows * self.cols < SMALL or self.cols == 1

    @property
    def by_positions(self) -> bool:
        """Whether only the non-zeros are drawn; a matter of the sparsity alone, so that storage never changes the numbers."""
        return self.sparsity < SPARSE_DRAW


def _uniform(generator: np.random.Generator, out: np.ndarray, draw: Draw) -> None:
    generator.random(out=out)
    if draw.high - draw.low != 1.0:
        out *= draw.high - draw.low
    if draw.low != 0.0:
        out += draw.low


def _normal(generator: np.random.Generator, out: np.ndarray, _draw: Draw) -> None:
    generator.standard_normal(out=out)


def _poisson(generator: np.random.Generator, out: np.ndarray, draw: Draw) -> None:
    out[...] = generator.poisson(draw.rate, out.shape)


_PDFS: Final[dict[str, Callable[[np.random.Generator, np.ndarray, Draw], None]]] = {
    "uniform": _uniform,
    "normal": _normal,
    "poisson": _poisson,
}


def checked(rows: Any, cols: Any, low: Any, high: Any, sparsity: Any, seed: Any, pdf: Any, rate: Any) -> Draw:
    """Raises DMLRuntimeError for what cannot be drawn."""
    n, m = dimension(rows, "rows of rand"), dimension(cols, "cols of rand")
    low, high = float(number(low, "min of rand")), float(number(high, "max of rand"))
    if not (low <= high and high - low < np.inf):
        raise DMLRuntimeError(
            f"rand with min={describe(low)} and max={describe(high)}", hint="min may not be above max, and both must be finite"
        )
    if not 0 <= number(sparsity, "sparsity of rand") <= 1:
        raise DMLRuntimeError(f"sparsity of rand is {describe(sparsity)}, expected a share of non-zeros between 0 and 1")
    if pdf not in _PDFS:
        raise DMLRuntimeError(f"pdf of rand is {describe(pdf)}", hint=f"known are {', '.join(_PDFS)}")
    if not 0 <= number(rate, "lambda of rand") <= 1e18:
        raise DMLRuntimeError(f"lambda of rand is {describe(rate)}, expected a number of at least 0")
    return Draw(n, m, low, high, float(sparsity), _seed(seed), pdf, float(rate))


def _seed(seed: Any) -> int:
    value = number(seed, "seed")
    if value != value or value in (np.inf, -np.inf):
        raise DMLRuntimeError(f"seed is {describe(seed)}, expected a whole number")
    return fresh_seed() if value == -1 else int(value)


# ---------------------------------------------------------------- blocks
def block_shape(rows: int, cols: int) -> tuple[int, int]:
    """Rows and columns of the logical blocks: about 1024 x 1024, stretched along one side where the matrix is thin."""
    width = min(cols, _CELLS // max(1, min(rows, _SIDE)))
    return min(rows, _CELLS // max(1, width)), width


def _blocks(draw: Draw) -> Iterator[_Block]:
    height, width = block_shape(draw.rows, draw.cols)
    if not height or not width:
        return
    for i, top in enumerate(range(0, draw.rows, height)):
        for j, left in enumerate(range(0, draw.cols, width)):
            yield i, j, slice(top, min(top + height, draw.rows)), slice(left, min(left + width, draw.cols))


def _draw_dense(draw: Draw, i: int, j: int, out: np.ndarray) -> None:
    """Fill a block, strip by strip; the numbers come before the mask in its stream."""
    generator, put = _generator(draw.seed, i, j), _PDFS[draw.pdf]
    height, width = out.shape
    step = max(1, _STRIP_CELLS // width)
    strips = [out[top : top + step] for top in range(0, height, step)]
    buffer = None if out.flags.c_contiguous else np.empty((min(step, height), width))
    for strip in strips:
        if buffer is None:
            put(generator, strip, draw)
        else:
            put(generator, buffer[: len(strip)], draw)
            strip[:] = buffer[: len(strip)]
    if draw.sparsity < 1.0:
        for strip in strips:
            strip[generator.random(strip.shape) >= draw.sparsity] = 0.0


def _draw_positions(draw: Draw, i: int, j: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted row-major positions of the non-zeros of a block, and their values.

    The gaps between cells that are kept with a fixed probability are geometric, so the work is that of the non-zeros.
    """
    if draw.sparsity == 0.0:
        return np.empty(0, np.int64), np.empty(0)
    generator, expected = _generator(draw.seed, i, j), cells * draw.sparsity
    places = np.array([-1])
    many = int(expected + 6 * expected**0.5) + 16
    while places[-1] < cells:
        gaps = np.minimum(generator.geometric(draw.sparsity, many), cells + 1)
        places = np.concatenate((places, places[-1] + np.cumsum(gaps)))
    places = places[1 : np.searchsorted(places, cells)]
    values = np.empty(len(places))
    _PDFS[draw.pdf](generator, values, draw)
    return places, values


def _assemble(draw: Draw, blocks: Iterable[_Block], shape: tuple[int, int]) -> Matrix:
    """Draw `blocks` into a matrix of `shape`: CSR when the whole matrix, of which this may be a part, is large and sparse."""
    if not draw.is_dense:
        reserve(shape[0] + int(2 * shape[0] * shape[1] * draw.sparsity), 1, f"a sparse {shape[0]}x{shape[1]} random matrix")
        return _assemble_csr(draw, blocks, shape)
    reserve(*shape, "a random matrix")
    out = np.empty(shape)
    for i, j, rows, cols in blocks:
        block = out[rows, cols]
        if draw.by_positions:
            places, values = _draw_positions(draw, i, j, block.size)
            block[...] = 0.0
            block[np.divmod(places, block.shape[1])] = values
        else:
            _draw_dense(draw, i, j, block)
    return out


def _assemble_csr(draw: Draw, blocks: Iterable[_Block], shape: tuple[int, int]) -> Matrix:
    from scipy.sparse import coo_array

    at_row, at_col, values = [], [], []
    for i, j, rows, cols in blocks:
        height, width = rows.stop - rows.start, cols.stop - cols.start
        places, block = _draw_positions(draw, i, j, height * width)
        row, col = np.divmod(places, width)
        at_row.append((row + rows.start).astype(index_type(*shape)))
        at_col.append((col + cols.start).astype(index_type(*shape)))
        values.append(block)
    coords = (np.concatenate(at_row), np.concatenate(at_col))
    return settle(coo_array((np.concatenate(values), coords), shape=shape).tocsr())


# ---------------------------------------------------------------- kernels
def rand(rows: Any, cols: Any, min: Any, max: Any, sparsity: Any, seed: Any, pdf: Any, rate: Any) -> Matrix:
    """A rows x cols matrix of random numbers; `sparsity` is the expected share of non-zeros.

    Raises DMLRuntimeError for sizes, bounds, sparsities and distributions that do not exist, and when it cannot fit into memory.
    """
    draw = checked(rows, cols, min, max, sparsity, seed, pdf, rate)
    return _assemble(draw, _blocks(draw), (draw.rows, draw.cols))


def rand_block(
    block_row: int, block_col: int, rows: Any, cols: Any, min: Any, max: Any, sparsity: Any, seed: Any, pdf: Any, rate: Any
) -> Matrix:
    """The logical block (counted from 0) of the matrix that `rand` draws with the same arguments.

    Blocks have the shape `block_shape(rows, cols)`, less at the ends. The seed must be drawn before (`fresh_seed`), once for all.
    """
    draw = checked(rows, cols, min, max, sparsity, seed, pdf, rate)
    height, width = block_shape(draw.rows, draw.cols)
    shape = (builtins.min(height, draw.rows - block_row * height), builtins.min(width, draw.cols - block_col * width))
    return _assemble(draw, [(block_row, block_col, slice(0, shape[0]), slice(0, shape[1]))], shape)


def rand_rows(top: int, bottom: int, draw: Draw) -> Matrix:
    """The rows from `top` (counted from 0) to before `bottom` of what is to be drawn; all blocks that hold some of them are."""
    height, _ = block_shape(draw.rows, draw.cols)
    first = top // height * height
    last = builtins.min(-(-bottom // height) * height, draw.rows)
    held = [(i, j, slice(r.start - first, r.stop - first), c) for i, j, r, c in _blocks(draw) if first <= r.start < last]
    drawn = _assemble(draw, held, (last - first, draw.cols))
    if (first, last) == (top, bottom):
        return drawn
    part = drawn[top - first : bottom - first]
    return part.copy() if part.__class__ is np.ndarray else settle(part)


def sample(upper: Any, size: Any, replace: Any, seed: Any) -> np.ndarray:
    """A size x 1 column of whole numbers from 1..upper; a number for `replace` is the seed, and nothing is put back.

    Raises DMLRuntimeError when more numbers are wanted than there are.
    """
    if replace.__class__ is not bool:
        replace, seed = False, replace
    n, k = dimension(upper, "range of sample"), dimension(size, "size of sample")
    if n < 1 or (k > n and not replace):
        raise DMLRuntimeError(f"sample of {k} numbers from 1..{n}", hint="with replace=TRUE a number may come more than once")
    # A few numbers are found by rejection, many by shuffling all of them.
    reserve(k if replace or k < n // 50 else n, 1, "a sample")
    generator = _generator(_seed(seed))
    drawn = generator.integers(1, n + 1, k) if replace else generator.choice(n, k, replace=False) + 1
    return drawn.astype(np.float64).reshape(k, 1)
