"""Embedding in Python: what goes in, what comes out, and that neither side surprises the other."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError, MLContext, dml, dmlFromFile, jvm_stdout, settings
from dmlite.runtime.stats import Stats

ml = MLContext()
RNG = np.random.default_rng(5)
TABLE = np.arange(12.0).reshape(4, 3)


def echo(value):
    """The cells of `value` as a script sees them."""
    return ml.execute(dml("Y = X + 0").input(X=value).output("Y")).get("Y").toNumPy()


# ---------------------------------------------------------------- dead code
def _ran(script) -> set[str]:
    stats = Stats()
    script.execute(stats)
    return {entry.what for entry in stats.entries.values() if entry.calls}


def test_what_serves_no_output_does_not_run():
    text = "A = X %*% t(X)\nE = inv(A + diag(matrix(1, nrow(X), 1)))\ns = sum(X)"
    assert not {"matmul", "tsmm", "inv"} & _ran(dml(text).input(X=TABLE).output("s"))
    assert "inv" in _ran(dml(text).input(X=TABLE).output("E"))
    assert "inv" in _ran(dml(text).input(X=TABLE))  # without output every variable can be asked for


def test_effects_are_never_dead(capsys):
    dml("print('here'); s = 1").output("s").execute()
    assert capsys.readouterr().out == "here\n"
    with pytest.raises(DMLError, match="too small"):
        dml("if (sum(X) < 1000) stop('too small')\ns = 1").input(X=TABLE).output("s").execute()


def test_a_stop_comes_before_what_it_leaves_unset():
    text = (
        "f = function(int k) return (double s) {\n if (k == 1) { D = matrix(k, 2, 2) } else { stop('bad ' + k) }\n s = sum(D)\n}\ns = f(2)"
    )
    with pytest.raises(DMLError, match="bad 2"):
        dml(text).execute()
    shapes = "g = function(int k) return (double s) {\n X = matrix(1, 2, 2)\n while (FALSE) {}\n s = sum(X[, k]) }\n"
    with pytest.raises(DMLError, match="bad 3"):
        dml(shapes + "k = 3\nif (k > 2) { stop('bad ' + k) }\ns = g(k)").execute()
    assert dml(shapes + "s = 0\nif (sum(matrix(k, 2, 2)) > 9) { s = g(3) }").input(k=2).output("s").execute().get("s") == 0
    with pytest.raises(DMLError, match="column index 3 is outside"):
        dml(shapes + "s = g(3)").compile()


def test_results_in_the_place_of_operands_come_without_warnings():
    text = "Y = X + 1\nfor (i in 1:3) { Z = Y * 2; Y = max(min(Z, 7), Y - 3) }\ns = sum(Y)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dml(text).input(X=np.zeros((200, 200))).output("s").execute().get("s") == 200 * 200 * 7


# ---------------------------------------------------------------- compiling once
LOOP = "W = X\nfor (i in 1:3) { W = W %*% t(X) %*% X / sum(X) }\ns = sum(W)"


def test_the_same_kinds_and_shapes_compile_once():
    script = dml(LOOP).input(X=TABLE)
    script.execute()
    unit = script.compile()
    plans = len(unit.engine.runs)
    assert plans > 0
    for k in range(3):
        script.input(X=TABLE + k).execute()
    assert script.compile() is unit and len(unit.engine.runs) == plans
    again = dml(LOOP).input(X=RNG.random((4, 3)))
    assert again.compile() is unit
    again.execute()
    assert len(unit.engine.runs) == plans


def test_other_shapes_kinds_parameters_and_settings_compile_again():
    unit = dml(LOOP).input(X=TABLE).compile()
    assert dml(LOOP).input(X=TABLE[:2]).compile() is not unit
    assert dml(LOOP).input(X=TABLE).output("s").compile() is not unit
    assert dml(LOOP).input(X=TABLE, y=1).compile() is not unit
    assert dml(LOOP).input(X=TABLE).input("$a", 1).compile() is not unit
    with settings(opt_level=0):
        assert dml(LOOP).input(X=TABLE).compile() is not unit


def test_every_shape_gives_its_own_result():
    script = dml("s = sum(X %*% t(X)); Y = colSums(X)")
    for shape in ((2, 3), (5, 1), (1, 4), (2, 3)):
        X = RNG.random(shape)
        s, Y = script.input(X=X).execute().get("s", "Y")
        assert s == pytest.approx((X @ X.T).sum()) and np.allclose(Y, X.sum(0, keepdims=True))


def test_dense_and_sparse_inputs_of_one_shape():
    X = sp.random_array((40, 30), density=0.05, rng=1, format="csr")
    script = dml("Y = X %*% t(X)")
    for value in (X, X.toarray(), X, X.toarray()):
        assert np.allclose(script.input(X=value).execute().get("Y"), (X @ X.T).toarray())


def test_a_scalar_may_change_its_value_and_kind():
    script = dml("y = x * 2; Z = matrix(1, rows=n, cols=2)")
    for x, n in ((1, 2), (2.5, 3), (True, 4), (4, 2.0)):
        y, Z = script.input(x=x, n=n).execute().get("y", "Z")
        assert y == 2 * x and Z.shape == (int(n), 2)


def test_a_file_that_changed_is_read_anew(tmp_path):
    path = tmp_path / "x.csv"
    script = dml(f"X = read('{path}', format='csv'); s = sum(X); n = nrow(X)")
    for table in (np.ones((2, 2)), np.ones((5, 2)), np.ones((1, 7))):
        np.savetxt(path, table, delimiter=",")
        assert script.execute().get("s", "n") == [table.sum(), len(table)]


def test_an_imported_file_that_changed_is_compiled_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k in (1, 22):
        (tmp_path / "lib.dml").write_text(f"f = function(double x) return (double y) {{ y = x + {k} }}")
        assert dml("source('lib.dml') as lib\ny = lib::f(1)").execute().get("y") == 1 + k


def test_two_folders_with_the_same_names(tmp_path, monkeypatch):
    for k in (1, 2):
        (tmp_path / str(k)).mkdir()
        monkeypatch.chdir(tmp_path / str(k))
        (tmp_path / str(k) / "lib.dml").write_text(f"f = function(double x) return (double y) {{ y = x + {k} }}")
        assert dml("source('lib.dml') as lib\ny = lib::f(1)").execute().get("y") == 1 + k


def test_two_threads():
    text = "A = X\nfor (i in 1:30) { A = A %*% X / sum(A); A[1, 1] = i }\nf = function(int n) return (int y) { if (n < 2) { y = n } else { y = f(n - 1) + f(n - 2) } }\nk = f(n)"
    X = [RNG.random((5, 5)) for _ in range(4)]
    alone = [np.asarray(dml(text).input(X=x, n=8).execute().get("A")) for x in X]
    failures = []

    def work(x, expected):
        script = dml(text)
        for _ in range(5):
            A, k = MLContext().execute(script.input(X=x, n=8)).get("A", "k")
            if not np.array_equal(A, expected) or k != 21:
                failures.append((A, k))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(X, alone, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_deep_recursion_beside_short_runs():
    text = "f = function(int n) return (int y) { y = 0\nif (n > 0) { y = 1 + f(n - 1) } }\nk = f(n)"
    got = []
    deep = threading.Thread(target=lambda: got.extend(dml(text).input(n=1500 + k).execute().get("k") for k in range(3)))
    deep.start()
    while deep.is_alive():
        dml("y = x").input(x=len(got)).execute()
    assert got == [1500, 1501, 1502]


def test_one_script_object_in_two_threads():
    script = dml("y = sum(X) + 1").input(X=TABLE)
    got = []
    threads = [threading.Thread(target=lambda: got.append(script.execute().get("y"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [TABLE.sum() + 1] * 4


# ---------------------------------------------------------------- scripts and contexts
def test_scripts_from_text_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib.dml").write_text("f = function(double x) return (double y) { y = x + 1 }")
    (tmp_path / "main.dml").write_text("source('lib.dml') as lib\ny = lib::f(1)\n")
    monkeypatch.chdir("/")
    for script in (dml(str(tmp_path / "main.dml")), dmlFromFile(tmp_path / "main.dml"), dmlFromFile(str(tmp_path / "main.dml"))):
        assert ml.execute(script).get("y") == 2
    assert dml("y = 1").getScriptString() == "y = 1"


@pytest.mark.parametrize("bad", [None, 3, b"y = 1"])
def test_a_script_is_a_string(bad):
    with pytest.raises(ValueError, match="string"):
        dml(bad)


def test_a_context_executes_scripts_only():
    with pytest.raises(ValueError, match="made by dml"):
        ml.execute("y = 1")


def test_a_missing_file():
    for make in (dml, dmlFromFile):
        with pytest.raises(ValueError, match=r"no such script: nowhere\.dml"):
            make("nowhere.dml")


def test_clearing():
    script = dml("y = x").input(x=1).output("y")
    assert script.clearIO() is script
    with pytest.raises(DMLError, match="x"):
        script.execute()


@pytest.mark.parametrize("context", [None, "local[2]", object()])
def test_a_context_takes_anything(context):
    assert MLContext(context).execute(dml("y = 1")).get("y") == 1


def test_statistics_and_explain(capsys):
    context = MLContext().setStatistics(True).setStatisticsMaxHeavyHitters(3).setExplain(True).setExplainLevel("hops")
    assert context.execute(dml("y = sum(X %*% t(X))").input(X=TABLE)).get("y") == pytest.approx((TABLE @ TABLE.T).sum())
    shown = capsys.readouterr()
    assert "seconds" in shown.err and "block" in shown.out
    with pytest.raises(ValueError, match="level"):
        context.setExplainLevel("everything")
    assert context.version() and context.close() is None


@pytest.mark.parametrize(("level", "shows"), [("hops", "sum(X)"), ("plan", "sum(X)"), ("runtime", "def ")])
def test_explain(level, shows):
    assert shows in str(dml("y = sum(X)").input(X=TABLE).explain(level))


def test_prints_reach_stdout_in_order(capsys):
    with jvm_stdout(True):
        print("before")
        ml.execute(dml("print('inside')"))
        print("after")
    with jvm_stdout(), jvm_stdout():
        pass
    assert capsys.readouterr().out == "before\ninside\nafter\n"


# ---------------------------------------------------------------- errors
def test_errors_name_the_place():
    with pytest.raises(DMLError) as error:
        dml("x = 1\ny = X %*% X").input(X=np.ones((2, 3))).execute()
    assert "<script>:2:" in str(error.value) and "2x3" in str(error.value)
    with pytest.raises(DMLError) as error:
        dml("y = as.scalar(X)").input(X=np.ones((2, 3))).execute()
    assert "<script>:1:" in str(error.value)


def test_an_error_leaves_the_script_usable():
    script = dml("if (x > 1) stop('too large')\ny = x")
    with pytest.raises(DMLError, match="too large"):
        script.input(x=2).execute()
    assert script.input(x=1).execute().get("y") == 1


def test_python_frames_on_request():
    with settings(traceback=True), pytest.raises(DMLError) as error:
        dml("y = as.scalar(X)").input(X=np.ones((2, 3))).execute()
    assert error.traceback[-1].name != "execute"


def test_names_that_are_python_words():
    text = "lambda = 1; class = lambda + 1; None = class + 1; __import__x = 1"
    got = dml(text.replace("__import__x", "def")).execute()
    assert got.get("lambda", "class", "None", "def") == [1, 2, 3, 1]
    assert dml("y = class + 1").input(**{"class": 1}).execute().get("y") == 2
