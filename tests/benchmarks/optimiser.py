"""How quickly programs are optimised: HOPs a second through all default passes, and what compiling a script takes.

    python tests/benchmarks/optimiser.py [--rounds 7] [--profile]

The network is the largest that nnlib makes: a deep convolutional one, forward, backward and update. Times are of the CPU,
so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import os
import pstats
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

from dmlite.codegen.emit import Emitter
from dmlite.flow import STAGES, Unit
from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.program import Block
from dmlite.plan.physical import Planner
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import rules_for

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "published"
CHANNELS = (1, 8, 8, 16, 16, 32, 32)
AFFINE = (256, 128, 64, 10)
SIDE = 32  # of the images; halved after every second convolution
IMPORTS = """
source("nn/layers/affine.dml") as affine
source("nn/layers/batch_norm1d.dml") as batch_norm
source("nn/layers/conv2d_builtin.dml") as conv2d
source("nn/layers/cross_entropy_loss.dml") as cross_entropy
source("nn/layers/dropout.dml") as dropout
source("nn/layers/max_pool2d_builtin.dml") as max_pool2d
source("nn/layers/relu.dml") as relu
source("nn/layers/softmax.dml") as softmax
source("nn/optim/adam.dml") as adam
source("nn/optim/rmsprop.dml") as rmsprop
"""


# ---------------------------------------------------------------- the network
class Network:
    """Writes the script layer by layer: lines before the loop, of the forward pass, the backward pass (from its end), the update."""

    def __init__(self) -> None:
        self.start: list[str] = []
        self.forward: list[str] = []
        self.backward: list[list[str]] = []
        self.update: list[str] = []
        self.layers = 0
        self.out = "X"  # what the last layer gives

    def _layer(self, prefix: str) -> tuple[str, str]:
        self.layers += 1
        before, self.out = self.out, f"{prefix}{self.layers}"
        return before, self.out

    def _trained(self, *names: str) -> None:
        for name in names:
            self.start.append(f"[m_{name}, v_{name}] = adam::init({name})")
            self.update.append(
                f"[{name}, m_{name}, v_{name}] = adam::update({name}, d{name}, 0.001, 0.9, 0.999, 1e-8, i - 1, m_{name}, v_{name})"
            )

    def convolution(self, channels: int, filters: int, side: int) -> None:
        x, y = self._layer("c")
        n, sizes = self.layers, f"{channels}, {side}, {side}, 3, 3, 1, 1, 1, 1"
        self.start.append(f"[W{n}, b{n}] = conv2d::init({filters}, {channels}, 3, 3)")
        self._trained(f"W{n}", f"b{n}")
        self.forward.append(f"[{y}, H{n}, V{n}] = conv2d::forward({x}, W{n}, b{n}, {sizes})")
        self.backward.append([f"[d{x}, dW{n}, db{n}] = conv2d::backward(d{y}, H{n}, V{n}, {x}, W{n}, b{n}, {sizes})"])

    def affine(self, inputs: int, outputs: int) -> None:
        x, y = self._layer("a")
        n = self.layers
        self.start.append(f"[W{n}, b{n}] = affine::init({inputs}, {outputs})")
        self._trained(f"W{n}", f"b{n}")
        self.forward.append(f"{y} = affine::forward({x}, W{n}, b{n})")
        self.backward.append([f"[d{x}, dW{n}, db{n}] = affine::backward(d{y}, {x}, W{n}, b{n})"])

    def normalised(self, features: int) -> None:
        x, y = self._layer("n")
        n = self.layers
        state = f'{x}, g{n}, h{n}, "train", mean{n}, var{n}, 0.9, 1e-5'
        self.start.append(f"[g{n}, h{n}, mean{n}, var{n}] = batch_norm::init({features})")
        self.start += [f"cache_g{n} = rmsprop::init(g{n})", f"cache_h{n} = rmsprop::init(h{n})"]
        self.update += [f"[{p}, cache_{p}] = rmsprop::update({p}, d{p}, 0.001, 0.95, 1e-6, cache_{p})" for p in (f"g{n}", f"h{n}")]
        self.forward.append(f"[{y}, new_mean{n}, new_var{n}, mu{n}, sigma{n}, norm{n}] = batch_norm::forward({state})")
        self.backward.append(
            [f"[d{x}, dg{n}, dh{n}] = batch_norm::backward(d{y}, {y}, new_mean{n}, new_var{n}, mu{n}, sigma{n}, norm{n}, {state})"]
        )
        self.update += [f"mean{n} = new_mean{n}", f"var{n} = new_var{n}"]

    def relu(self) -> None:
        x, y = self._layer("r")
        self.forward.append(f"{y} = relu::forward({x})")
        self.backward.append([f"d{x} = relu::backward(d{y}, {x})"])

    def dropout(self) -> None:
        x, y = self._layer("d")
        self.forward.append(f"[{y}, mask{self.layers}] = dropout::forward({x}, 0.5)")
        self.backward.append([f"d{x} = dropout::backward(d{y}, {x}, 0.5, mask{self.layers})"])

    def pool(self, channels: int, side: int) -> None:
        x, y = self._layer("p")
        n, sizes = self.layers, f"{channels}, {side}, {side}, 2, 2, 2, 2, 0, 0"
        self.forward.append(f"[{y}, H{n}, V{n}] = max_pool2d::forward({x}, {sizes})")
        self.backward.append([f"d{x} = max_pool2d::backward(d{y}, H{n}, V{n}, {x}, {sizes})"])

    def text(self, iterations: int = 1000) -> str:
        loss = [
            f"P = softmax::forward({self.out})",
            "loss = cross_entropy::forward(P, Y)",
            f"d{self.out} = softmax::backward(cross_entropy::backward(P, Y), {self.out})",
        ]
        backward = [line for lines in reversed(self.backward) for line in lines]
        body = "\n  ".join([*self.forward, *loss, *backward, *self.update])
        return f"{IMPORTS}{chr(10).join(self.start)}\nfor (i in 1:{iterations}) {{\n  {body}\n}}\nprint(loss)\n"


def network() -> str:
    """Six convolutions, each normalised, three poolings, four affine layers with dropout: X is (N, SIDE^2), Y (N, 10)."""
    net, side = Network(), SIDE
    for i, (channels, filters) in enumerate(itertools.pairwise(CHANNELS)):
        net.convolution(channels, filters, side)
        net.normalised(filters * side * side)
        net.relu()
        if i % 2:
            net.pool(filters, side)
            side //= 2
    sizes = (CHANNELS[-1] * side * side, *AFFINE)
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        net.affine(inputs, outputs)
        if i < len(AFFINE) - 1:
            net.normalised(outputs)
            net.relu()
            net.dropout()
    return net.text()


# ---------------------------------------------------------------- measuring
def seconds(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def yardstick() -> float:
    """Milliseconds of a fixed piece of Python, to compare machines, and the same one on busy and quiet days."""

    def steps() -> None:
        table: dict[int, int] = {}
        for i in range(100_000):
            table[i & 1023] = i

    return 1e3 * min(seconds(steps) for _ in range(9))


def optimised(blocks: list[Block]) -> None:
    """All default passes: inference, rules of both phases, fusions."""
    rules = rules_for(2, sizes_known=True)
    for block in blocks:
        rewrite(block, FactTable(block.facts_in, lenient=True), rules, thrifty=True)


def planned(blocks: list[Block]) -> None:
    """What else happens before a block can run, without the rewrites."""
    for block in blocks:
        facts = FactTable(block.facts_in, lenient=True)
        plan = Planner(block.roots, facts, block.live_after, block.spans).plan(block.inputs, block.recycled)
        Emitter(plan, "block").emit()


def passes(rounds: int, profile: bool) -> None:
    text, inputs = network(), {"X": matrix(64, SIDE * SIDE), "Y": matrix(64, 10)}
    unit, stages = Unit(text, inputs=inputs), {}
    for name, stage in STAGES:
        stages[name] = seconds(lambda stage=stage: stage(unit))
    assert unit.program is not None
    blocks = [block for _, block in unit.program.blocks()]
    nodes = [hop for block in blocks for hop in block.hops]
    hops, operators = len(nodes), sum(bool(hop.args) for hop in nodes)
    cold = seconds(lambda: optimised(blocks))
    times = [seconds(lambda: optimised(blocks)) for _ in range(rounds)]
    warm = statistics.median(times)
    rest = statistics.median(seconds(lambda: planned(blocks)) for _ in range(rounds))
    print(f"network of {text.count(chr(10))} lines: {hops} HOPs in {len(blocks)} blocks, {operators} of them operators")
    print("stages, once:  " + "  ".join(f"{name} {took:.3f} s" for name, took in stages.items()))
    print(f"default passes: {warm:.3f} s ({min(times):.3f} to {max(times):.3f}), the first time {cold:.3f} s")
    print(
        f"that is {hops / warm:,.0f} HOPs a second, {operators / warm:,.0f} operators; where 100,000 steps of a loop take {yardstick():.1f} ms"
    )
    print(f"planning and generating: {rest:.3f} s")
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(optimised, blocks)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


# ---------------------------------------------------------------- scripts as a user compiles them
COMPILE = """
import sys
from time import process_time
from dmlite import dml
import dmlite.api
import numpy as np
path, columns, *names = sys.argv[1:]
X = np.random.default_rng(1).normal(size=(3000, int(columns)))
start = process_time()
script = dml(path).input(X=X)
for name in names:
    script.input(name, False if name == "pushWeights" else X[:, :1])
