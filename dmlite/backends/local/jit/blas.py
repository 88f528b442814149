"""The matrix product that compiled loops call: the one NumPy uses, so that there is one pool of threads, and equal results."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

NAME = "dmlite_gemm"
_SYMBOLS = ("scipy_cblas_dgemm64_", "cblas_dgemm64_")  # with whole numbers of 64 bits


@cache
def linked() -> bool:
    """Make `dmlite_gemm` known to LLVM; whether NumPy brings a library that has it."""
    for path in sorted(Path(np.__file__).parents[1].glob("numpy.libs/*openblas*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for symbol in _SYMBOLS:
            if hasattr(library, symbol):
                llvm.add_symbol(NAME, ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value)
                return True
    return False
