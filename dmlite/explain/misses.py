"""Fused operators that were nearly used: what fits but for one condition, or but for its cost.

A fusion is looked for at every operator that is still there before fusing. Where its guard says no, single conditions are
supposed to hold instead; when one of them turns the answer around, that is the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dmlite.hop.cost import is_sparse
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import seconds_text
from dmlite.hop.node import HOLE, Hop, make, postorder
from dmlite.hop.program import Block
from dmlite.rewrite.driver import Rewriter
from dmlite.rewrite.fuse.choose import Fusions
from dmlite.rewrite.fuse.fusion import Fusion, factors
from dmlite.rewrite.rule import Match, Rule

_LARGE: Final = 1000  # times the size, that a fusion might wait for
_SPARSE: Final = 1000  # cells for each non-zero, that a fusion might wait for
_OTHER: Final = "its factor is {}, not {}"
_FAR: Final = 4.0  # times the cost of what it replaces: a fusion that costs more was not near
_SPECIFIC: Final = 4  # operators of a pattern that is no coincidence, even where one condition fails


@dataclass(frozen=True)
class Miss:
    """`rule` does not replace `hop`. reason: `{}` stands for who else needs something, `others` (nobody: a variable keeps it)."""

    rule: Fusion
    hop: Hop
    reason: str
    kept: Hop | None = None
    others: tuple[Hop, ...] = ()


def misses(block: Block, facts: FactTable, rules: Sequence[Rule]) -> list[Miss]:
    """The fused operators that nearly replace something in the plan of `block` for `facts`; at most one for each operator."""
    watched = _Watching(block, facts, rules, thrifty=True)
    watched.run()
    fusions = watched.fusions
    if fusions is None:
        return []
    found: dict[Hop, Miss] = {}
    for hop in postorder(fusions.roots):
        if fusions.is_dead(hop):
            continue
        miss = _too_dear(fusions, hop) or (None if hop in fusions.taken else next(_guarded(watched, hop), None))
        if miss is not None:
            found[hop] = miss
    return list(found.values())


class _Watching(Rewriter):
    """Rewrites as ever, and keeps what it had to choose from in the end."""

    fusions: Fusions | None = None

    @property
    def counted(self) -> Counter[Hop]:
        return self._uses

    def _fused(self, roots: list[Hop]) -> list[Hop]:
        if self.index.fusions:
            self.fusions = Fusions(roots, self.facts, self.index.fusions, self._attempt)
            self.fusions.choose()
        return roots


# ---------------------------------------------------------------- fits, but does not pay
def _too_dear(fusions: Fusions, hop: Hop) -> Miss | None:
    """The match at `hop` that would do without most, unless it is taken, with what speaks against it."""
    taken = fusions.taken.get(hop)
    done = len(taken.inside) if taken else 0
    options = [c for c in fusions.options.get(hop, ()) if len(c.inside) > done]
    if not options:
        return None
    choice = max(options, key=lambda c: (len(c.inside), -c.seconds))
    if _is_coincidence(choice.rule, fusions.facts[hop], fusions.facts[_driver(choice.new)]):
        return None
    kept, saved = fusions.weigh(choice)
    for node, users in kept.items():
        if node.op == "matmul" and not choice.rule.shared:
            return Miss(choice.rule, hop, "the product is needed {}", node, users)
    if saved is not None and choice.seconds > _FAR * saved:
        return None
    numbers = f"{seconds_text(choice.seconds)} estimated against {seconds_text(saved)} unfused"
    for node, users in kept.items():
        return Miss(choice.rule, hop, numbers + ", as an operator in it is needed {}", node, users)
    return Miss(choice.rule, hop, numbers)


def _driver(new: Hop) -> Hop:
    """The first operand of the fused operator in a result."""
    while new.op in ("neg", "t", "div") and new.args[0].args:
        new = new.args[0]
    return new.args[0]


def _is_coincidence(rule: Fusion, result: Fact, driver: Fact) -> bool:
    """Whether a product of cells only looks like a weighted one: of an array all cells are looked at anyway."""
    return rule.needs_product and result.is_matrix and "W" in rule.spellings[0] and not is_sparse(driver)


# ---------------------------------------------------------------- fits but for its guard
class _Supposing(Match):
    """A match about whose operands something is supposed."""

    change: Callable[[Fact], Fact]

    def fact(self, hole: str) -> Fact:
        return type(self).change(super().fact(hole))


def _larger(fact: Fact) -> Fact:
    grown = {name: size * _LARGE if size is not None and size > 1 else size for name, size in (("rows", fact.rows), ("cols", fact.cols))}
    return replace(fact, **grown, nnz=None) if fact.is_matrix else fact


def _sparser(fact: Fact) -> Fact:
    return replace(fact, nnz=fact.cells // _SPARSE, nnz_avg=None, nnz_min=0) if fact.is_matrix and fact.cells else fact


def _finite(fact: Fact) -> Fact:
    return replace(fact, may_nan=False)


_SUPPOSITIONS: Final[tuple[tuple[type[_Supposing], str], ...]] = tuple(
    (type("_Supposed", (_Supposing,), {"change": staticmethod(change)}), reason)
    for change, reason in (
        (_larger, "too small for that to be worth it ({})"),
        (_finite, "NaN and infinity cannot be ruled out"),
        (_sparser, "not sparse enough"),
    )
)


def _guarded(watched: _Watching, hop: Hop) -> Iterator[Miss]:
    """Matches at `hop` that one condition stands against."""
    below = {f.op for arg in hop.args for f in (arg, *factors(arg))}
    for rule in watched.index.fusions.get(hop.op, ()):
        for pattern in rule.fitting(hop, below):
            for bound in rule.matcher(watched.facts).matches(pattern, hop):
                reason = _reason(rule, pattern, Match(hop, bound, watched.facts, watched.counted))
                if reason:
                    yield Miss(rule, hop, reason)
            other = _other_operand(rule, pattern, hop, watched.facts)
            if other is not None:
                yield Miss(rule, hop, _OTHER, None, other)


def _reason(rule: Fusion, pattern: Hop, match: Match) -> str:
    """Why the guard of a rule says no, as far as one condition decides; empty where it says yes, or more is missing."""
    if rule.where is None or rule.where(match):
        return ""
    unknown = [name for name in sorted(match.bound) if match.fact(name).is_matrix and match.fact(name).cells is None]
    if unknown:
        return "a size is not known" if _operators(pattern) >= _SPECIFIC else ""
    if "W" in match.bound and _is_coincidence(rule, match.root_fact, match.fact("W")):
        return ""
    fact = match.root_fact if match.root_fact.cells else max((match.fact(n) for n in match.bound), key=lambda f: f.cells or 0)
    for supposed, reason in _SUPPOSITIONS:
        if (reason.startswith("too small") or _operators(pattern) >= _SPECIFIC) and rule.where(
            supposed(match.root, match.bound, match.facts, match.uses)
        ):
            return reason.format(fact.shape_text())
    return ""


def _operators(pattern: Hop) -> int:
    return sum(bool(hop.args) for hop in postorder([pattern]))


def _other_operand(rule: Fusion, pattern: Hop, hop: Hop, facts: FactTable) -> tuple[Hop, Hop] | None:
    """Where a rule asks for the same operand twice and everything fits but that: what is there, and what ought to be."""
    for name, loose in _loosened(pattern):
        for bound in rule.matcher(facts).matches(loose, hop):
            first, second = bound[name], bound[f"{name}_other"]
            if first is not second and (rule.where is None or rule.where(Match(hop, bound, facts, {}))):
                return second, first
    return None


def _loosened(pattern: Hop) -> Iterator[tuple[str, Hop]]:
    """The pattern taking any matrix for an operand of its root, itself or transposed, that it asks for elsewhere too."""
    operators = _operators(pattern)
    holes = Counter(a.value for node in postorder([pattern]) for a in node.args if a.op == HOLE and a.value[0].isupper())
    for at, arg in enumerate(pattern.args):
        hole = arg.args[0] if arg.op == "t" else arg
        if hole.op == HOLE and holes[hole.value] > 1 and operators >= _SPECIFIC + (arg.op == "t"):
            other = make(HOLE, (), f"{hole.value}_other")
            new = make("t", (other,)) if arg.op == "t" else other
            yield hole.value, make(pattern.op, (*pattern.args[:at], new, *pattern.args[at + 1 :]), pattern.value, pattern.tag)
