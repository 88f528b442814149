"""The command line: what goes to which stream, and with which status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dmlite.tools.cli import COMMANDS
from dmlite.tools.options import dollar_value
from tests.support.commands import COMMAND, interruptible, script

pytestmark = pytest.mark.usefixtures("folder")


# ---------------------------------------------------------------- run
@pytest.mark.parametrize(
    "words",
    [
        ["run", "x.dml"],
        ["x.dml"],
        ["-f", "x.dml"],
        ["run", "-f", "x.dml"],
        ["--f", "x.dml"],
        ["-f", "x.dml", "-exec", "singlenode"],
        ["run", "./x.dml", "--seed", "7"],
    ],
)
def test_spellings_of_run(cli, words):
    script("print(1 + 1)")
    assert cli(*words) == (0, "2\n", "")


def test_script_text(cli):
    assert cli("-s", "print('a b')") == (0, "a b\n", "")
    assert cli("run", "-s", "print(1)", "x.dml")[0] == 2


def test_script_from_stdin():
    done = subprocess.run([*COMMAND, "run", "-"], input="print(3)\nprint(y)", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("<stdin>:2:7: error:")


def test_everything_at_once_as_systemds_users_type_it(cli):
    script("X = rand(rows=3, cols=$n)\nprint(nrow(X) * ncol(X) + $a)")
    status, out, err = cli("-f", "x.dml", "-nvargs", "a=1", "n=4", "-stats", "5", "-explain", "hops", "-exec", "singlenode")
    assert (status, out) == (0, "13\n")
    assert "main()" in err and "s in operators" in err


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["-nvargs", "a=3"], "3"),
        (["-nvargs", "a=-3"], "-3"),
        (["-nvargs", "a=1", "a=2"], "2"),
        (["-nvargs", "a=2.50"], "2.5"),
        (["-nvargs", "a=TRUE"], "TRUE"),
        (["-nvargs", "a=true"], "true"),
        (["-nvargs", "a='TRUE'"], "TRUE"),
        (["-nvargs", "a=x y"], "x y"),
        (["-nvargs", "a="], ""),
        (["--nvargs", "a=5", "--seed", "1"], "5"),
    ],
)
def test_named_parameters(cli, words, out):
    script("print($a)")
    assert cli("run", "x.dml", *words) == (0, f"{out}\n", "")


def test_positional_parameters(cli):
    script("print($1 + ' ' + $2 + ' ' + $3)")
    assert cli("x.dml", "-args", "-4", "a=b", "-x") == (0, "-4 a=b -x\n", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("+7", 7),
        ("-0", 0),
        ("007", 7),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), float(2**63)),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5E-3", -0.0015),
        ("Infinity", float("inf")),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("0x10", "0x10"),
        ("1 ", "1 "),
        ("FALSE", False),
        ("'12'", "12"),
        ('"a"', "a"),
        ("'a", "'a"),
        ("'", "'"),
        (r"a\tb\\n", "a\tb\\n"),
        (r"\q", r"\q"),
        ("", ""),
        ("٣", "٣"),
    ],
)
def test_values_of_parameters(text, value):
    found = dollar_value(text)
    assert found == value and type(found) is type(value)


def test_seed_makes_random_numbers_repeatable(cli):
    script("print(sum(rand(rows=5, cols=5)))")
    first, second, other = (cli("x.dml", "--seed", seed)[1] for seed in (3, 3, 4))
    assert first == second != other
    assert cli("x.dml", "-seed", "-3")[0] == 0


@pytest.mark.parametrize("level", ["ast", "hops", "trace", "plan", "runtime", "recompile_hops", "recompile_runtime"])
def test_explain_while_running(cli, level):
    script("X = rand(rows=3, cols=3, min=1, max=1); print(sum(X %*% X))")
    status, out, err = cli("run", "x.dml", "--explain", level)
    assert (status, out) == (0, "27.0\n") and "x.dml" in err
    assert ("def " in err) == ("runtime" in level)
    assert cli("run", f"--explain={level}", "x.dml")[2] == err


def test_explain_without_a_level_is_the_generated_program(cli):
    script("print(sum(rand(rows=3, cols=3)) > 0)")
    assert "def " in cli("x.dml", "-explain")[2]


def test_statistics(cli):
    script("X = rand(rows=30, cols=30)\nfor (i in 1:4) { X = X %*% X / sum(X) }\nprint(sum(X) > 0)")
    status, out, err = cli("run", "x.dml", "--stats")
    assert (status, out) == (0, "TRUE\n")
    line = next(line for line in err.splitlines() if line.strip().startswith("matmul"))
    assert "x.dml:2:" in line and " 4 " in line
    assert len(cli("run", "x.dml", "--stats=1")[2].splitlines()) == 3


def test_statistics_of_a_script_that_fails(cli):
    script("print(sum(rand(rows=3, cols=3)) > 0)\nstop('enough')")
    status, out, err = cli("run", "x.dml", "--stats")
    assert (status, out) == (1, "TRUE\n") and "in operators" in err and "enough" in err


def test_what_has_no_effect_is_said(cli):
    script("print(1)")
    status, out, err = cli("-f", "x.dml", "-gpu", "force", "-config", "SystemDS-config.xml", "-exec", "spark")
    assert (status, out) == (0, "1\n")
    assert err == "dmlite: -gpu, -config SystemDS-config.xml has no effect\n"


def test_files_are_found_from_the_working_directory_and_imports_from_the_script(cli, folder):
    (folder / "sub").mkdir()
    script("f = function(double x) return (double y) { y = 2 * x }", "sub/lib.dml")
    script("source('lib.dml') as lib\nX = read('x.csv')\nprint(lib::f(sum(X)))", "sub/main.dml")
    script("1,2\n3,4\n", "x.csv")
    script('{"data_type": "matrix", "format": "csv", "rows": 2, "cols": 2}', "x.csv.mtd")
    assert cli("run", "sub/main.dml") == (0, "20.0\n", "")


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print(nosuch)", "x.dml:1:7: error"),
        ("x = \nprint(", "x.dml:2:"),
        ("stop('no more')", "no more"),
        ("X = rand(rows=2, cols=3)\nprint(as.scalar(X))", "x.dml:2:"),
        ("print($a)", "$a"),
        ("X = read('nowhere.csv', format='csv')\nprint(sum(X))", "nowhere.csv"),
        ("f = function(int n) return (int y) { y = f(n + 1) }\nprint(f(1))", "too deeply"),
    ],
)
def test_errors_of_a_script(cli, text, says):
    script(text)
    status, out, err = cli("run", "x.dml")
    assert (status, out) == (1, "") and says in err


def test_what_was_printed_before_an_error_is_shown(cli):
    script("print('first')\nstop('then')")
    status, out, err = cli("x.dml")
    assert (status, out) == (1, "first\n") and "then" in err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["run", "x.dml", "y.dml"],
        ["rnu", "x.dml"],
        ["run", "x.dml", "--nvarg", "a=1"],
        ["run", "x.dml", "-nvargs", "a"],
        ["run", "x.dml", "-nvargs", "a=b=c"],
        ["run", "x.dml", "-nvargs", "=3"],
        ["run", "x.dml", "-nvargs", "a b=3"],
        ["run", "x.dml", "--seed"],
        ["run", "x.dml", "--seed", "x"],
        ["run", "x.dml", "-exec", "quickly"],
        ["run", "-f"],
        ["explain"],
        ["explain", "x.dml", "--level", "deep"],
        ["check"],
        ["fmt"],
        ["fmt", "x.dml", "--stats"],
        ["demo", "x.dml"],
        ["doctor", "--quick"],
    ],
)
def test_usage(cli, words):
    script("print(1)")
    status, out, err = cli(*words)
    assert (status, out) == (2, "") and err.startswith(("dmlite: ", "usage: "))


def test_near_misses_are_named(cli):
    script("print(1)")
    assert "did you mean 'run'?" in cli("rnu", "x.dml")[2]
    assert "did you mean 'nvargs'?" in cli("run", "x.dml", "--nvarg", "a=1")[2]
    assert "did you mean 'x.dml'?" in cli("run", "y.dml")[2]


@pytest.mark.parametrize("name", ["nowhere.dml", ".", "binary.dml"])
def test_scripts_that_cannot_be_read(cli, folder, name):
    (folder / "binary.dml").write_bytes(b"print(\xff)")
    status, out, err = cli("run", name)
    assert (status, out) == (1, "") and name in err and err.count("\n") <= 2


def test_a_defect_is_one_line_and_a_hint(cli, monkeypatch):
    script("print(1)")

    def broken(*args):
        raise KeyError("deep\nwithin")

    monkeypatch.setattr("dmlite.flow.parse", broken)
    status, out, err = cli("run", "x.dml")
    assert (status, out) == (1, "")
    assert err == "dmlite: internal error: KeyError: 'deep\\nwithin'\n  hint: DMLITE_TRACEBACK=full shows where\n"


def test_frames_on_request():
    script("print(nosuch)")
    for words, environment in ((["--debug"], {}), ([], {"DMLITE_TRACEBACK": "full"})):
        done = subprocess.run(
            [*COMMAND, "run", "x.dml", *words], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and "Traceback" in done.stderr and "x.dml:1:7: error" in done.stderr


# ---------------------------------------------------------------- streams and signals
def _shell(line: str, **environment) -> subprocess.CompletedProcess:
    command = line.replace("dmlite ", f"{sys.executable} -m dmlite ")
    return subprocess.run(["bash", "-c", command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(os.name != "posix", reason="shell")
def test_a_reader_that_leaves():
    script("for (i in 1:100000) print(i)")
    done = _shell("set -o pipefail; dmlite x.dml | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (141, "1\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk():
    script("print(1)")
    done = _shell("dmlite x.dml > /dev/full")
    assert done.returncode == 1 and "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="shell")
def test_closed_and_narrow_streams():
    script("print('ü')")
    assert _shell("dmlite x.dml >&- 2>&-").returncode == 0
    done = _shell("dmlite x.dml", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xfc\n", "")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption():
    script("print('on')\nwhile (TRUE) { x = 1 }")
    process = subprocess.Popen(
        [*COMMAND, "x.dml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=interruptible,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "dmlite: interrupted\n")


# ---------------------------------------------------------------- help
@pytest.mark.parametrize("word", ["--help", "-h", "-help", "help"])
def test_overview(cli, word):
    status, out, err = cli(word)
    assert (status, err) == (0, "")
    assert all(f"  {command}" in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli, command):
    status, out, err = cli(command, "--help")
    assert (status, err) == (0, "") and out.startswith(f"usage: dmlite {command}")
    unsaid = {option for option in COMMANDS[command].options if f"-{option}" not in out}
    assert unsaid <= {"gpu", "config", "f", "s", "debug", "explain", "out"}


def test_version(cli):
    from dmlite import __version__

    assert cli("--version") == (0, f"dmlite {__version__}\n", "")
