"""Where scripts lie, and the published scripts and recordings when a copy of them lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "scripts" / "anomaly"
MATERIAL = REPOSITORY.parent / "shared"


def recording(name: str) -> np.ndarray | None:
    """A published recording, samples x channels; None without a copy."""
    path = MATERIAL / "data" / "lorenz" / name
    return np.loadtxt(path, delimiter=",") if path.exists() else None


def published(name: str) -> str:
    """The text of a published script; skips the test without a copy."""
    path = MATERIAL / "published" / f"{name}.dml"
    if not path.exists():
        pytest.skip(f"no copy of the published {path.name} beside the checkout")
    return path.read_text()
