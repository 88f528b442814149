"""The process that compiles: takes requests as lines of JSON, writes object files, answers each with a line.

It ends when its input does: with the process that started it, or as soon as what it is at then is done. A line is given two minutes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm
from numba import cfunc, float64, int32, int64, types, void

from dmlite.backends.local.jit import blas, functions
from dmlite.backends.local.jit.store import HEADER, target_machine
from dmlite.config import keep

_LONGEST = 120  # seconds
PATIENCE: Final = 10  # the program goes first: a loop that comes late costs little, a program that waits for cores more
_TYPES = {"n": int64, "d": float64, "a": types.CPointer(float64), "i": types.CPointer(int32), "l": types.CPointer(int64)}


def compiled(source: str, name: str, kinds: str) -> bytes:
    """Object code of the function `name` in `source`, behind a line with its symbol and those it calls.

    kinds: a letter of `_TYPES` per parameter.
    """
    namespace: dict[str, Any] = dict(vars(functions))
    exec(compile(source, f"<{name}>", "exec"), namespace)  # noqa: S102 - written by dmlite's own generator, see codegen/loops.py
    function = cfunc(void(*(_TYPES[k] for k in kinds)), nopython=True, error_model="numpy")(namespace[name])
    module = llvm.parse_assembly(function._library.get_llvm_str())
    called = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    return HEADER + " ".join([function.native_name, *called]).encode() + b"\n" + target_machine().emit_object(module)


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(PATIENCE)
    blas.linked()
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"path": request["path"], "error": None}
        _expect_within(_LONGEST)
        try:
            path = Path(request["path"])
            before = _written(path)
            with alone(path):
                if _written(path) == before:  # no other process has compiled it meanwhile
                    keep(path, compiled(request["source"], request["name"], request["kinds"]))
        except Exception as error:  # the one who asked goes on with plain kernels
            answer["error"] = f"{type(error).__name__}: {error}"
        _expect_within(0)
        print(json.dumps(answer), flush=True)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time compiles what belongs into that file: the workers of a cluster ask for the same at the same time."""
    try:
        from fcntl import LOCK_EX, flock
    except ImportError:  # compiled twice, the same is written twice
        yield
        return
    lock = path.with_suffix(".lock")
    with open(lock, "w") as file:
        flock(file, LOCK_EX)
        yield
        lock.unlink(missing_ok=True)


def _written(path: Path) -> int:
    """When a file was written, 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _expect_within(seconds: int) -> None:
    """End this process unless something is expected anew within so many seconds; 0 for nothing."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
