"""Kernels: Fourier transforms of rows, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import over, spread
from dmlite.backends.local import fourier

Pair = tuple[Chunked, Chunked]


def _by_row(kernel: Callable[..., Any], parts: list[Any], *given: Any, cols: int) -> Pair:
    """Both results, of so many columns, of a kernel for every chunk of these matrices."""
    chunks = spread(*parts)
    both = over(kernel, *chunks, *given)
    x = chunks[0]
    re, im = (x.session.each(_pick, both, [i] * len(both), name="pick") for i in range(2))
    return Chunked(x.session, re, x.bounds, cols, dense=True), Chunked(x.session, im, x.bounds, cols, dense=True)


def _pick(results: tuple[Any, ...], which: int) -> Any:
    return results[which]


def fft_linearized(x: Any) -> Pair:
    """[re, im]: the Fourier transform of every row."""
    return _by_row(fourier.fft_linearized, [x], cols=x.shape[1])


def ifft_linearized(re: Any, im: Any) -> Pair:
    """[re, im]: the inverse of `fft_linearized`."""
    parts, absent = ([re], [None]) if im is None else ([re, im], [])
    return _by_row(fourier.ifft_linearized, parts, *absent, cols=re.shape[1])


def stft(x: Any, window: Any, overlap: Any) -> Pair:
    """[re, im]: the Fourier transform of overlapping windows of every row, side by side."""
    size, _, frames = fourier.windows_of(x.shape[1], window, overlap)
    return _by_row(fourier.stft, [x], window, overlap, cols=frames * size)
