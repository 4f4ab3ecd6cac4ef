"""What is particular to soft rounding, its inverse, and what is built from the two."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfsq import surrogates

TEMPERATURES = (1.0, 0.5, 0.2)


def value_and_gradient(function, y):
    y = tf.convert_to_tensor(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        z = function(y)
    return z.numpy(), tape.gradient(z, y).numpy()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_inverse_undoes_soft_rounding(temperature):
    y = np.random.default_rng(0).normal(scale=4, size=4000)
    z, slope = value_and_gradient(lambda y: surrogates.soft_rounding(y, temperature), y)
    again, inverse_slope = value_and_gradient(
        lambda z: surrogates.soft_rounding_inverse(z, temperature), z
    )
    np.testing.assert_allclose(again, y, atol=1e-9)
    np.testing.assert_allclose(inverse_slope * slope, 1, rtol=1e-6)


@pytest.mark.parametrize("temperature", (1.0, 0.1, 0.01, 1e-4, 1e-6))
@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32", "float64"))
@pytest.mark.parametrize(
    "function", [surrogates.soft_rounding_inverse, surrogates.soft_rounding_conditional_mean]
)
def test_inverse_is_finite_at_integers_and_ties(function, dtype, temperature):
    temperature = max(temperature, 1e-4) if dtype == "float16" else temperature
    y = tf.constant([-1.5, -1.0, -0.0, 0.0, 0.25, 0.5, 1.0, 100.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(y)
        z = function(y, temperature)
    assert z.dtype == dtype
    for tensor in (z, tape.gradient(z, y)):
        assert np.isfinite(tf.cast(tensor, tf.float64).numpy()).all()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_noisy_soft_rounding_is_the_conditional_mean(temperature):
    """E[y | s(y) + u = z] under a flat prior, by the average over the y that can have led to z."""
    y = (np.arange(600_000) + 0.5) / 200_000 - 1.5
    s = surrogates.soft_rounding(y, temperature).numpy()
    for z in (-0.3, 0.1, 0.5, 0.77):
        expected = np.mean(y[np.abs(s - z) < 0.5])
        mean = surrogates.soft_rounding_conditional_mean(tf.constant(z, tf.float64), temperature)
        assert abs(float(mean) - expected) < 1e-4
    u = np.array([-0.4, 0.0, 0.21])
    for latent in (-0.2, 0.4, 0.6):
        z = surrogates.soft_rounding(np.full(3, latent), temperature).numpy() + u
        np.testing.assert_allclose(
            surrogates.noisy_soft_rounding(np.full(3, latent), u, temperature),
            surrogates.soft_rounding_conditional_mean(z, temperature),
            atol=1e-9,
        )


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_density_of_the_noisy_value_is_the_noisy_likelihood_at_the_output(temperature, scale):
    """One output serves rate and reconstruction: p(s(y) + u = z) = F(m + 1/2) - F(m - 1/2)."""
    source = scipy.stats.norm(0.2, scale)
    y = source.ppf((np.arange(400_000) + 0.5) / 400_000)
    s = surrogates.soft_rounding(y, temperature).numpy()
    z = np.array([-0.8, -0.1, 0.3, 0.55, 1.2])
    density = np.array([np.mean(np.abs(s - point) < 0.5) for point in z])
    m = surrogates.soft_rounding_conditional_mean(z, temperature).numpy()
    np.testing.assert_allclose(source.cdf(m + 0.5) - source.cdf(m - 0.5), density, atol=1e-5)


def test_expected_slope_of_noisy_soft_rounding_is_that_of_soft_rounding():
    u = (np.arange(400_000) + 0.5) / 400_000 - 0.5
    for latent in (0.1, 0.4, 0.5):
        y = np.full_like(u, latent)
        _, slope = value_and_gradient(lambda y: surrogates.noisy_soft_rounding(y, u, 0.3), y)
        _, expected = value_and_gradient(lambda y: surrogates.soft_rounding(y, 0.3), y[:1])
        np.testing.assert_allclose(np.mean(slope), expected[0], rtol=2e-3)


@pytest.mark.parametrize("temperature", (1.0, 0.3, 1e-3))
def test_kumaraswamy_noise_of_shape_one_is_uniform_noise(temperature):
    rng = np.random.default_rng(0)
    y, u = rng.normal(size=1000), rng.uniform(-0.49, 0.49, size=1000)
    a = surrogates.kumaraswamy_soft_rounding(y, u, temperature, shape=1.0)
    b = surrogates.noisy_soft_rounding(y, u, temperature)
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_kumaraswamy_noise_has_its_mode_at_zero():
    # At an integer and t -> 0 but for a factor t, y~ is a monotone function of the noise alone.
    u = (np.arange(100_000) + 0.5) / 100_000 - 0.5
    for shape in (1.5, 2.0, 4.0):
        y_tilde = surrogates.kumaraswamy_soft_rounding(np.zeros_like(u), u, 0.05, shape).numpy()
        noise = np.tanh(y_tilde / 0.05) / 2
        density, edges = np.histogram(noise, bins=25, range=(-0.5, 0.5), density=True)
        assert abs(edges[np.argmax(density)] + 0.02) <= 0.04
        b = (2**shape * (shape - 1) + 1) / shape
        middle = (edges[1:] + edges[:-1]) / 2 + 0.5
        expected = shape * b * middle ** (shape - 1) * (1 - middle**shape) ** (b - 1)
        np.testing.assert_allclose(density[2:-2], expected[2:-2], atol=0.02)
