"""Which workers a run uses, how they start, and that they end with whoever started them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from threading import Event
from time import perf_counter
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import psutil
import pytest

from dmlite import DMLError, MLContext, dml, settings
from dmlite.backends.dask import cluster, connect, given
from dmlite.backends.dask.processes import Processes
from dmlite.backends.dask.progress import progress
from dmlite.hop.machine import Cluster
from tests.support.commands import COMMAND, interruptible

PLANNED = Cluster(2, 1 << 30)
SUMS = "Z = X * 2 + rowSums(X); s = sum(Z)"
RNG = np.random.default_rng(5)
X = np.arange(12_000.0).reshape(600, 20)
LONG = """
X = rand(rows=2000, cols=50, seed=1)
s = 0
for (i in 1:1000000) { s = s + sum(abs(X * i)); if (i == 2) print("begun") }
print(s)
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    workers = Processes(PLANNED)
    yield workers.address
    cluster.close()
    workers.close()


def _sums() -> float:
    return dml(SUMS).input(X=X).output("s").execute().get("s")


def _expected() -> float:
    return float((X * 2 + X.sum(axis=1, keepdims=True)).sum())


# ---------------------------------------------------------------- which workers
def test_a_script_runs_on_the_cluster_of_an_address(address):
    with settings(exec="dask", cluster=address, chunk=20_000):
        assert _sums() == _expected()
        assert cluster.session().describe() == Cluster(2, 1 << 30, 1, chunk=20_000)


def test_a_script_runs_on_the_workers_of_a_client_which_stays_open(address):
    from dask.distributed import Client

    with Client(address, set_as_default=False) as client, settings(exec="dask", chunk=20_000):
        context = MLContext(client)
        assert context.execute(dml(SUMS).input(X=X).output("s")).get("s") == _expected()
        with given.using(client):
            assert cluster.session().client is client
        context.close()
        assert client.status == "running"
        assert client.submit(sum, [1, 2]).result() == 3


def test_plans_are_made_for_the_workers_that_were_named(address):
    from dask.distributed import Client

    with settings(exec="auto", cluster=address):
        unit = dml(SUMS).input(X=X).output("s").compile()
        assert unit.engine is not None and unit.engine.machine.cluster == Cluster(2, 1 << 30)
    with Client(address, set_as_default=False) as client, given.using(client):
        assert given.workers() == Cluster(2, 1 << 30)
    with settings(exec="local", cluster="tcp://127.0.0.1:1"):
        assert given.workers() is None
        assert _sums() == _expected()


def test_other_entry_points_are_accepted():
    for context in (None, object(), "spark"):
        assert MLContext(context).execute(dml("s = 1 + 1").output("s")).get("s") == 2


def test_a_client_that_does_not_wait_is_refused(address):
    from dask.distributed import Client

    async def attempt() -> None:
        async with Client(address, set_as_default=False, asynchronous=True) as client:
            with pytest.raises(DMLError, match="a script waits for its results"):
                MLContext(client)

    asyncio.run(attempt())


@pytest.mark.parametrize(
    "text",
    [
        "r = S %*% p + 0.001 * p",  # p is needed in chunks and whole by one region
        "r = as.matrix(sum(exp(sin(S * 2) * cos(S + 2)) + exp(S) * tan(S - 2)))",  # the function of a chunk calls another one
        "j = as.scalar(p[1, 1]); r = S[, j:3] * S[, j]",  # as many columns as are only known when it runs
    ],
)
def test_regions_whose_operands_need_care(text, address):
    inputs = {"S": RNG.random((300, 300)), "p": np.arange(1.0, 301).reshape(300, 1)}
    expected = dml(text).input(**inputs).output("r").execute().get("r").toNumPy()
    with settings(exec="dask", cluster=address, chunk=50_000):
        found = dml(text).input(**inputs).output("r").execute().get("r").toNumPy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # sums of 300 positive terms, by chunks in another order


def test_columns_outside_are_told_of_the_whole_matrix(address):
    text = "k = as.integer(as.scalar(p[1, 1])) + 59\nr = sum(S[, 4:k])"
    with settings(exec="dask", cluster=address, chunk=50_000), pytest.raises(DMLError) as error:
        dml(text).input(S=RNG.random((3000, 50)), p=np.ones((1, 1))).output("r").execute()
    assert "<script>:2:9: error: column index 4:60 is outside of a 3000x50 matrix" in str(error.value)


