"""One frozen configuration; every setting has a `DMLITE_*` variable and can be overridden for a with-block."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from dmlite.errors import DMLError
from dmlite.memory import parse_bytes

EXEC = ("auto", "local", "dask")


@dataclass(frozen=True)
class Config:
    """Settings of one compilation and run.

    opt_level       0 no rewrites, 2 (default) rewrites that keep every value, 3 also those that ignore NaN, 4 also explores
                    the algebra of every block by equality saturation; needs egglog (DMLITE_OPT=4)
    verify          check after every rewrite, and let a failing rule raise (DMLITE_VERIFY=1)
    traceback       show Python frames with errors (DMLITE_TRACEBACK=full)
    disabled_rules  names of rewrite rules that must not run (DMLITE_DISABLE_RULES=a,b)
    memory          bytes that a program may take, None for 70 % of what is free (DMLITE_MEMORY=8GB)
    calibrated      use the constants that `dmlite calibrate` measured here (DMLITE_CALIBRATED=0 for the defaults)
    exec            where operators may run: auto, local, or dask (all that can) (DMLITE_EXEC)
    cluster         address of a Dask scheduler; None starts processes of this machine when a plan needs them (DMLITE_CLUSTER)
    dashboard       address for dask's pages about workers that are started here; needs bokeh (DMLITE_DASHBOARD=127.0.0.1:8787)
    chunk           bytes of a chunk, about, that matrices on workers are cut into (DMLITE_CHUNK=64MB)
    compile         use Numba for loops over large matrices and of many small operators, when it is ready (DMLITE_COMPILE=0 for never)
    """

    opt_level: int = 2
    verify: bool = False
    traceback: bool = False
    disabled_rules: frozenset[str] = frozenset()
    exec: str = "auto"
    cluster: str | None = None
    dashboard: str | None = None
    chunk: int = 64 << 20
    compile: bool = True
    memory: int | None = None
    calibrated: bool = True

    @classmethod
    def from_environment(cls) -> Config:
        env = os.environ.get
        level = env("DMLITE_OPT", "2")
        return cls(
            opt_level=int(level) if level.isdigit() else 2,
            verify=env("DMLITE_VERIFY", "0") not in ("", "0"),
            traceback=env("DMLITE_TRACEBACK", "") == "full",
            disabled_rules=frozenset(r for r in env("DMLITE_DISABLE_RULES", "").split(",") if r),
            exec=env("DMLITE_EXEC", "auto") if env("DMLITE_EXEC", "auto") in EXEC else "auto",
            cluster=env("DMLITE_CLUSTER") or None,
            dashboard=env("DMLITE_DASHBOARD") or None,
            chunk=_bytes("DMLITE_CHUNK") or 64 << 20,
            compile=env("DMLITE_COMPILE", "1") not in ("", "0"),
            memory=_bytes("DMLITE_MEMORY"),
            calibrated=env("DMLITE_CALIBRATED", "1") not in ("", "0"),
        )


def _bytes(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    try:
        return parse_bytes(text) if text else None
    except DMLError as error:
        warnings.warn(f"{variable} has no effect: {error.message}", stacklevel=2)
        return None


_current: ContextVar[Config | None] = ContextVar("dmlite_config", default=None)


def config() -> Config:
    """The configuration in force."""
    found = _current.get()
    if found is None:
        found = Config.from_environment()
        _current.set(found)
    return found


@contextmanager
def settings(**changes: Any) -> Iterator[Config]:
    """Override settings inside a with-block: `with settings(opt_level=0): ...`."""
    token = _current.set(replace(config(), **changes))
    try:
        yield config()
    finally:
        _current.reset(token)


_nested_lock = Lock()
_nested_limits: list[int] = []  # the limit outside of all blocks, then that of every open block


@contextmanager
def nested_calls(limit: int) -> Iterator[None]:
    """Allow `limit` nested Python calls in the block. Threads share the limit: the last block to end puts the old one back."""
    with _nested_lock:
        if not _nested_limits:
            _nested_limits.append(sys.getrecursionlimit())
        _nested_limits.append(limit)
        sys.setrecursionlimit(max(_nested_limits))
    try:
        yield
    finally:
        with _nested_lock:
            del _nested_limits[_nested_limits.index(limit, 1)]
            if len(_nested_limits) == 1:
                sys.setrecursionlimit(_nested_limits.pop())


def cache_folder() -> Path:
    """Where dmlite keeps what it can compute again: `DMLITE_CACHE_DIR`, or the platform's cache folder."""
    if chosen := os.environ.get("DMLITE_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)) / "dmlite"


def keep(path: Path, data: bytes) -> None:
    """Write a file of the cache: a reader sees all of it or nothing, whoever else writes it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, path)
