"""Workers that end in the middle of a run, or have too little memory."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError, Script, dml, settings
from dmlite.backends.dask import cluster
from dmlite.backends.dask.failures import explained
from dmlite.backends.dask.processes import Processes
from dmlite.backends.dask.worker import ChunkError
from dmlite.errors import Source, Span
from dmlite.hop.machine import Cluster

RNG = np.random.default_rng(1)
X = RNG.random((3000, 20))
RATINGS = sp.random(400, 60, density=0.1, random_state=2, format="csr")

LR_CG = """
w = matrix(0, rows=ncol(X), cols=1)
r = -(t(X) %*% y)
p = -r
rr = sum(r^2)
for (i in 1:10) {
  q = t(X) %*% (X %*% p) + 0.001 * p
  a = rr / sum(p * q)
  w = w + a * p
  r = r + a * q
  old = rr
  rr = sum(r^2)
  p = -r + (rr / old) * p
}
"""
ALS = "[w, V] = als(X=X, rank=3, reg=0.1, maxi=2, check=FALSE, thr=0.0, seed=7, verbose=FALSE)"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    workers = Processes(Cluster(2, 600 << 20))
    yield workers.address
    cluster.close()
    workers.close()


@contextmanager
def at_each_submission(act: Callable[[cluster.Session, int], None]) -> Iterator[list[int]]:
    """Calls `act` with the number of the submission, whose tasks have just been sent."""
    each, count = cluster.Session.each, [0]

    def counted(self, *args, **names):
        futures = each(self, *args, **names)
        count[0] += 1
        act(self, count[0])
        return futures

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster.Session, "each", counted)
        yield count


def kill_at(number: int) -> Callable[[cluster.Session, int], None]:
    def act(session: cluster.Session, now: int) -> None:
        if now == number:
            os.kill(min(session.client.run(os.getpid).values()), signal.SIGKILL)

    return act


def _script(name: str) -> Script:
    if name == "LR-CG":
        return dml(LR_CG).input(X=X, y=X @ np.arange(20.0)).output("w")
    return dml(ALS).input(X=RATINGS).output("w")


@pytest.mark.parametrize(("name", "chunk"), [("LR-CG", 40_000), ("ALS", 1_000_000)])
def test_a_killed_worker_changes_nothing(name, chunk, address, capfd):
    script = _script(name)
    with settings(exec="dask", cluster=address, chunk=chunk):
        with at_each_submission(lambda *_: None) as count:
            undisturbed = script.execute().get("w").toNumPy()
        assert count[0] > 8
        cluster.close()  # a new session, which has told of no loss
        with at_each_submission(kill_at(count[0] // 2)):
            found = script.execute().get("w").toNumPy()
    # BLAS rounds as the addresses of its operands are, which differ from run to run
    np.testing.assert_allclose(found, undisturbed, rtol=1e-10, atol=1e-10 * np.max(np.abs(undisturbed)))
    assert capfd.readouterr().err == "dmlite: a worker was lost; what it held is computed again\n"


def test_what_lies_on_workers_is_computed_again(address):
    with settings(exec="dask", cluster=address, chunk=40_000):
        Z = dml("Z = X * 2 + 1").input(X=X).output("Z").execute()._values["Z"]
        for pid in Z.session.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        assert np.array_equal(Z.toarray(), X * 2 + 1)


def test_a_worker_without_enough_memory_is_an_error_with_line_and_bytes(address):
    """Tasks are not waited for at once, so the line is that where they were asked for."""
    text = "Z = exp(X %*% v)\ns = 0\nfor (i in 1:2) { s = s + sum(Z * i) }"
    with settings(exec="dask", cluster=address, chunk=16_000), pytest.raises(DMLError) as raised:
        dml(text).input(X=np.ones((4000, 1)), v=np.ones((1, 60_000))).output("s").execute()
    problem = raised.value.problems[0]
    assert problem.span is not None and problem.span.line == 1
    assert re.fullmatch(
        r"3 workers ended while they ran this, probably out of memory: a chunk takes about 9\d\d\.\d MB, and a worker has 629\.1 MB",
        problem.message,
    )


def test_memory_that_a_worker_does_not_get_is_an_error_with_line_and_bytes():
    span = Span(Source("s.dml", "Z = X %*% Y"), 1, 5, 1, 12)
    session = SimpleNamespace(lines={"b1": {3: ("%*%", span)}}, needs={}, workers=Cluster(2, 600 << 20))
    cause = MemoryError("Unable to allocate 8.00 GiB for an array")
    told = explained(ChunkError("b1", 3, cause), session)  # type: ignore[arg-type]
    assert str(told).startswith("s.dml:1:5: error: a worker ran out of memory (Unable to allocate 8.00 GiB for an array) in %*%\n")
    assert str(explained(cause, session)).startswith("error: a worker ran out of memory (Unable to")  # type: ignore[arg-type]


def test_the_end_of_the_cluster_is_an_error():
    workers = Processes(Cluster(1, 600 << 20))
    with settings(exec="dask", cluster=workers.address, chunk=40_000):
        Z = dml("Z = X * 2 + 1").input(X=X).output("Z").execute()._values["Z"]
        workers.close()
        with pytest.raises(DMLError, match="the cluster ended, and what lay on its workers with it"):
            Z.toarray()
