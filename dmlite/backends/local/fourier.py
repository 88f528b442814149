"""Fourier transforms: of a whole matrix, of every row, and of windows of every row."""

from __future__ import annotations

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

Spectrum = tuple[np.ndarray, np.ndarray]


def fft(x: Matrix) -> Spectrum:
    """Real and imaginary part (each n x m) of the 2-D transform; 1-D of a vector.

    Raises DMLRuntimeError unless both dimensions are powers of two.
    """
    _check("fft", *x.shape)
    return _parts(np.fft.fft2(dense(x)))


def ifft(re: Matrix, im: Matrix | None) -> Spectrum:
    """The inverse of `fft`; without `im`, of a real spectrum. Raises DMLRuntimeError as `fft` does."""
    _check("ifft", *re.shape)
    return _parts(np.fft.ifft2(_complex("ifft", re, im)))


def fft_linearized(x: Matrix) -> Spectrum:
    """Real and imaginary part (each n x m) of the transform of every row.

    Raises DMLRuntimeError unless the number of columns is a power of two.
    """
    _check("fft_linearized", x.shape[1])
    return _parts(np.fft.fft(dense(x), axis=1))


def ifft_linearized(re: Matrix, im: Matrix | None) -> Spectrum:
    """The inverse of `fft_linearized`. Raises DMLRuntimeError as that does."""
    _check("ifft_linearized", re.shape[1])
    return _parts(np.fft.ifft(_complex("ifft_linearized", re, im), axis=1))


def stft(x: Matrix, window: int, overlap: int) -> Spectrum:
    """Real and imaginary part (each n x frames*window) of the transforms of windows that share `overlap` samples.

    The last window is filled up with zeros. Raises DMLRuntimeError unless `window` is a power of two and 0 <= overlap < window.
    """
    rows, samples = x.shape
    window, hop, frames = windows_of(samples, window, overlap)
    reserve(rows, 2 * frames * window, "the windows of stft")
    signal = np.zeros((rows, (frames - 1) * hop + window))
    signal[:, :samples] = dense(x)
    windows = np.lib.stride_tricks.sliding_window_view(signal, window, axis=1)[:, ::hop]
    return _parts(np.fft.fft(windows, axis=2).reshape(rows, frames * window))


def windows_of(samples: int, window: int, overlap: int) -> tuple[int, int, int]:
    """Samples of a window, from one to the next, and how many windows `stft` has. Raises DMLRuntimeError as that does."""
    window, overlap = int(window // 1), int(overlap // 1)
    _check("stft", window)
    if not 0 <= overlap < window:
        raise DMLRuntimeError(f"stft: the overlap must be at least 0 and less than the window of {window}, found {overlap}")
    hop = window - overlap
    return window, hop, max(1, -(-(samples - overlap) // hop))


def _check(name: str, *sizes: int) -> None:
    if any(n < 1 or n & (n - 1) for n in sizes):
        found = "x".join(map(str, sizes))
        raise DMLRuntimeError(f"{name} needs powers of two, found {found}", hint="pad with zeros to the next power of two")


def _complex(name: str, re: Matrix, im: Matrix | None) -> np.ndarray:
    if im is None:
        return dense(re)
    if re.shape != im.shape:
        raise DMLRuntimeError(
            f"{name} needs a real and an imaginary part of one shape, found {re.shape[0]}x{re.shape[1]} and {im.shape[0]}x{im.shape[1]}"
        )
    return dense(re) + 1j * dense(im)


def _parts(z: np.ndarray) -> Spectrum:
    return np.ascontiguousarray(z.real), np.ascontiguousarray(z.imag)
