import concurrent.futures
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.harness import DTYPES, latents
from tfsq.layers import (
    AdditiveUniformNoise,
    StochasticUniformAnnealing,
    StraightThroughRounding,
    ZeroCenterQuantization,
)
from tfsq.layers.zero_center_quantization import quantizing_with

SLOPE_ONE = {
    "aun": AdditiveUniformNoise,
    "ste": StraightThroughRounding,
    "sua": lambda: StochasticUniformAnnealing(0.5),
}


def additive_expected(temperature=0.5):
    return StochasticUniformAnnealing(temperature, form="additive", gradient="expected")


def inputs(shape=(200,), dtype="float32"):
    y = latents(shape, dtype)
    return y, tf.cast(tf.random.stateless_normal(shape, (7, 7)), dtype)


def gradients(layer, y, loc, noise=None):
    """Gradients of y_hat and of the residual to y and to loc."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([y, loc])
        y_hat, residual = layer(y, loc, training=True, noise=noise)
    options = {"unconnected_gradients": tf.UnconnectedGradients.ZERO}
    return [
        tape.gradient(target, source, **options).numpy()
        for target in (y_hat, residual)
        for source in (y, loc)
    ]


@pytest.mark.parametrize("name", SLOPE_ONE)
def test_with_slope_one_partial_and_none_are_identical(name):
    y, loc = inputs()
    noise = tf.random.stateless_uniform(y.shape, (1, 1), -0.5, 0.5)
    partial, none = (
        gradients(ZeroCenterQuantization(SLOPE_ONE[name](), mode), y, loc, noise)
        for mode in ("partial", "none")
    )
    for a, b in zip(partial, none):
        assert np.array_equal(a, b)
    assert np.array_equal(partial[1], np.zeros_like(y))


@pytest.mark.parametrize("mode", ["partial", "none"])
def test_gradient_paths_of_the_expected_gradient(mode):
    y, loc = inputs()
    layer = ZeroCenterQuantization(additive_expected(), mode)
    y_hat_by_y, y_hat_by_loc, residual_by_y, residual_by_loc = gradients(layer, y, loc)
    assert set(np.unique(y_hat_by_y)) == {0.0, 2.0}
    expected = 0 if mode == "partial" else 1 - y_hat_by_y
    assert np.array_equal(y_hat_by_loc, np.zeros_like(y) + expected)
    assert np.array_equal(residual_by_y, y_hat_by_y)
    assert np.array_equal(residual_by_loc, -residual_by_y)


@pytest.mark.parametrize("mode", ["partial", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [False, True])
def test_reconstruction_is_residual_plus_loc_on_one_noise_sample(mode, dtype, training):
    y, loc = inputs(dtype=dtype)
    layer = ZeroCenterQuantization(additive_expected(), mode)
    y_hat, residual = layer(y, loc, training=training)
    assert y_hat.dtype == residual.dtype == dtype
    y_hat, total = (tf.cast(v, "float64") for v in (y_hat, residual + loc))
    tolerance = {"float16": 2e-2, "bfloat16": 2e-1, "float32": 3e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(y_hat, total, atol=tolerance)


def test_inference_rounds_around_loc():
    y, loc = inputs()
    y_hat, residual = ZeroCenterQuantization(additive_expected())(y, loc, training=False)
    assert np.array_equal(residual, np.round(y - loc))
    assert np.array_equal(y_hat, np.round(y - loc) + loc.numpy())


def test_two_quantizers_draw_their_own_noise():
    y, loc = inputs()
    layer = ZeroCenterQuantization(AdditiveUniformNoise(), rate_quantizer=AdditiveUniformNoise())
    y_hat, residual = layer(y, loc, training=True)
    assert np.mean(np.abs(y_hat - loc - residual) > 1e-3) > 0.9


def test_given_noise_gives_a_given_answer_eager_traced_and_compiled():
    y, loc = inputs()
    noise = tf.random.stateless_uniform(y.shape, (1, 1), -0.5, 0.5)
    layer = ZeroCenterQuantization(StochasticUniformAnnealing(0.5))
    call = lambda y, loc: layer(y, loc, training=True, noise=noise)  # noqa: E731
    eager = call(y, loc)
    for jit_compile in (False, True):
        result = tf.function(call, jit_compile=jit_compile)(y, loc)
        for a, b in zip(eager, result):
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_config_keeps_what_was_shared(shared):
    quantizer = StochasticUniformAnnealing(0.5, form="additive")
    rate_quantizer = quantizer if shared else AdditiveUniformNoise()
    layer = ZeroCenterQuantization(quantizer, "none", rate_quantizer=rate_quantizer)
    again = ZeroCenterQuantization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.rate_quantizer is again.quantizer) == shared
    assert again.quantizer.form == "additive"


def test_temperature_survives_a_keras_file(tmp_path):
    y, loc = tf.keras.Input([3]), tf.keras.Input([3])
    quantizer = StochasticUniformAnnealing(1.0)
    model = tf.keras.Model([y, loc], ZeroCenterQuantization(quantizer)(y, loc))
    quantizer.temperature = 0.25
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.layers[-1].quantizer.temperature) == 0.25


def test_threads_replace_quantizers_one_after_the_other():
    layer = ZeroCenterQuantization(AdditiveUniformNoise())
    model, before = tf.keras.Sequential([layer]), layer.quantizer

    def is_its_own(quantizer):
        with quantizing_with(model, quantizer):
            time.sleep(0.01)
            return layer.quantizer is quantizer

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_its_own, [StraightThroughRounding() for _ in range(4)]))
    assert layer.quantizer is before


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`stop_gradient` must be one of.*'some'"):
        ZeroCenterQuantization(AdditiveUniformNoise(), "some")
    with pytest.raises(TypeError, match="`quantizer` must be a tfsq quantizer layer"):
        ZeroCenterQuantization("aun")
    layer = ZeroCenterQuantization(AdditiveUniformNoise())
    with pytest.raises(ValueError, match="`loc` must have the shape and dtype of `y`"):
        layer(tf.zeros([2]), tf.zeros([3]))
    with pytest.raises(ValueError, match="`loc` must have the shape and dtype of `y`"):
        layer(tf.zeros([2]), tf.zeros([2], "float64"))
    with pytest.raises(TypeError, match="must be floating-point"):
        layer(tf.zeros([2], "int32"), tf.zeros([2], "int32"))
