"""The likelihood against an oracle of 60 digits, and its gradients."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from tfsq.entropy_models import gaussian_bits

mpmath.mp.dps = 60
_ROOT_2 = mpmath.sqrt(2)


def tail(z):
    """1 - Phi(z), by its asymptotic series where erfc underflows even here."""
    if z < 1000:
        return mpmath.erfc(z / _ROOT_2) / 2
    series = 1 - z**-2 + 3 * z**-4 - 15 * z**-6
    return mpmath.exp(-z * z / 2) / (z * mpmath.sqrt(2 * mpmath.pi)) * series


def oracle(x, s):
    a, b = (abs(x) - 0.5) / s, (abs(x) + 0.5) / s
    mass = 1 - tail(b) - tail(-a) if a < 0 else tail(a) - tail(b)
    return -mpmath.log(mass, 2)


def cases():
    rng = np.random.default_rng(0)
    residuals = [0, 0.3, 0.49999, 0.5, 0.50001, 1, 2, 10, 1e3, 1e6, *10 ** rng.uniform(-3, 6, 15)]
    scales = [1e-6, 0.01, 0.11, 1, 9.99, 10.01, 100, 1e3, 1e6, *10 ** rng.uniform(-6, 6, 15)]
    grid = np.array(np.meshgrid(residuals, scales), np.float32).reshape(2, -1)
    return grid[0] * np.where(rng.integers(0, 2, grid.shape[1]), 1, -1).astype(np.float32), grid[1]


@pytest.mark.slow
def test_value_and_gradients_agree_with_the_oracle():
    residual, scale = cases()
    r, s = tf.constant(residual), tf.constant(scale)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([r, s])
        bits = gaussian_bits(r, s)
    by_r, by_s = tape.gradient(bits, r).numpy(), tape.gradient(bits, s).numpy()
    for values in (bits.numpy(), by_r, by_s):
        assert np.isfinite(values).all()
    for i in range(len(residual)):
        x, sigma = mpmath.mpf(float(residual[i])), mpmath.mpf(float(scale[i]))
        step = min(sigma, 1) * mpmath.mpf("1e-20")
        exact = float(oracle(x, sigma))
        exact_by_r = float((oracle(x + step, sigma) - oracle(x - step, sigma)) / (2 * step))
        exact_by_s = float((oracle(x, sigma + step) - oracle(x, sigma - step)) / (2 * step))
        where = f"residual={residual[i]}, scale={scale[i]}"
        assert float(bits[i]) == pytest.approx(exact, rel=5e-6, abs=1e-11), where
        small = 1e-5 / float(sigma)
        assert float(by_r[i]) == pytest.approx(exact_by_r, rel=2e-5, abs=small), where
        assert float(by_s[i]) == pytest.approx(exact_by_s, rel=2e-5, abs=small), where


def test_tail_is_not_clipped():
    residual = tf.constant(1e6)
    with tf.GradientTape() as tape:
        tape.watch(residual)
        bits = gaussian_bits(residual, tf.constant(1.0))
    assert float(bits) == pytest.approx(float(oracle(mpmath.mpf(10) ** 6, mpmath.mpf(1))), rel=1e-6)
    assert float(tape.gradient(bits, residual)) == pytest.approx(1e6 / np.log(2), rel=1e-5)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="`scale` must have the shape of `residual`"):
        gaussian_bits(tf.zeros([3]), 1.0)


def test_is_symmetric_and_odd():
    r = tf.linspace(-20.0, 20.0, 2001)
    s = tf.fill(r.shape, 0.7)

    def both(r):
        with tf.GradientTape() as tape:
            tape.watch(r)
            bits = gaussian_bits(r, s)
        return bits.numpy(), tape.gradient(bits, r).numpy()

    (bits, gradient), (mirrored, mirrored_gradient) = both(r), both(-r)
    assert np.array_equal(bits, mirrored)
    assert np.array_equal(gradient, -mirrored_gradient)


@pytest.mark.parametrize("scale", [0.05, 0.3, 3.0, 30.0, 300.0])
def test_masses_of_the_integers_add_up_to_one(scale):
    integers = tf.range(-5000.0, 5000.0)
    mass = 2 ** -tf.cast(gaussian_bits(integers, tf.fill(integers.shape, scale)), tf.float64)
    assert float(tf.reduce_sum(mass)) == pytest.approx(1, abs=2e-6)


@pytest.mark.slow
def test_eager_traced_and_compiled_agree():
    r, s = map(tf.constant, cases())

    def bits_and_gradients(r, s):
        with tf.GradientTape() as tape:
            tape.watch([r, s])
            bits = gaussian_bits(r, s)
        return (bits, *tape.gradient(bits, [r, s]))

    eager = bits_and_gradients(r, s)
    for jit_compile in (False, True):
        result = tf.function(bits_and_gradients, jit_compile=jit_compile)(r, s)
        for a, b in zip(eager, result):
            tolerance = 1e-5 / s.numpy()
            assert np.all(np.abs(a - b) <= 3e-5 * np.abs(a) + tolerance)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_is_float32_for_every_dtype(dtype):
    r, s = tf.cast([0.5, -3.0], dtype), tf.cast([1.0, 2.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch([r, s])
        bits = gaussian_bits(r, s)
    assert bits.dtype == tf.float32
    assert [g.dtype for g in tape.gradient(bits, [r, s])] == [dtype, dtype]
