"""Where the windows of a convolution or pooling lie, so that whole images are handled one window offset at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLRuntimeError

# Working copies stay within this many bytes (one image at least): about what the cache next to a core holds.
_WORKSPACE_BYTES: Final = 4 << 20

_LARGEST: Final = 2**53

Literals: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Windows:
    """P x Q windows of R x S cells on N images of C channels, H x W each.

    `offsets` holds, for each cell (i, j) of the window that ever lies inside of the image, the slices (windows down, windows
    across) and the slices (rows, columns) of the image cells under them: padding is what these leave out.
    """

    n: int
    c: int
    h: int
    w: int
    r: int
    s: int
    p: int
    q: int
    padded: bool
    offsets: tuple[tuple[int, int, tuple[slice, slice], tuple[slice, slice]], ...]

    def image(self, x: Matrix, start: int, stop: int) -> np.ndarray:
        """Images start..stop as an array of shape (images, C, H, W)."""
        return dense(x[start:stop]).reshape(stop - start, self.c, self.h, self.w)

    def grid(self, x: Matrix, start: int, stop: int, channels: int) -> np.ndarray:
        """The windows' values of images start..stop as an array of shape (images, channels, P, Q)."""
        return dense(x[start:stop]).reshape(stop - start, channels, self.p, self.q)

    def chunks(self, cells_per_image: int) -> Iterator[tuple[int, int]]:
        """Ranges of images whose working copies of `cells_per_image` doubles fit the workspace."""
        step = max(1, _WORKSPACE_BYTES // (8 * max(1, cells_per_image)))
        for start in range(0, self.n, step):
            yield start, min(start + step, self.n)


@lru_cache(maxsize=256)
def windows(image: Literals, window: tuple[int, int], stride: Literals, padding: Literals) -> Windows:
    """The windows that `input_shape`, a window of R x S, `stride` and `padding` describe.

    Raises DMLRuntimeError when a list has the wrong length or values, or the window is larger than the padded image.
    """
    n, c, h, w = integers("input_shape", image, "NCHW", least=0)
    steps, pads = integers("stride", stride, "HW", least=1), integers("padding", padding, "HW", least=0)
    p, q = (_count(*side) for side in zip((h, w), window, steps, pads, strict=True))
    down = [_side(h, p, i, steps[0], pads[0]) for i in range(window[0])]
    across = [_side(w, q, j, steps[1], pads[1]) for j in range(window[1])]
    offsets = tuple(
        (i, j, (rows[0], cols[0]), (rows[1], cols[1])) for i, rows in enumerate(down) if rows for j, cols in enumerate(across) if cols
    )
    return Windows(n, c, h, w, *window, p, q, any(pads), offsets)


def integers(name: str, values: Literals, letters: str, least: int) -> tuple[int, ...]:
    """The values of a literal list as integers, rounded down.

    Raises DMLRuntimeError unless there is one number, `least` or more, for each of the `letters`.
    """
    if len(values) != len(letters) or not all(isinstance(v, int | float) and least <= v < _LARGEST for v in values):
        found = ", ".join(map(str, values))
        raise DMLRuntimeError(f"{name} must be [{', '.join(letters)}], numbers of at least {least}, found [{found}]")
    return tuple(int(v // 1) for v in values)


def expect(what: str, x: Matrix, rows: int, cols: int) -> None:
    """Raises DMLRuntimeError when a matrix does not have the shape that the lists of a call describe."""
    if x.shape != (rows, cols):
        raise DMLRuntimeError(
            f"{what} is {x.shape[0]}x{x.shape[1]}, its parameters describe {rows}x{cols}",
            hint="images are rows of C*H*W cells, filters rows of C*R*S cells",
        )


def _count(size: int, window: int, stride: int, pad: int) -> int:
    if size + 2 * pad < window:
        raise DMLRuntimeError(f"a window of {window} does not fit into {size} cells with a padding of {pad}")
    return (size + 2 * pad - window) // stride + 1


def _side(size: int, count: int, offset: int, stride: int, pad: int) -> tuple[slice, slice] | None:
    """Which windows have their cell `offset` inside of the image, and which image cells those are; None when none has."""
    first = max(0, -((offset - pad) // stride))
    last = min(count - 1, (size - 1 + pad - offset) // stride)
    if last < first:
        return None
    start = first * stride + offset - pad
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)
