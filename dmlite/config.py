"""One frozen configuration; every setting has a `DMLITE_*` variable and can be overridden for a with-block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Config:
    """Settings of one compilation and run.

    opt_level       0 no rewrites, 2 (default) rewrites that keep every value, 3 also those that ignore NaN
    verify          check after every rewrite, and let a failing rule raise (DMLITE_VERIFY=1)
    traceback       show Python frames with errors (DMLITE_TRACEBACK=full)
    disabled_rules  names of rewrite rules that must not run (DMLITE_DISABLE_RULES=a,b)
    """

    opt_level: int = 2
    verify: bool = False
    traceback: bool = False
    disabled_rules: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls) -> Config:
        env = os.environ.get
        level = env("DMLITE_OPT", "2")
        return cls(
            opt_level=int(level) if level.isdigit() else 2,
            verify=env("DMLITE_VERIFY", "0") not in ("", "0"),
            traceback=env("DMLITE_TRACEBACK", "") == "full",
            disabled_rules=frozenset(r for r in env("DMLITE_DISABLE_RULES", "").split(",") if r),
        )


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
