"""What `--help` tells of every command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Help:
    """How a command is written, what it does in a line, and its options."""

    usage: str
    summary: str
    details: str = ""


_PARAMETERS: Final = """
  -nvargs NAME=VALUE ...  values of $NAME: TRUE or FALSE, a number, or a string
  -args VALUE ...         values of $1, $2, ...
"""

HELP: Final[dict[str, Help]] = {
    "run": Help(
        "run FILE [-nvargs NAME=VALUE ...] [-args VALUE ...] [--explain LEVEL] [--stats [N]] [--seed S] [--opt N] [--memory SIZE]",
        "Run a script",
        f"""{_PARAMETERS}  --explain [LEVEL]       first show the program: ast, hops, plan, runtime or trace
  --stats [N]             in the end show the N (10) heaviest operators
  --seed S                seed of every rand and sample that names none
  --opt N                 how much is rewritten: 0 nothing, 2 what keeps every value (the default), 3 also what ignores NaN,
                          4 all equal forms of a block, of which the cheapest is run
  --memory SIZE           what the script may take, as 8GB (70 % of what is free); what cannot fit is refused before it runs
  -f FILE, -s TEXT        the script, in a file or as text; FILE may be - for stdin
  --exec MODE             where operators may run: auto (the default), local, or dask (all that is large enough to be cut)
  --cluster ADDRESS       of a Dask scheduler, as tcp://HOST:8786, or tls://... with the security of dask's configuration; without
                          it, processes of this machine are started when a plan needs them, and end with the script
  --debug                 show Python frames with errors
""",
    ),
    "explain": Help(
        "explain FILE [--level LEVEL] [--format FORMAT] [--analyze] [-o OUT] [--inputs X,y] [-nvargs NAME=VALUE ...]",
        "Show what a script is compiled to",
        f"""{_PARAMETERS}  --level LEVEL           ast (syntax), hops (operators, shapes), plan (rewritten; with kernels, places, what was
                          fused and what nearly; the default), runtime (generated Python) or trace (every rewrite)
  --format FORMAT         text, json, dot, mermaid or html (a page to explore); by default as the name of OUT tells
  --analyze               run the script, and put measured time, sizes and memory beside the estimates
  --opt N                 how much is rewritten, from 0 (nothing) to 4; 2 is what runs by default
  --memory SIZE           what the script may take, as 8GB (70 % of what is free)
  --exec MODE             where operators may run: auto (the default), local, or dask (all that is large enough to be cut)
  --cluster ADDRESS       of a Dask scheduler
  -o OUT                  write to a file
  --inputs X,y            variables that a Python program binds
""",
    ),
    "rules": Help(
        "rules [NAME] [--script FILE] [--format text|json|html] [-o OUT]",
        "Show the rewrite rules",
        f"""{_PARAMETERS}  NAME                    one rule in full, or all whose name or topic contains it
  --script FILE           count how often each fires in a script
  --format FORMAT         text, json or html (a page); by default as the name of OUT tells
  -o OUT                  write to a file
  --inputs X,y            variables that a Python program binds
""",
    ),
    "check": Help(
        "check FILE ... [--inputs X,y] [--memory SIZE] [-nvargs NAME=VALUE ...]",
        "Report every problem of scripts without running them",
        f"""{_PARAMETERS}  --memory SIZE           what programs may take (70 % of what is free); what cannot fit is an error
  --exec MODE             where operators may run: auto (the default), local, or dask (all that is large enough to be cut)
  --cluster ADDRESS       of a Dask scheduler
  --inputs X,y            variables that a Python program binds
""",
    ),
    "fmt": Help(
        "fmt [--check] FILE ...",
        "Rewrite scripts in the canonical form",
        "\n  --check                 change nothing, tell which files would change; status 1 when there are any\n",
    ),
    "demo": Help(
        "demo [--out FOLDER] [--quick]",
        "Learn how a healthy bearing sounds, then hear a broken one",
        "\n  --out FOLDER            where the report goes (dmlite-demo)\n  --quick                 fewer iterations\n",
    ),
    "calibrate": Help(
        "calibrate",
        "Measure how fast this machine is, for the planner",
        "\nTakes less than a minute. The figures are kept, and plans use them from then on; DMLITE_CALIBRATED=0 goes without.\n",
    ),
    "doctor": Help(
        "doctor",
        "Show what is installed here, what is missing, and what for",
    ),
}
