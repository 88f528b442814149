"""Distribution functions against SciPy's distributions, R's values, and themselves."""

from __future__ import annotations

import math

import pytest
import scipy.stats

from dmlite.backends.local import probability as kernels
from dmlite.errors import DMLRuntimeError
from dmlite.hop.ops import BY_NAME

CASES = {
    "normal": ({"mean": 1.5, "sd": 2.0}, scipy.stats.norm(1.5, 2.0)),
    "t": ({"df": 5.0}, scipy.stats.t(5.0)),
    "f": ({"df1": 3.0, "df2": 4.0}, scipy.stats.f(3.0, 4.0)),
    "chisq": ({"df": 2.5}, scipy.stats.chi2(2.5)),
    "exp": ({"rate": 2.0}, scipy.stats.expon(scale=0.5)),
}
SHORT = {"normal": "norm", "t": "t", "f": "f", "chisq": "chisq", "exp": "exp"}
POINTS = [-30.0, -2.0, -0.3, 0.0, 0.1, 1.0, 1.96, 3.0, 8.0, 40.0]
LEVELS = [1e-12, 1e-3, 0.1, 0.2, 0.25, 0.4999, 0.5, 0.6, 0.75, 0.9, 0.999]


def call(name: str, **given):
    """Run a row of the table as a script would: by names, with defaults."""
    op = BY_NAME[name]
    assert set(given) <= {p.name for p in op.parameters}
    return getattr(kernels, op.kernel.split(".")[1])(*(given.get(p.name, p.default) for p in op.parameters))


@pytest.mark.parametrize("dist", CASES)
@pytest.mark.parametrize("x", POINTS)
def test_distribution_functions(dist: str, x: float) -> None:
    given, expected = CASES[dist]
    for tail, value in ((True, expected.cdf(x)), (False, expected.sf(x))):
        both = [
            call("cdf", target=x, dist=dist, **given, **{"lower.tail": tail}),
            call("p" + SHORT[dist], target=x, **given, **{"lower.tail": tail}),
        ]
        assert both[0] == both[1] and type(both[0]) is float
        assert both[0] == pytest.approx(value, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("dist", CASES)
@pytest.mark.parametrize("p", LEVELS)
def test_quantiles(dist: str, p: float) -> None:
    given, expected = CASES[dist]
    x = call("icdf", target=p, dist=dist, **given)
    assert x == call("q" + SHORT[dist], target=p, **given) and type(x) is float
    assert x == pytest.approx(expected.ppf(p), rel=1e-8, abs=1e-12)
    assert call("cdf", target=x, dist=dist, **given) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("df", [0.5, 1.0, 2.0, 3.7, 30.0, 1e4, 1e8])
@pytest.mark.parametrize("p", [1e-10, 0.01, 0.25, 0.3, 0.499, 0.5])
def test_quantiles_of_t_are_symmetric_and_invert(df: float, p: float) -> None:
    x = kernels.qt(p, df)
    assert kernels.pt(x, df, True) == pytest.approx(p, rel=1e-10)
    assert kernels.qt(1 - p, df) == pytest.approx(-x, rel=1e-5, abs=1e-9)
    if df == 1.0:
        assert x == pytest.approx(-1 / math.tan(math.pi * p), rel=1e-12, abs=1e-12)
    if df == 2.0:
        assert x == pytest.approx((2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p))), rel=1e-12, abs=1e-12)


def test_values_of_systemds() -> None:
    assert call("pnorm", target=1.96) == pytest.approx(0.9750021048517796, rel=1e-12)
    assert call("cdf", target=3, dist="normal", mean=1, sd=2) == pytest.approx(0.841344746068543, rel=1e-12)
    # SystemDS gives 1.4758840483818514, where its own distribution function is 6e-11 below 0.9.
    assert call("qt", target=0.9, df=5) == pytest.approx(1.4758840483818514, rel=1e-9)
    assert call("pf", target=2, df1=3, df2=4) == pytest.approx(0.7436128024718238, rel=1e-12)
    assert call("qexp", target=0.5, rate=2) == pytest.approx(0.34657359027997264, rel=1e-12)
    assert call("pnorm", target=0.3, **{"lower.tail": False}) == pytest.approx(0.38208857781104744, rel=1e-12)
    assert call("pchisq", target=-1, df=3) == 0.0


@pytest.mark.parametrize("dist,low", [("normal", -math.inf), ("t", -math.inf), ("f", 0.0), ("chisq", 0.0), ("exp", 0.0)])
def test_ends(dist: str, low: float) -> None:
    given, _ = CASES[dist]
    assert call("icdf", target=0, dist=dist, **given) == low
    assert call("icdf", target=1, dist=dist, **given) == math.inf
    assert call("cdf", target=math.inf, dist=dist, **given) == 1.0
    assert math.isnan(call("cdf", target=math.nan, dist=dist, **given))


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_levels_outside_of_the_unit_interval(p: float) -> None:
    with pytest.raises(DMLRuntimeError, match="between 0 and 1"):
        call("qnorm", target=p)


def test_mistakes() -> None:
    with pytest.raises(DMLRuntimeError, match="unknown distribution 'nromal'") as error:
        call("cdf", target=1, dist="nromal")
    assert "normal" in str(error.value)
    with pytest.raises(DMLRuntimeError, match="needs the parameter 'df'"):
        kernels.cdf(1.0, "t", 0, 1, None, None, None, 1, True)
    for bad in (0, -1.0, math.nan):
        with pytest.raises(DMLRuntimeError, match="must be positive"):
            call("pnorm", target=1, sd=bad)
    assert not any(p.name == "lower.tail" for name in ("icdf", "qnorm", "qt", "qf", "qchisq", "qexp") for p in BY_NAME[name].parameters)
