"""An explained program: asked for once, shown as text, as data or as a page, on a terminal or in a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from dmlite.explain.collect import collect
from dmlite.explain.draw import DRAWN, dot, mermaid
from dmlite.explain.record import Record, Run
from dmlite.explain.text import text_of
from dmlite.lang.nodes import Script
from dmlite.runtime.engine import Engine
from dmlite.runtime.stats import PeakMemory

if TYPE_CHECKING:
    from rich.console import RenderableType

LEVELS: Final = ("ast", "hops", "plan", "runtime", "trace")
FORMATS: Final = ("text", "json", "dot", "mermaid", "html")
_FRAME_HEIGHT: Final = 640  # pixels of the page inside of a notebook


@dataclass(frozen=True)
class Explanation:
    """What a script is compiled to, at one level and in one format.

    `str()` gives it in its format; `record` holds it as data. Notebooks show the page, terminals of `rich` the text.
    """

    record: Record
    level: str = "plan"
    format: str = "text"

    def __post_init__(self) -> None:
        """Raises ValueError for a level or format that there is not, or a level that cannot be drawn."""
        check(self.level, self.format)

    def __str__(self) -> str:
        match self.format:
            case "json":
                return json.dumps(self.as_data(), indent=1, allow_nan=False) + "\n"
            case "dot":
                return dot(self.record, self.level)
            case "mermaid":
                return mermaid(self.record, self.level)
            case "html":
                return self.page()
        return text_of(self.record, self.level)

    def as_data(self) -> dict[str, Any]:
        """The whole record as plain objects, for any level; numbers that are not finite are None."""
        return {"level": self.level, **finite(asdict(self.record))}

    def page(self) -> str:
        """One HTML page with everything in it, opened at the level."""
        from dmlite.explain.html import page

        return page(self.record, self.level)

    def save(self, path: str | Path) -> None:
        """Write it to a file in its format. Raises OSError."""
        Path(path).write_text(str(self), encoding="utf-8")

    def _repr_html_(self) -> str:
        page = escape(self.page(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:{_FRAME_HEIGHT}px;border:0" sandbox="allow-scripts"></iframe>'

    def __repr__(self) -> str:
        return f"<explanation of {self.record.name}: {self.level}>"

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        return Text(str(self), no_wrap=True, overflow="ignore")


def explain(script: Script, name: str, engine: Engine, level: str = "plan", format: str = "text", run: Run | None = None) -> Explanation:
    """Explain a compiled program; with `run` also what was measured in it. Raises ValueError as `check` does."""
    check(level, format)
    return Explanation(collect(script, name, engine, run), level, format)


def measure(engine: Engine, inputs: Mapping[str, Any]) -> Run:
    """Run a program that was compiled with `Stats(sizes=True)`. Raises DMLError."""
    with PeakMemory() as memory:
        if engine.stats is not None:
            engine.stats.memory = memory
        start = perf_counter()
        engine.run(inputs)
        seconds = perf_counter() - start
    return Run(seconds, memory.bytes)


def check(level: str, format: str) -> None:
    """Raises ValueError for a level or format that there is not, or a level that cannot be drawn."""
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level!r}")
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {format!r}")
    if format in ("dot", "mermaid") and level not in DRAWN:
        raise ValueError(f"{format} draws the levels {', '.join(sorted(DRAWN))}, not {level}")


def finite(data: Any) -> Any:
    """`data` without NaN and infinities, which JSON cannot write."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and data - data != 0 else data
