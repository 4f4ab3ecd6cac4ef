import math

import pytest

from tfsq.analysis import Gaussian, Laplace, Logistic, rate_distortion_bound, scalar_quantizer_limit


@pytest.mark.parametrize(
    ("source", "lmbda", "lagrangian"),
    [
        (Laplace(), 15, 3.5474),
        (Gaussian(), 15, 3.1650),
        (Laplace(), 3, 2.3357),
        (Gaussian(), 3, 2.0009),
    ],
)
def test_scalar_quantizer_limit_is_the_known_one(source, lmbda, lagrangian):
    limit = scalar_quantizer_limit(source, lmbda)
    assert limit.lagrangian == pytest.approx(lagrangian, abs=1e-4)
    assert limit.rate + lmbda * limit.distortion == pytest.approx(limit.lagrangian)


@pytest.mark.parametrize("source", [Gaussian(), Laplace(), Logistic()])
def test_limits_scale_with_the_source(source):
    for limit in (scalar_quantizer_limit, rate_distortion_bound):
        unit, scaled = limit(source, 3.0), limit(type(source)(5.0, 2.0), 0.75)
        assert scaled.lagrangian == pytest.approx(unit.lagrangian, abs=5e-3)
        assert scaled.distortion == pytest.approx(4 * unit.distortion, rel=0.01)


@pytest.mark.parametrize("lmbda", [1.0, 3.0, 15.0])
def test_bound_of_the_gaussian_is_in_closed_form(lmbda):
    bound = rate_distortion_bound(Gaussian(), lmbda)
    distortion = 1 / (2 * lmbda * math.log(2))
    assert bound.distortion == pytest.approx(distortion, rel=0.01)
    assert bound.rate == pytest.approx(-math.log2(distortion) / 2, abs=0.01)
    expected = -math.log2(distortion) / 2 + lmbda * distortion
    assert bound.lagrangian == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize(
    "source",
    [Gaussian(), *(pytest.param(s, marks=pytest.mark.slow) for s in (Laplace(), Logistic()))],
)
def test_nothing_beats_shannon_and_one_cell_is_enough_at_low_rate(source):
    for lmbda in (0.3, 3.0, 30.0):
        bound = rate_distortion_bound(source, lmbda)
        limit = scalar_quantizer_limit(source, lmbda)
        assert bound.lagrangian < limit.lagrangian + 3e-3
        # At high rate a scalar quantizer loses log2(2 pi e / 12) / 2 = 0.2546 bits, below less.
        assert limit.lagrangian - bound.lagrangian < 0.26
    for limit in (scalar_quantizer_limit(source, 0.05), rate_distortion_bound(source, 0.05)):
        assert limit.lagrangian <= 0.05 * source.variance
        assert limit.distortion <= source.variance
    tiny = scalar_quantizer_limit(source, 1e-3)
    assert tiny.lagrangian <= 1e-3 * source.variance
    assert tiny.rate < 1e-3


@pytest.mark.parametrize("limit", [scalar_quantizer_limit, rate_distortion_bound])
@pytest.mark.parametrize("lmbda", [0.0, -1.0, math.inf, math.nan])
def test_lmbda_is_checked(limit, lmbda):
    with pytest.raises(ValueError, match="`lmbda` must be positive and finite. Received: lmbda="):
        limit(Gaussian(), lmbda)
