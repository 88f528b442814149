"""Numba functions when they are there: compiled or loaded in the background, while plain kernels do the work.

Nothing waits for a compiler, and programs that use large sparse matrices only now and then never start it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from importlib.util import source_hash
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from dmlite.backends.beside import beside
from dmlite.backends.local.storage import Matrix
from dmlite.backends.local.threads import in_ranges
from dmlite.config import cache_folder, config

COMPLETE: Final = "complete"  # the file that tells that all kernels are in a folder
WORTH: Final = 1 << 20  # multiplications of one call from which on a compiled function is wanted
START: Final = 1 << 29  # multiplications that plain kernels have done before loading Numba, its seconds and its memory, is worth it
_THREADED: Final = 1 << 21  # of one call from which on threads share it
RANGES: Final = 16  # of rows, which threads take one after another; as many on every machine, so that sums are the same
_SUMMED: Final = 4  # the same where every range has a result of its own
_ADDED: Final = 16  # cells of a row of such a result that a range should add to, so that clearing and adding up results costs little


class _Background:
    """The compiled modules, which are imported by a thread of their own when they are first asked for."""

    def __init__(self) -> None:
        self.module: ModuleType | None = None  # for CSR matrices
        self.dense: ModuleType | None = None
        self._done = 0  # multiplications without it
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def done(self, work: int) -> None:
        """Note what plain kernels do."""
        self._done += work
        if self._done >= START:
            self.start()

    def start(self) -> threading.Thread:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._load, name="dmlite-compile", daemon=True)
                self._thread.start()
            return self._thread

    def _load(self) -> None:
        try:
            folder = cache_folder() / "numba" / _sources()
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / COMPLETE).exists():
                _compile(folder)
            self.module, self.dense = imported(folder)
        except Exception as error:  # a compiler has many ways to fail, and none of them is the user's concern
            warnings.warn(f"compiled kernels are not available, others do the work: {error}", stacklevel=2)


def _compile(folder: Path) -> None:
    """Have another process compile, which leaves the cores to this one. Raises OSError when it did not."""
    process = beside("dmlite.backends.local.jit.precompile", folder)
    problem, _ = process.communicate()
    if process.returncode:
        raise OSError(problem.strip() or f"the process that compiles ended with {process.returncode}")


def imported(folder: Path) -> tuple[ModuleType, ModuleType]:
    """The modules of kernels for CSR and for dense matrices, found in a folder or compiled into it."""
    import numba

    others, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)  # functions remember it when they are defined
    try:
        from dmlite.backends.local import native, native_dense
    finally:
        numba.config.CACHE_DIR = others
    return native, native_dense


def _sources() -> str:
    """A name for the state of all that compiled kernels are made of: Numba looks only at the file that a kernel stands in, not at those
    of the functions that it calls."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("native*.py")), here / "jit" / "lanes.py"]
    return source_hash(b"".join(f.read_bytes() for f in files)).hex()


_background: Final = _Background()


def ready(work: int) -> Any:
    """The compiled functions for dense matrices if they are ready and the work, in multiplications, is worth it; else None."""
    return _background.dense if _wanted(work) else None


def loops(w: Matrix, work: int) -> Any:
    """The same for a CSR matrix `w`; None where its indices are wide."""
    return _background.module if w.indices.dtype == w.indptr.dtype == np.int32 and _wanted(work) else None


def _wanted(work: int) -> bool:
    if work < WORTH or not config().compile:
        return False
    if _background.dense is None:
        _background.done(work)
    return True


def stored(w: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A CSR matrix as compiled functions take it; numbers that have no sign need no test whether they count from the end."""
    return w.indptr.view(np.uint32), w.indices.view(np.uint32), w.data


def wait() -> bool:
    """Wait until compiled functions are there; whether they are."""
    _background.start().join()
    return _background.module is not None


# ---------------------------------------------------------------- rows shared by threads
def by_rows(w: Matrix, work: int, run: Callable[[int, int], Any], ranges: int = RANGES) -> list[Any]:
    """`run(low, high)` for ranges of the rows of a CSR matrix with about as many stored cells in each; results in their order."""
    ranges = ranges if work >= _THREADED else 1
    ends = np.searchsorted(w.indptr, np.linspace(0, w.nnz, ranges + 1)[1:-1])
    return in_ranges([0, *np.minimum(ends, w.shape[0]).tolist(), w.shape[0]], run)


def summed(w: Matrix, work: int, shape: tuple[int, int], run: Callable[[int, int, np.ndarray], None]) -> np.ndarray:
    """The sum of what `run(low, high, out)` adds to arrays of zeros, one for each range of rows."""

    def part(low: int, high: int) -> np.ndarray:
        out = np.zeros(shape)
        run(low, high, out)
        return out

    ranges = max(1, min(_SUMMED, w.nnz // max(1, _ADDED * shape[0])))
    return added(by_rows(w, work, part, ranges))


def added(parts: list[np.ndarray]) -> np.ndarray:
    """The sum of arrays, in place of the first."""
    first, *others = parts
    for other in others:
        first += other
    return first
