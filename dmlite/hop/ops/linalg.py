"""Operator rows: matrix products, factorisations, spectra, Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, same


# ---------------------------------------------------------------- products
def _nnz(x: Fact) -> int | None:
    """The best bound on the non-zeros: the known one, else all cells."""
    return x.cells if x.nnz is None else x.nnz


def _least(*bounds: int | None) -> int | None:
    known = [b for b in bounds if b is not None]
    return min(known) if known else None


def _times(*factors: float | None) -> float | None:
    product = 1.0
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def _transposed(x: Fact) -> Fact:
    return Fact("matrix", "double", x.cols, x.rows, x.nnz)


def _inner(what: str, a: Fact, b: Fact, k1: int | None, k2: int | None) -> None:
    if k1 is not None and k2 is not None and k1 != k2:
        raise ShapeError(
            f"{what} of {a.shape_text()} and {b.shape_text()}: the inner dimensions {k1} and {k2} differ",
            "transpose one of the two with t(), or check how they were built",
        )


def _product(a: Fact, b: Fact) -> Size:
    _inner("matrix product", a, b, a.cols, b.rows)
    return a.rows, b.cols


def _tmm(a: Fact, b: Fact) -> Size:
    _inner("product t(A) %*% B", a, b, a.rows, b.rows)
    return a.cols, b.cols


def _chain(x: Fact, v: Fact, *_: Fact) -> Size:
    _inner("matrix product", x, v, x.cols, v.rows)
    return x.cols, v.cols


def _product_nnz(a: Fact, b: Fact) -> int | None:
    """At most (non-empty rows of A) x (non-empty columns of B)."""
    bound = _times(_least(a.rows, _nnz(a)), _least(b.cols, _nnz(b)))
    return None if bound is None else int(bound)


def _product_flops(a: Fact, b: Fact) -> float | None:
    """Two per pair that meets: each non-zero of one side meets a row or column of the other."""
    pairs = [p for p in (_times(_nnz(a), b.cols), _times(_nnz(b), a.rows)) if p is not None]
    return 2 * min(pairs) if pairs else None


def _gram_nnz(x: Fact) -> int | None:
    return _product_nnz(_transposed(x), x)


def _gram_flops(x: Fact) -> float | None:
    """Half of the product: the result is symmetric."""
    return _times(_nnz(x), x.cols)


def _chain_flops(x: Fact, v: Fact, *_: Fact) -> float | None:
    return _times(4, _nnz(x), v.cols)


# ---------------------------------------------------------------- square matrices
def _square(x: Fact, what: str) -> int | None:
    """The order of a matrix that must be square."""
    if x.rows is not None and x.cols is not None and x.rows != x.cols:
        raise ShapeError(f"{what} needs a square matrix, found {x.shape_text()}")
    return x.cols if x.rows is None else x.rows


def _square_size(what: str) -> Callable[..., Size]:
    def size(x: Fact) -> Size:
        n = _square(x, what)
        return n, n

    return size


def _solve(a: Fact, b: Fact) -> Size:
    if a.rows is not None and a.cols is not None and a.rows != a.cols:
        raise ShapeError(f"solve needs a square matrix, found {a.shape_text()}", "for least squares use solve(t(A) %*% A, t(A) %*% b)")
    n = _square(a, "solve")
    if n is not None and b.rows is not None and n != b.rows:
        raise ShapeError(f"solve of {a.shape_text()} and {b.shape_text()}: the right-hand side needs {n} rows")
    return (b.rows if n is None else n), b.cols


def _det(x: Fact) -> Size:
    _square(x, "det")
    return 1, 1


def _eigen(x: Fact) -> list[Size]:
    n = _square(x, "eigen")
    return [(n, 1), (n, n)]


def _lu(x: Fact) -> list[Size]:
    n = _square(x, "lu")
    return [(n, n)] * 3


def _svd(x: Fact) -> list[Size]:
    k = None if x.rows is None or x.cols is None else min(x.rows, x.cols)
    return [(x.rows, k), (k, k), (x.cols, k)]


def _cubic(factor: float) -> Callable[..., float | None]:
    """`factor` n m min(n, m): the work of a factorisation; n^3 for a square one."""

    def flops(x: Fact, *_: Fact) -> float | None:
        return _times(factor, x.cells, _least(x.rows, x.cols))

    return flops


def _solve_flops(a: Fact, b: Fact) -> float | None:
    n = a.rows if a.cols is None else a.cols
    factor, substitute = _times(2 / 3, n, n, n), _times(2, n, n, b.cols)
    return None if factor is None or substitute is None else factor + substitute


# ---------------------------------------------------------------- Fourier transforms
def _power_of_two(n: int | None, name: str, x: Fact) -> None:
    if n is not None and (n < 1 or n & (n - 1)):
        raise ShapeError(
            f"{name} needs dimensions that are powers of two, found {x.shape_text()}", "pad with zeros to the next power of two"
        )


def _spectrum(name: str, row_wise: bool = False) -> Callable[..., list[Size]]:
    def size(x: Fact, *_: Fact) -> list[Size]:
        _power_of_two(x.cols, name, x)
        if not row_wise:
            _power_of_two(x.rows, name, x)
        return [same(x), same(x)]

    return size


def _stft(x: Fact, window: Fact, overlap: Fact) -> list[Size]:
    size, shared = window.const_int(), overlap.const_int()
    if x.cols is None or size is None or shared is None or not 0 <= shared < size:
        return [(x.rows, None)] * 2
    return [(x.rows, max(1, -(-(x.cols - shared) // (size - shared))) * size)] * 2


def _fourier_flops(x: Fact, *_: Fact) -> float | None:
    return None if x.cells is None else 5.0 * x.cells * max(1, x.cells.bit_length())


def _fourier(name: str, params: str, doc: str, size: Callable[..., Any]) -> Op:
    return Op(name, params, "M,M", f"fourier.{name}", doc, size=size, flops=_fourier_flops)


ROWS: Final[tuple[Op, ...]] = (
    Op("matmul", "A: M, B: M", "M", "matmul.matmul", "Matrix product.", _product, _product_nnz, _product_flops, spelling="%*%"),
    Op(
        "tmm",
        "A: M, B: M",
        "M",
        "matmul.tmm",
        "t(A) %*% B without a transpose.",
        _tmm,
        lambda a, b: _product_nnz(_transposed(a), b),
        lambda a, b: _product_flops(_transposed(a), b),
        spelling="tmm()",
    ),
    Op(
        "tsmm_left",
        "X: M",
        "M",
        "matmul.tsmm_left",
        "t(X) %*% X.",
        lambda x: (x.cols, x.cols),
        _gram_nnz,
        _gram_flops,
        spelling="tsmm_left()",
    ),
    Op(
        "tsmm_right",
        "X: M",
        "M",
        "matmul.tsmm_right",
        "X %*% t(X).",
        lambda x: (x.rows, x.rows),
        lambda x: _gram_nnz(_transposed(x)),
        lambda x: _gram_flops(_transposed(x)),
        spelling="tsmm_right()",
    ),
    Op(
        "gemm",
        "C: M, s: D, A: M, B: M",
        "M",
        "matmul.gemm",
        "C + s * (A %*% B), added where C lies.",
        lambda c, _s, _a, _b: (c.rows, c.cols),
        flops=lambda _c, _s, a, b: _product_flops(a, b),
        spelling="gemm()",
    ),
    Op("mmchain", "X: M, v: M", "M", "matmul.mmchain", "t(X) %*% (X %*% v).", _chain, flops=_chain_flops, spelling="mmchain()"),
    Op(
        "mmchain_w",
        "X: M, v: M, w: M",
        "M",
        "matmul.mmchain_w",
        "t(X) %*% (w * (X %*% v)).",
        _chain,
        flops=_chain_flops,
        spelling="mmchain_w()",
    ),
    Op(
        "mmchain_y",
        "X: M, v: M, y: M",
        "M",
        "matmul.mmchain_y",
        "t(X) %*% ((X %*% v) - y).",
        _chain,
        flops=_chain_flops,
        spelling="mmchain_y()",
    ),
    Op("solve", "A: M, b: M", "M", "linalg.solve", "The X of A %*% X = b, for a square A.", _solve, flops=_solve_flops),
    Op("inv", "A: M", "M", "linalg.inv", "Inverse of a square matrix.", _square_size("inv"), flops=_cubic(2), aliases=("inverse",)),
    Op(
        "cholesky",
        "A: M",
        "M",
        "linalg.cholesky",
        "Lower triangle L of a positive definite A = L %*% t(L).",
        _square_size("cholesky"),
        flops=_cubic(1 / 3),
    ),
    Op("det", "A: M", "D", "linalg.det", "Determinant.", _det, flops=_cubic(2 / 3)),
    Op(
        "eigen",
        "A: M",
        "M,M",
        "linalg.eigen",
        "[w, V]: eigenvalues (n x 1, ascending; real parts) and unit eigenvectors in columns.",
        _eigen,
        flops=_cubic(9),
    ),
    Op(
        "svd",
        "A: M",
        "M,M,M",
        "linalg.svd",
        "[U, S, V]: A = U %*% S %*% t(V), S diagonal and descending; thin.",
        _svd,
        flops=_cubic(14),
    ),
    Op(
        "qr",
        "A: M",
        "M,M",
        "linalg.qr",
        "[H, R]: A = Q %*% R, where Q is the product of I - h %*% t(h) / h[j] over the columns h of H.",
        lambda x: [same(x), same(x)],
        flops=_cubic(2),
    ),
    Op("lu", "A: M", "M,M,M", "linalg.lu", "[P, L, U]: P %*% A = L %*% U.", _lu, flops=_cubic(2 / 3)),
    Op(
        "sqrtMatrixJava",
        "A: M",
        "M",
        "linalg.sqrt_matrix",
        "Principal square root: R %*% R = A.",
        _square_size("sqrtMatrixJava"),
        flops=_cubic(12),
    ),
    Op(
        "einsum",
        "equation: T, *operands: M",
        "A",
        "linalg.einsum",
        'Einstein summation, as in einsum("ij,jk->ik", A, B); one index is a column, none a scalar.',
    ),
    _fourier("fft", "X: M", "[re, im]: 2-D Fourier transform; 1-D of a vector.", _spectrum("fft")),
    _fourier("ifft", "re: M, im: M = ?", "[re, im]: inverse of fft.", _spectrum("ifft")),
    _fourier("fft_linearized", "X: M", "[re, im]: Fourier transform of every row.", _spectrum("fft_linearized", True)),
    _fourier("ifft_linearized", "re: M, im: M = ?", "[re, im]: inverse of fft_linearized.", _spectrum("ifft_linearized", True)),
    _fourier(
        "stft", "X: M, window: I, overlap: I", "[re, im]: Fourier transform of overlapping windows of every row, side by side.", _stft
    ),
)
