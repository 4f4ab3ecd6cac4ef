import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from tfsq.analysis import Gaussian, Laplace, Logistic

FAMILIES = [
    (Gaussian, scipy.stats.norm),
    (Laplace, scipy.stats.laplace),
    (Logistic, scipy.stats.logistic),
]
every_family = pytest.mark.parametrize(("family", "oracle"), FAMILIES)


@every_family
def test_agrees_with_scipy(family, oracle):
    source, expected = family(0.3, 1.7), oracle(0.3, 1.7)
    y = np.linspace(-9, 9, 101)
    np.testing.assert_allclose(source.pdf(y), expected.pdf(y), rtol=1e-10)
    np.testing.assert_allclose(source.cdf(y), expected.cdf(y), rtol=1e-10)
    v = np.linspace(1e-6, 1 - 1e-6, 101)
    np.testing.assert_allclose(source.quantile(v), expected.ppf(v), rtol=1e-8)
    assert source.variance == pytest.approx(expected.var())


@every_family
def test_mass_does_not_cancel_in_either_tail(family, oracle):
    source, expected = family(0.3, 0.5), oracle(0.3, 0.5)
    low = np.array([-9.0, -1.0, 0.2, 4.0, 9.0])
    mass = source.mass(low, low + 1)
    above, below = (f(low) - f(low + 1) for f in (expected.sf, lambda x: -expected.cdf(x)))
    by_hand = np.where(low > 0.3, above, below)
    np.testing.assert_allclose(mass, by_hand, rtol=1e-6)
    assert (mass > 0).all()
    assert source.mass(-np.inf, np.inf) == 1


@every_family
def test_first_moment_is_the_integral(family, oracle):
    source, expected = family(0.3, 0.5), oracle(0.3, 0.5)
    for low, high in ((-2.0, -0.4), (-0.1, 0.9), (1.5, 3.0)):
        integral, _ = scipy.integrate.quad(lambda y: y * expected.pdf(y), low, high)
        assert source.first_moment(low, high) == pytest.approx(integral, abs=1e-10)
    assert source.first_moment(-np.inf, np.inf) == pytest.approx(0.3)


@every_family
@pytest.mark.parametrize("scale", [1e-3, 0.4, 20.0])
def test_expectation_with_jumps(family, oracle, scale):
    source, expected = family(0.3, scale), oracle(0.3, scale)
    symbols = np.arange(-1500, 1501)
    by_sum = np.sum(symbols**2 * (expected.cdf(symbols + 0.5) - expected.cdf(symbols - 0.5)))
    assert source.expectation(lambda y: np.round(y) ** 2, source.ties()) == pytest.approx(
        by_sum, rel=1e-9, abs=1e-12
    )
    assert source.expectation(lambda y: (y - 0.3) ** 2) == pytest.approx(source.variance)


@pytest.mark.parametrize("arguments", [{"scale": 0.0}, {"scale": np.inf}, {"loc": np.nan}])
def test_arguments_are_checked(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
        Gaussian(**arguments)
