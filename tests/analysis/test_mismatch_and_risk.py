"""Mismatch and gradient risk, against brute force, closed forms and the table of the design."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.surrogate_table import SUA_FORMS, ones, staircase_slope
from tfsq import layers
from tfsq.analysis import (
    Gaussian,
    Laplace,
    Logistic,
    Loss,
    Rate,
    RateDistortion,
    SquaredError,
    gradient_risk,
    hard_gradient,
    mismatch,
    rate_mismatch,
)
from tfsq.analysis.losses import _bits, bits

SCALES, TEMPERATURES = (0.2, 0.5, 1.5), (1.0, 0.5, 0.1)
FORMS = [(form, g) for form in SUA_FORMS for g in ("straight_through", "expected")]


def decoder(v):
    return 2 * tf.tanh(0.7 * v) + 0.3 * v


LOSS = SquaredError(decoder, target=0.9)


def loss_and_slope(v):
    """LOSS and its derivative, in NumPy."""
    error = 2 * np.tanh(0.7 * v) + 0.3 * v - 0.9
    return error**2, 2 * error * (1.4 / np.cosh(0.7 * v) ** 2 + 0.3)


def sua(form, gradient):
    return layers.StochasticUniformAnnealing(form=form, gradient=gradient)


@functools.lru_cache
def samples(scale, count=400_000):
    rng = np.random.default_rng(17)
    return rng.normal(0.3, scale, count), rng.uniform(-0.5, 0.5, count)


@pytest.mark.parametrize(("form", "gradient"), FORMS)
@pytest.mark.parametrize(
    "scale", [SCALES[0], pytest.param(SCALES[1], marks=pytest.mark.slow), SCALES[2]]
)
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_agrees_with_brute_force(form, gradient, scale, temperature):
    y, u = samples(scale)
    y_tilde = SUA_FORMS[form][0](y, u, temperature)
    excess = loss_and_slope(y_tilde)[0] - loss_and_slope(np.round(y))[0]
    slope = (ones if gradient == "straight_through" else staircase_slope)(y, u, temperature)
    gradients = loss_and_slope(y_tilde)[1] * slope
    # The exact gradient by another route than the code's: sum of l(k) p over the cells' edges.
    k = np.arange(-20, 21)
    p = lambda x: np.exp(-(((x - 0.3) / scale) ** 2) / 2) / (scale * np.sqrt(2 * np.pi))  # noqa: E731
    exact = np.sum(loss_and_slope(k)[0] * (p(k - 0.5) - p(k + 0.5)))

    layer, source = sua(form, gradient), Gaussian(0.3, scale)
    measured = mismatch(layer, temperature, source, LOSS)
    risk = gradient_risk(layer, temperature, source, LOSS)
    assert risk.hard_gradient == pytest.approx(exact, abs=1e-9)

    def agrees(value, error, sample):
        brute = np.std(sample) / np.sqrt(len(sample))
        return abs(value - np.mean(sample)) <= 4 * np.hypot(brute, error)

    assert agrees(measured.loss, measured.loss_error, excess)
    assert agrees(measured.to_rounding, measured.to_rounding_error, (y_tilde - np.round(y)) ** 2)
    assert agrees(measured.to_latent, measured.to_latent_error, (y_tilde - y) ** 2)
    assert agrees(risk.bias, risk.bias_error, gradients - exact)
    centered = (gradients - np.mean(gradients)) ** 2
    assert agrees(risk.variance, risk.variance_error, centered)
    assert risk.risk == risk.bias**2 + risk.variance


# form, gradient, scale -> temperature: to rounding, to the latent, loss mismatch, bias, deviation.
DESIGN = {
    ("dithered", "straight_through", 0.5): {
        1.0: (0.1669, 0.0833, -0.0017, -0.197, 2.38),
        0.03: (0.0075, 0.0836, 0.0, -0.293, 2.33),
    },
    ("additive", "expected", 0.5): {
        1.0: (0.1669, 0.0833, -0.0017, -0.196, 2.38),
        0.5: (None, 0.0417, -0.0859, None, None),
        0.03: (0.0026, 0.0787, -0.0098, -0.003, 15.55),
    },
    ("dithered", "expected", 0.2): {
        1.0: (0.180, 0.083, -0.254, -0.906, 1.77),
        0.03: (0.009, 0.097, 0.0, -0.501, 15.2),
    },
    ("dithered", "straight_through", 0.2): {
        1.0: (0.180, 0.083, -0.254, -0.91, 1.8),
        0.03: (0.009, 0.097, 0.0, -1.81, 1.6),
    },
}


@pytest.mark.parametrize("case", DESIGN, ids=str)
def test_reproduces_the_table_of_the_design(case):
    form, gradient, scale = case
    for temperature, row in DESIGN[case].items():
        source, layer = Gaussian(0.3, scale), sua(form, gradient)
        m = mismatch(layer, temperature, source, LOSS, log2_points=16)
        g = gradient_risk(layer, temperature, source, LOSS, log2_points=18)
        values = (m.to_rounding, m.to_latent, m.loss, g.bias)
        # Two entries of the table have two digits.
        coarse = case == ("dithered", "straight_through", 0.2)
        tolerance = 0.005 if coarse else 0.003
        for value, expected in zip(values, row):
            assert expected is None or value == pytest.approx(expected, abs=tolerance)
        if row[-1] is not None:
            assert g.variance**0.5 == pytest.approx(row[-1], rel=0.04 if coarse else 0.02)


@pytest.mark.parametrize("form", SUA_FORMS)
@pytest.mark.parametrize("scale", SCALES)
def test_distance_from_rounding_falls_with_the_temperature(form, scale):
    layer, source = sua(form, "straight_through"), Gaussian(0.3, scale)
    distances = [mismatch(layer, t, source, LOSS).to_rounding for t in (1.0, 0.5, 0.1, 0.03)]
    assert distances == sorted(distances, reverse=True)
    if form == "dithered" and scale >= 0.5:
        for t in (1.0, 0.5, 0.1, 0.03):
            assert mismatch(layer, t, source, LOSS).to_latent == pytest.approx(1 / 12, abs=5e-4)


class Skewed(Loss):
    """A loss that looks at the latent, the residual and the reconstruction."""

    def __call__(self, reconstruction, residual, y):
        return tf.square(reconstruction - y) + tf.sin(2 * residual) + 0.1 * reconstruction**3


@pytest.mark.parametrize("family", [Gaussian, Laplace, Logistic])
@pytest.mark.parametrize("scale", [0.2, 0.5, 1.5])
@pytest.mark.parametrize(
    "loss",
    [LOSS, Rate(Laplace(scale=0.7)), SquaredError(decoder)],
    ids=["target", "rate", "latent"],
)
def test_hard_gradient_in_the_location_is_the_numeric_derivative(family, scale, loss):
    source = family(0.3, scale)

    def hard_loss(shift):
        # The latent moves; what the loss compares it with does not.
        def f(y):
            hard = np.round(y + shift)
            return loss(tf.constant(hard), tf.constant(hard), tf.constant(y)).numpy()

        return source.expectation(f, source.ties() - shift)

    step = 1e-4
    numeric = (hard_loss(step) - hard_loss(-step)) / (2 * step)
    assert hard_gradient(source, loss) == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("family", [Gaussian, Laplace, Logistic])
@pytest.mark.parametrize("loc", [0.0, 0.2])
@pytest.mark.parametrize("loss", [LOSS, Skewed()], ids=["squared", "skewed"])
def test_hard_gradient_in_the_mean_is_the_numeric_derivative(family, loc, loss):
    source = family(0.3, 0.5)

    def hard_loss(mu):
        def f(y):
            residual = np.round(y - mu)
            return loss(tf.constant(residual + mu), tf.constant(residual), tf.constant(y)).numpy()

        return source.expectation(f, source.ties(mu))

    step = 1e-4
    numeric = (hard_loss(loc + step) - hard_loss(loc - step)) / (2 * step)
    assert hard_gradient(source, loss, "loc", loc) == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("name", layers.names())
def test_every_surrogate_can_be_measured(name):
    layer = layers.get(name)
    temperature = 0.5 if isinstance(layer, layers.AnnealedQuantizer) else None
    m = mismatch(layer, temperature, Gaussian(0.3, 0.5), LOSS, log2_points=8)
    assert np.isfinite([m.loss, m.to_rounding, m.to_latent]).all()
    for wrt in ("location", "loc"):
        g = gradient_risk(layer, temperature, Laplace(), LOSS, wrt, "none", log2_points=8)
        assert np.isfinite([g.bias, g.variance]).all()


def test_surrogate_that_is_given_is_left_as_it_is():
    layer = layers.KumaraswamySoftRounding(temperature=0.7, shape=1.5)
    layer.shape = 1.25
    before = gradient_risk(layer, None, Gaussian(), LOSS, log2_points=8)
    assert before.temperature == pytest.approx(0.7)
    mismatch(layer, 0.2, Gaussian(), LOSS, log2_points=8)
    assert float(layer.temperature) == pytest.approx(0.7)
    # The present values count, not those of the constructor.
    same = layers.KumaraswamySoftRounding(temperature=0.7, shape=1.25)
    assert gradient_risk(same, None, Gaussian(), LOSS, log2_points=8) == before


def test_partial_stop_gradient_lets_the_mean_learn_from_the_rate_alone():
    layer, source = sua("dithered", "expected"), Gaussian(0.3, 0.5)
    partial = gradient_risk(layer, 0.5, source, LOSS, "loc", "partial", loc=0.2)
    assert partial.variance == 0
    assert partial.bias == pytest.approx(-partial.hard_gradient)
    # With "none" the mean receives (1 - h') l'.
    y, u = samples(0.5)
    residual = y - 0.2
    slope = 1 - staircase_slope(residual, u, 0.5)
    y_tilde = SUA_FORMS["dithered"][0](residual, u, 0.5) + 0.2
    gradients = loss_and_slope(y_tilde)[1] * slope
    none = gradient_risk(layer, 0.5, source, LOSS, "loc", "none", loc=0.2)
    error = np.std(gradients) / np.sqrt(len(gradients)) + none.bias_error
    assert abs(none.bias + none.hard_gradient - np.mean(gradients)) < 4 * error
    assert none.variance == pytest.approx(np.var(gradients), rel=0.02)


@pytest.mark.parametrize("name", ["aun", "ste", "uq", "sr", "sua"])
def test_stop_gradient_makes_no_difference_where_the_slope_is_one(name):
    loss = RateDistortion(Rate(Gaussian(scale=0.5)), LOSS, lmbda=2.0)
    results = [
        gradient_risk(name, None, Gaussian(0.3, 0.5), loss, "loc", stop, loc=0.2, log2_points=10)
        for stop in ("partial", "none")
    ]
    assert results[0].bias == pytest.approx(results[1].bias)
    assert results[0].variance == pytest.approx(results[1].variance)


def test_rate_mismatch_of_the_design():
    constant = Gaussian(scale=1e-9)
    at_the_bound = rate_mismatch("aun", None, constant, 1e-3, 0.11)
    assert at_the_bound.training_rate == pytest.approx(0.152, abs=5e-4)
    assert at_the_bound.hard_rate == pytest.approx(8e-6, rel=0.05)
    # 66 bits for a residual of 0.3 at a scale of 0.01, with noise that takes it to 0.6.
    far = Rate(Gaussian(scale=0.01))(None, tf.constant([0.6, 0.3], tf.float64), None).numpy()
    assert far[1] == pytest.approx(0, abs=1e-6)
    assert far[0] > 66


@pytest.mark.parametrize("family", [Gaussian, Laplace, Logistic])
def test_bits_of_other_parameters_and_sizes_are_not_traced_again(family):
    traces = []
    for scale, size in ((0.7, 3), (0.2, 4), (1.5, 5)):
        source, residual = family(scale=scale), np.linspace(-3.0, 3.0, size)
        expected = -np.log2(source.mass(residual - 0.5, residual + 0.5))
        np.testing.assert_allclose(bits(source.distribution, residual), expected, rtol=1e-9)
        traces.append(_bits.experimental_get_tracing_count())
    # The first two sizes may each have a trace, in this test or in an earlier one.
    assert traces[2] == traces[1]


@pytest.mark.parametrize("name", ["aun", "sua", "ste"])
@pytest.mark.parametrize("scale", [0.05, 0.4, 3.0])
def test_rate_mismatch_agrees_with_brute_force(name, scale):
    source, bound = Laplace(scale=0.3), 0.11
    temperature = 0.5 if name == "sua" else None
    result = rate_mismatch(name, temperature, source, scale, bound)
    rng = np.random.default_rng(3)
    r, u = rng.laplace(scale=0.3, size=200_000), rng.uniform(-0.5, 0.5, 200_000)
    noisy = {"aun": r + u, "sua": np.round(r + u / 2) - u / 2, "ste": np.round(r)}[name]
    rate_of = Rate(Gaussian(scale=max(scale, bound)))
    for rate, values in ((result.training_rate, noisy), (result.hard_rate, np.round(r))):
        sample = rate_of(None, tf.constant(values), None).numpy()
        error = np.std(sample) / np.sqrt(len(sample)) + result.training_rate_error
        assert abs(rate - np.mean(sample)) < 4 * error + 1e-9
    assert result.gap == result.training_rate - result.hard_rate


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mismatch("aun", 0.5, Gaussian(), LOSS), "`temperature` must be None for Additive"),
        (lambda: mismatch("sua", 2.0, Gaussian(), LOSS), r"`temperature` must be in \(0, 1\]"),
        (lambda: gradient_risk("sua", 1.0, Gaussian(), LOSS, "mean"), "`wrt` must be one of"),
        (lambda: hard_gradient(Gaussian(), LOSS, wrt="mean"), "`wrt` must be one of"),
        (
            lambda: gradient_risk("sua", 1.0, Gaussian(), LOSS, stop_gradient="full"),
            "`stop_gradient` must be one of",
        ),
        (lambda: rate_mismatch("aun", None, Gaussian(), 0.0, 0.1), "`scale` must be positive"),
        (lambda: rate_mismatch("aun", None, Gaussian(), 1.0, -0.1), "`bound` must be at least 0"),
        (
            lambda: mismatch("aun", None, Gaussian(), LOSS, log2_points=0),
            "`log2_points` must",
        ),
        (lambda: Rate(Gaussian(1.0, 1.0)), "`model` must have loc 0"),
        (lambda: RateDistortion(LOSS, LOSS, 0.0), "`lmbda` must be positive"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_noise_without_a_quantile_function_is_refused():
    class Secretive(layers.Quantizer):
        def sample_noise(self, shape, dtype=tf.float32):
            return tf.random.normal(shape, dtype=dtype)

    with pytest.raises(TypeError, match="Secretive draws noise: to be measured"):
        mismatch(Secretive(), None, Gaussian(), LOSS)
