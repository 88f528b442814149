"""The matrix product that compiled loops call: the one NumPy uses, so that there is one pool of threads, and equal results."""

from __future__ import annotations

import ctypes
from functools import cache

import llvmlite.binding as llvm

from dmlite.backends.local.blas import dgemm

NAME = "dmlite_gemm"


@cache
def linked() -> bool:
    """Make `dmlite_gemm` known to LLVM; whether NumPy brings a library that has it."""
    run = dgemm()
    if run is None:
        return False
    llvm.add_symbol(NAME, ctypes.cast(run, ctypes.c_void_p).value)
    return True
