"""Object code of generated loops: found on disk, compiled by another process, loaded into this one.

Loading takes llvmlite alone, some 40 ms, and no time of a compiler. A file is named by all that its code depends on, and written at once,
so any number of processes may share the folder. Code is our own: whoever can write into the user's cache can run programs as that user.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import json
import os
import subprocess
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import llvmlite.binding as llvm

from dmlite.backends.beside import beside
from dmlite.backends.local.jit import blas
from dmlite.codegen import loops
from dmlite.codegen.loops import Source
from dmlite.config import cache_folder

HEADER: Final = b"dmlite object 2\n"
_KEPT: Final = 500  # files, the newest
_PARAMETERS: Final = {"n": ctypes.c_int64, "d": ctypes.c_double, "a": ctypes.c_void_p, "i": ctypes.c_void_p, "l": ctypes.c_void_p}
_engines: Final[list[Any]] = []  # own the machine code


@cache
def target_machine() -> Any:
    """LLVM's description of this very processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    options = {"cpu": llvm.get_host_cpu_name(), "features": llvm.get_host_cpu_features().flatten(), "opt": 3, "jit": True}
    return llvm.Target.from_default_triple().create_target_machine(**options)


@cache
def _environment() -> bytes:
    """What object code depends on besides its source."""
    files = (Path(loops.__file__), *(Path(__file__).with_name(name) for name in ("functions.py", "lanes.py")))
    meanings = b"".join(file.read_bytes() for file in files)
    parts = (version("numba"), version("llvmlite"), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return HEADER + meanings + "\n".join(parts).encode()


def path_of(loop: Source) -> Path:
    """Where the object code of a loop is kept."""
    key = hashlib.blake2b(_environment() + loop.kinds.encode() + loop.source.encode(), digest_size=16).hexdigest()
    return cache_folder() / "loops" / f"{key}.o"


def _are_known(names: list[str]) -> bool:
    """Whether LLVM finds all functions that object code calls: with one of them unknown, it would resolve none.

    Numba's own are there for exceptions, which generated code never raises.
    """
    for name in names:
        if name.startswith(("numba_", "NRT_")) and not llvm.address_of_symbol(name):
            llvm.add_symbol(name, ctypes.cast(ctypes.pythonapi.PyErr_Clear, ctypes.c_void_p).value)
    return all(llvm.address_of_symbol(name) for name in names)


def load(loop: Source) -> Callable[..., None] | None:
    """The compiled function of a loop, which runs without the GIL; None when it is not on the disk, or cannot be read."""
    try:
        data = path_of(loop).read_bytes()
    except OSError:
        return None
    if not data.startswith(HEADER):
        return None
    names, _, code = data[len(HEADER) :].partition(b"\n")
    symbol, *called = names.decode().split()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())  # from now on LLVM knows symbols of this process
    if (loop.needs_blas and not blas.linked()) or not _are_known(called):
        return None
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(symbol)
    if not address:
        return None
    _engines.append(engine)
    return ctypes.CFUNCTYPE(None, *(_PARAMETERS[k] for k in loop.kinds))(address)


class _Compiler:
    """The process that compiles, started when something is first asked for; a thread talks to it."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[tuple[Source, threading.Event]] = SimpleQueue()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self.last: threading.Event | None = None  # for what was asked for last

    def compile(self, loop: Source) -> threading.Event:
        """Set when `load` will find the loop, or never will."""
        done = self.last = threading.Event()
        self._wanted.put((loop, done))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="dmlite-compile", daemon=True)
                self._thread.start()
        return done

    def settle(self, seconds: float = 60) -> bool:
        """Wait until the loop that was asked for last is compiled, and so all before it; whether that is so."""
        return self.last is None or self.last.wait(seconds)

    def _serve(self) -> None:
        try:
            process = self._process = self._start()
            _forget_old()
            while True:
                loop, done = self._wanted.get()
                error = _asked(process, loop)["error"]
                done.set()
                if error is not None:
                    warnings.warn(f"a loop could not be compiled, NumPy does its work: {error}", stacklevel=2)
        except (OSError, ValueError) as error:  # no process to be had, or it ended; but not as this one does
            if self._process is None or self._process.stdin is None or not self._process.stdin.closed:
                warnings.warn(f"compiled loops are not available, NumPy does their work: {error}", stacklevel=2)

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        process = beside("dmlite.backends.local.jit.compiler")
        atexit.register(_leave, process)
        return process


def _leave(process: subprocess.Popen[str]) -> None:
    """Let it finish what it is at, for the next run of the script, which may be as short as this one; then its input has ended."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()


def _asked(process: subprocess.Popen[str], loop: Source) -> dict[str, Any]:
    """What the process answers. Raises OSError when it has ended."""
    assert process.stdin is not None and process.stdout is not None
    path_of(loop).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    request = {"path": str(path_of(loop)), "source": loop.source, "name": loop.name, "kinds": loop.kinds}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise OSError("the process that compiles ended")
    return json.loads(line)


def _forget_old() -> None:
    with suppress(OSError):
        for old in sorted((cache_folder() / "loops").glob("*.o"), key=os.path.getmtime)[:-_KEPT]:
            old.unlink()


compiler: Final = _Compiler()
