"""Compiled loops for the smallest matrices, shared by several threads, with transposes kept from the second time on."""

from __future__ import annotations

import pytest

from dmlite.backends.local import compiled, tall_products, threads, transposes


def always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let compiled loops do whatever they can do."""
    assert compiled.wait()
    for module, name, value in (
        (compiled, "WORTH", 0),
        (compiled, "_THREADED", 0),
        (transposes, "SCATTERED", 0),
        (transposes, "_TALL", 1 << 40),
        (tall_products, "LARGE", 0),
        (tall_products, "_LONG", 0),
        (threads, "cores", lambda: 3),
    ):
        monkeypatch.setattr(module, name, value)
