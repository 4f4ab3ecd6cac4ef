import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfsq.evaluation import MIN_BD_RATE_POINTS, bd_rate, shared_psnr

STEPS = st.floats(0.05, 3.0)


@st.composite
def curves(draw):
    """Curves of 4 to 9 points that rise in rate and PSNR, and have 30 dB within."""
    steps = draw(st.lists(st.tuples(STEPS, STEPS), min_size=4, max_size=9))
    log_rates, psnr = np.cumsum(steps, axis=0).T
    psnr = psnr - psnr.mean() + 30
    return list(zip(0.01 * np.exp(log_rates), psnr))


def line(intercept, slope, psnr):
    """A curve whose log rate is linear in PSNR, which the interpolation reproduces."""
    return [(np.exp(intercept + slope * (p - 30)), p) for p in psnr]


@given(curves())
def test_curve_against_itself_is_zero(curve):
    assert bd_rate(curve, curve) == pytest.approx(0, abs=1e-9)


@given(curves(), st.floats(0.1, 10.0))
def test_factor_of_the_rate_is_what_comes_back(curve, factor):
    scaled = [(factor * rate, psnr) for rate, psnr in curve]
    assert bd_rate(curve, scaled) == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_half_the_rate_is_minus_fifty_percent():
    curve = line(0, 0.2, [28, 30, 31, 35])
    assert bd_rate(curve, [(rate / 2, psnr) for rate, psnr in curve]) == pytest.approx(-50)


@given(curves(), curves())
def test_exchange_of_the_curves_inverts_the_ratio(one, other):
    a, b = bd_rate(one, other) / 100, bd_rate(other, one) / 100
    assert (1 + a) * (1 + b) == pytest.approx(1)


@given(curves(), curves(), st.randoms(use_true_random=False))
def test_order_of_the_points_does_not_matter(one, other, random):
    expected = bd_rate(one, other), shared_psnr(one, other)
    random.shuffle(one)
    assert (bd_rate(one, other), shared_psnr(one, other)) == expected


def test_mean_is_over_the_shared_range_alone():
    # Of lines, the mean difference is that in the middle of the range, here 31 to 34 dB.
    anchor = line(0.0, 0.20, [20, 25, 30, 32, 34])
    test = line(-0.5, 0.26, [31, 33, 36, 40])
    assert shared_psnr(anchor, test) == (31, 34)
    expected = 100 * (np.exp(-0.5 + (0.26 - 0.20) * (32.5 - 30)) - 1)
    assert bd_rate(anchor, test) == pytest.approx(expected)
    # What happens elsewhere changes nothing, nor does a small range raise a warning.
    further = [*anchor, *line(3.0, 0.20, [44, 50, 60])]
    assert shared_psnr(further, test[:3] + line(-0.5, 0.26, [33.5])) == (31, 36)
    few = line(-0.5, 0.26, [33.0, 33.1, 33.2, 33.3])
    expected = 100 * (np.exp(-0.5 + (0.26 - 0.20) * (33.15 - 30)) - 1)
    assert bd_rate(anchor, few) == pytest.approx(expected)


GOOD = line(0, 0.2, [28, 30, 32, 34])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:3], r"must be at least 4 points \(rate, PSNR\). Received: shape=\(3, 2\)"),
        ([], r"must be at least 4 points \(rate, PSNR\). Received: shape=\(0,\)"),
        ([1.0, 2.0, 3.0, 4.0], r"Received: shape=\(4,\)"),
        ([(0.1, 30.0, 0.9)] * 4, r"Received: shape=\(4, 3\)"),
        ([*GOOD, (9.0, np.inf)], "must be finite, with positive rates. Received: .*inf"),
        ([*GOOD, (np.nan, 40.0)], "must be finite, with positive rates. Received: .*nan"),
        ([(0.0, 20.0), *GOOD], "must be finite, with positive rates. Received: .*0.0, 20.0"),
        ([*GOOD, (9.0, 33.0)], "must rise in PSNR wherever it rises in rate.*9.0, 33.0"),
        ([*GOOD, (9.0, 34.0)], "must rise in PSNR wherever it rises in rate.*9.0, 34.0"),
        ([*GOOD, (GOOD[3][0], 35.0)], "with no rate twice. Received: .*35.0"),
    ],
)
def test_curves_that_are_none_are_refused(bad, message):
    for function in (bd_rate, shared_psnr):
        with pytest.raises(ValueError, match=f"`anchor` {message}|`anchor` .*{message}"):
            function(bad, GOOD)
        with pytest.raises(ValueError, match=f"`test` {message}|`test` .*{message}"):
            function(GOOD, bad)


def test_curves_that_share_no_range_are_refused():
    higher = line(0, 0.2, [34, 35, 36, 37])
    message = "must share a range of PSNR. Received: 28.00 to 34.00 dB and 34.00 to 37.00 dB"
    for function in (bd_rate, shared_psnr):
        with pytest.raises(ValueError, match=message):
            function(GOOD, higher)


def test_as_few_points_as_are_named_suffice():
    assert len(GOOD) == MIN_BD_RATE_POINTS
    assert bd_rate(GOOD, GOOD) == 0


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    message = r"BD-rates need bjontegaard: pip install 'tfsq\[figures\]', or bjontegaard itself."
    with pytest.raises(ImportError, match=message):
        bd_rate(GOOD, GOOD)
