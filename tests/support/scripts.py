"""Run a DML script through the public API and get its variables back as plain NumPy arrays and Python scalars."""

from __future__ import annotations

from typing import Any

from dmlite import MLContext, dml


def run(script: str, inputs: dict[str, Any], *names: str) -> list[Any]:
    """The values of the variables `names` after the script (its text, or a path ending in .dml) has run with `inputs` bound."""
    program = dml(script)
    for name, value in inputs.items():
        program = program.input(name, value)
    results = MLContext().execute(program.output(*names))
    values = [results.get(name) for name in names]
    return [value.toNumPy() if hasattr(value, "toNumPy") else value for value in values]