engine = script.compile().engine
for _, block in engine.program.blocks():
    engine.preview(block)
print(process_time() - start)
"""


def scripts(rounds: int) -> None:
    """Each in a fresh process, without what importing takes, until every block is planned. The first process on a machine
    also compiles the grammar and parses the rules, which others find in the cache."""
    for path in [ROOT / "scripts" / "anomaly" / "lstm.dml", *sorted(PUBLISHED.glob("*.dml"))]:
        words = sorted(set(re.findall(r"\b(?:y|W\d?push|pushWeights)\b", path.read_text()))) if path.parent == PUBLISHED else []
        columns = "2" if path.stem.startswith("feedforward") else "1"
        with tempfile.TemporaryDirectory() as cache:
            first, *times = [_fresh([str(path), columns, *words], cache) for _ in range(rounds + 1)]
        took = f"{statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f})"
        print(f"{path.parent.name}/{path.name}: compiled in {took}, {first:.3f} s for the first time on a machine")


def _fresh(words: list[str], cache: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": f"{cache}/bytecode", "DMLITE_CACHE_DIR": f"{cache}/dmlite"}
    done = subprocess.run([sys.executable, "-c", COMPILE, *words], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="where the time of the default passes goes")
    options = parser.parse_args()
    passes(options.rounds, options.profile)
    scripts(options.rounds)