_SECURE = """
import sys
from dask.distributed import LocalCluster, Security
files = {f"tls_{who}_{what}": f"{what}.pem" for who in ("client", "scheduler", "worker") for what in ("cert", "key")}
security = Security(tls_ca_file="cert.pem", require_encryption=True, **files)
options = {"n_workers": 1, "processes": False, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
with LocalCluster(protocol="tls://", security=security, **options) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


# a certificate that nobody else has seen must be made here; Python's standard library cannot, and no package is worth it for one test
@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_tls_takes_the_security_of_the_configuration_of_dask(tmp_path, monkeypatch):
    import dask

    monkeypatch.chdir(tmp_path)
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(made.split(), check=True, capture_output=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", _SECURE], text=True, **pipes) as process:
        address = process.stdout.readline().strip()
        with settings(exec="dask", cluster=address, chunk=20_000):
            with pytest.raises(DMLError, match="name ca-file, client cert and key"):
                _sums()
            tls = {"ca-file": "cert.pem", "client.cert": "cert.pem", "client.key": "key.pem"}
            with dask.config.set({f"distributed.comm.tls.{name}": file for name, file in tls.items()}):
                assert _sums() == _expected()
        cluster.close()
        process.stdin.close()


# ---------------------------------------------------------------- while it waits
class Terminal(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.shown = Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.shown.set()
        return super().write(text)


def test_a_terminal_shows_how_far_the_workers_are(monkeypatch):
    states = [SimpleNamespace(status=status) for status in ("pending", "pending", "finished")]
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("dmlite.backends.dask.progress._AFTER", 0.0)
    with progress(SimpleNamespace(futures=dict(enumerate(states)))):
        assert terminal.shown.wait(30)
    assert terminal.getvalue().startswith("\r\x1b[K0 of 2 tasks done")
    assert terminal.getvalue().endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", StringIO())
    with progress(SimpleNamespace(futures={})):
        pass
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


# ---------------------------------------------------------------- addresses that lead nowhere
def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:{port}", "no scheduler can be reached at tcp://127.0.0.1:{port}: Connection refused"),
        ("127.0.0.1:{port}", "no scheduler can be reached at 127.0.0.1:{port}"),
        ("tcp://127.0.0.1", "'tcp://127.0.0.1' is no address of a scheduler: it needs a host and a port"),
        ("tcp://127.0.0.1:many", "'tcp://127.0.0.1:many' is no address of a scheduler"),
        ("nowhere://127.0.0.1:{port}", "the scheduler at nowhere://127.0.0.1:{port} does not answer"),
    ],
)
def test_an_address_without_a_scheduler_is_an_error_at_once(address, message):
    port = _free_port()
    with settings(exec="dask", cluster=address.format(port=port)), pytest.raises(DMLError) as raised:
        _sums()
    assert message.format(port=port) in str(raised.value)
    assert "hint: " in str(raised.value)


@pytest.mark.parametrize(("there", "has"), [("0.0.1", "has dmlite 0.0.1"), (None, "has no dmlite")])
def test_workers_without_this_version_are_refused(there, has):
    of = lambda version: {"packages": {"dmlite": version}}  # noqa: E731
    found = {"client": of("0.1.0"), "scheduler": of("0.1.0"), "workers": {"tcp://a:1": of("0.1.0"), "tcp://b:1": of(there)}}
    with pytest.raises(DMLError, match=f"the worker at tcp://b:1 {has}, this process 0.1.0"):
        connect.check(SimpleNamespace(get_versions=lambda **_: found))


# ---------------------------------------------------------------- processes of this machine
class Marked:
    """Processes that a test starts, and those that they start, by a variable of their environment."""

    def __init__(self) -> None:
        self.mark = uuid4().hex
        self.environment = {**os.environ, "DMLITE_CHUNK": "100KB", "DMLITE_MEMORY": "2GB", "DMLITE_COMPILE": "0", "MARK": self.mark}

    def alive(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("MARK") == self.mark
        except psutil.Error:  # it has ended, or is of somebody else
            return False

    def have_ended(self, seconds: float = 30) -> bool:
        deadline = perf_counter() + seconds
        while (alive := self.alive()) and perf_counter() < deadline:
            psutil.wait_procs(alive, timeout=0.1)
        return not alive


def test_a_small_script_starts_no_workers():
    program = """
import sys
from dmlite import dml
import numpy as np
dml("s = sum(X)").input(X=np.ones((1000, 100))).output("s").execute()
print([m for m in ("dask", "distributed", "dmlite.backends.dask.cluster") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_workers_start_when_a_plan_needs_them_and_end_with_the_context(tmp_path):
    path = tmp_path / "script.py"  # not guarded against being imported again
    path.write_text(f"""
import psutil
import numpy as np
from dmlite import MLContext, dml, settings
X = np.arange(12_000.0).reshape(600, 20)
with settings(exec="dask", chunk=20_000), MLContext() as context:
    print(context.execute(dml({SUMS!r}).input(X=X).output("s")).get("s"))
    workers = psutil.Process().children()
    print(len(workers))
print(workers[0].is_running())
""")
    marked = Marked()
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=True, env=marked.environment)
    assert (done.stdout, done.stderr) == (f"{_expected()}\n1\nFalse\n", "")
    assert marked.have_ended()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_an_interrupted_script(number):
    marked = Marked()
    command = [*COMMAND, "-s", LONG, "--exec", "dask"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=marked.environment, preexec_fn=interruptible
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            assert len(marked.alive()) > 3
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    expected = (130, "", "dmlite: interrupted\n") if number == signal.SIGINT else (-number, "", "")
    assert (process.returncode, output, errors) == expected
    assert marked.have_ended()


def test_no_process_outlives_an_error():
    marked = Marked()
    text = 'X = rand(rows=2000, cols=50); print(sum(X) > 0); if (sum(X * 2) > 1) stop("no more")'
    command = [*COMMAND, "-s", text, "--exec", "dask"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=marked.environment, check=False)
    assert (done.returncode, done.stdout) == (1, "TRUE\n")
    assert "no more" in done.stderr and "Traceback" not in done.stderr
    assert marked.have_ended()
