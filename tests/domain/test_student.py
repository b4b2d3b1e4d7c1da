"""Student's t against printed tables, against scipy, and against its own laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.student import cdf, normal_quantile, quantile, tail

TABLE = {  # p -> (df, t), as in the tables at the end of every statistics book
    0.90: [(1, 3.078), (2, 1.886), (3, 1.638), (4, 1.533), (5, 1.476), (10, 1.372), (30, 1.310), (120, 1.289)],
    0.95: [(1, 6.314), (2, 2.920), (3, 2.353), (4, 2.132), (5, 2.015), (10, 1.812), (30, 1.697), (120, 1.658)],
    0.975: [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)],
    0.99: [(1, 31.821), (2, 6.965), (3, 4.541), (4, 3.747), (5, 3.365), (10, 2.764), (30, 2.457), (120, 2.358)],
    0.995: [(1, 63.657), (2, 9.925), (3, 5.841), (4, 4.604), (5, 4.032), (10, 3.169), (30, 2.750), (120, 2.617)],
    0.9995: [(1, 636.619), (2, 31.599), (3, 12.924), (4, 8.610), (5, 6.869), (10, 4.587), (30, 3.646), (120, 3.373)],
}
ROWS = [(p, df, t) for p, row in TABLE.items() for df, t in row]
degrees = st.integers(1, 60)
shares = st.floats(1e-9, 1 - 1e-9)


@pytest.mark.parametrize(("p", "df", "t"), ROWS)
def test_quantiles_are_those_of_the_printed_tables(p, df, t):
    assert round(quantile(p, df), 3) == t
    assert round(quantile(1 - p, df), 3) == -t


def test_exact_values_where_the_distribution_has_a_plain_formula():
    assert tail(1.0, 1) == pytest.approx(0.25, rel=1e-14)  # Cauchy: 1/2 − atan(t)/π
    assert tail(1e6, 1) == pytest.approx(math.atan(1e-6) / math.pi, rel=1e-13)
    assert cdf(1.0, 2) == pytest.approx(0.5 + 0.5 / math.sqrt(3), rel=1e-14)  # 1/2 + t / (2 sqrt(2 + t²))
    assert quantile(0.975, 1) == pytest.approx(math.tan(math.pi * 0.475), rel=1e-12)


def test_a_tail_far_out_keeps_its_digits():
    """With df 2, P(T > t) = (1 − t / sqrt(2 + t²)) / 2, which for large t is 1 / (2 t²): 1 − cdf would be 0."""
    assert tail(1e9, 2) == pytest.approx(0.5e-18, rel=1e-12)
    assert tail(math.inf, 3) == 0.0
    assert tail(-math.inf, 3) == 1.0
    assert tail(1e308, 7) == 0.0


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 29, 30, 200, 1001])
def test_agrees_with_scipy(df):
    stats = pytest.importorskip("scipy.stats", reason="scipy is for checking only; the tables above hold without it")
    for t in (0.0, 0.1, 1.0, 2.999, 3.001, 7.0, 40.0):
        assert tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-10)
        assert cdf(-t, df) == pytest.approx(stats.t.cdf(-t, df), rel=1e-10)
    for p in (1e-8, 1e-4, 0.025, 0.3, 0.6, 0.975, 0.9999):
        assert quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9)


@given(shares, degrees)
def test_a_quantile_is_where_its_share_lies(p, df):
    assert cdf(quantile(p, df), df) == pytest.approx(p, rel=1e-11, abs=1e-15)


@given(st.floats(-50, 50), st.floats(0, 10), degrees)
def test_the_distribution_rises_and_is_symmetric(t, more, df):
    assert cdf(t, df) <= cdf(t + more, df) + 1e-15
    assert cdf(t, df) + cdf(-t, df) == pytest.approx(1.0, abs=1e-15)


@given(st.floats(0.5000001, 1 - 1e-9), degrees)
def test_fewer_degrees_of_freedom_are_wider_and_the_normal_is_the_narrowest(p, df):
    assert quantile(p, df) > quantile(p, df + 1) > normal_quantile(p) > 0


def test_the_normals_quantiles():
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054, rel=1e-13)
    assert normal_quantile(0.05) == pytest.approx(-1.6448536269514722, rel=1e-13)
    assert normal_quantile(0.5) == 0.0


@pytest.mark.parametrize("df", [0, -1, 2.5])
def test_degrees_of_freedom_that_are_none_are_refused(df):
    with pytest.raises(ValueError, match="degrees of freedom"):
        cdf(1.0, df)
    with pytest.raises(ValueError, match="degrees of freedom"):
        quantile(0.9, df)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_shares_that_are_none_are_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(p, 3)


def test_a_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        cdf(math.nan, 3)
