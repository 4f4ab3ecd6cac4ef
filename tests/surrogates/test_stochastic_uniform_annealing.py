"""What is particular to SUA: its conditional mean, its expected gradient, its errors."""

import numpy as np
import pytest
import tensorflow as tf

from tests.surrogate_table import SUA_FORMS, staircase
from tfsq.surrogates import stochastic_uniform_annealing

# Midpoints of a partition of the noise: a quadrature rule that knows no kink.
NOISE = (np.arange(200_000) + 0.5) / 200_000 - 0.5
LATENTS = np.array([-1.7, -0.52, -0.31, 0.02, 0.44, 0.5, 0.57, 0.81, 2.49, 3.3])


def expectation(f, y, t, form):
    """E[f(y~)] over the noise, by quadrature in float64, for a vector y."""
    y = np.asarray(y, np.float64)[:, None] + np.zeros_like(NOISE)
    u = np.zeros_like(y) + NOISE
    return np.mean(f(stochastic_uniform_annealing(y, u, t, form=form).numpy()), axis=1)


def mean_gradient(f, y, t, form):
    """E[df(y~)/dy] over the noise, with the expected gradient."""
    y = tf.constant(np.asarray(y, np.float64)[:, None] + np.zeros_like(NOISE))
    with tf.GradientTape() as tape:
        tape.watch(y)
        y_tilde = stochastic_uniform_annealing(
            y, tf.zeros_like(y) + NOISE, t, form=form, gradient="expected"
        )
        loss = f(y_tilde)
    return np.mean(tape.gradient(loss, y).numpy(), axis=1)


@pytest.mark.parametrize("form", SUA_FORMS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2, 0.05])
def test_forms_share_the_conditional_mean(form, temperature):
    mean = expectation(lambda v: v, LATENTS, temperature, form)
    np.testing.assert_allclose(mean, staircase(LATENTS, temperature), atol=1e-4)


@pytest.mark.parametrize(
    ("form", "nonlinear"),
    [("additive", True), ("additive", False), ("dithered", False), ("rounding", False)],
)
@pytest.mark.parametrize("temperature", [0.9, 0.5, 0.2])
def test_expected_gradient_is_the_derivative_of_the_expectation(form, nonlinear, temperature):
    if nonlinear:
        f = lambda v: (2 * np.tanh(0.7 * v) + 0.3 * v - 0.9) ** 2  # noqa: E731
        f_tf = lambda v: (2 * tf.tanh(0.7 * v) + 0.3 * v - 0.9) ** 2  # noqa: E731
    else:
        f = f_tf = lambda v: 3 * v - 1
    # Between breakpoints the mean is linear in y, so that a linear f allows a long step, in which
    # the quadrature of a discontinuous form counts enough cells.
    step = 1e-3 if nonlinear else 0.02
    fraction = LATENTS - np.floor(LATENTS)
    breakpoints = np.abs(np.abs(fraction - 0.5) - temperature / 2)
    y = LATENTS[breakpoints > 1.5 * step]
    assert len(y) >= 5
    numeric = (
        expectation(f, y + step, temperature, form) - expectation(f, y - step, temperature, form)
    ) / (2 * step)
    np.testing.assert_allclose(mean_gradient(f_tf, y, temperature, form), numeric, atol=1e-3)


def test_rounding_form_is_always_an_integer():
    y = np.random.default_rng(0).normal(scale=5, size=1000)
    u = np.random.default_rng(1).uniform(-0.5, 0.5, 1000)
    y_tilde = stochastic_uniform_annealing(y, u, 0.7, form="rounding").numpy()
    assert np.array_equal(y_tilde, np.round(y_tilde))


def test_dithered_form_keeps_the_error_power_of_rounding():
    rng = np.random.default_rng(0)
    y, u = rng.normal(size=400_000), rng.uniform(-0.5, 0.5, 400_000)
    for temperature in (1.0, 0.5, 0.03):
        error = stochastic_uniform_annealing(y, u, temperature).numpy() - y
        assert abs(np.mean(error**2) - 1 / 12) < 5e-4


@pytest.mark.parametrize("argument", ["form", "gradient"])
def test_unknown_names_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be one of .*Received.*'exotic'"):
        stochastic_uniform_annealing(0.3, 0.1, 0.5, **{argument: "exotic"})
