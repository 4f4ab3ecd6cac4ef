import numpy as np
import pytest
import tensorflow as tf

from tests.keras_versions import of_keras_2
from tfsq.architectures import GDN


@pytest.mark.parametrize("inverse", [False, True])
def test_is_the_gdn_of_tfc(inverse):
    tfc = pytest.importorskip("tensorflow_compression")
    x = tf.random.stateless_normal([2, 4, 4, 3], (1, 1))
    ours, theirs = GDN(inverse), tfc.GDN(inverse)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)
    assert len(ours.trainable_weights) == 2
    for weight, other in zip(ours.trainable_weights, theirs.trainable_weights):
        weight.assign_add(tf.random.stateless_uniform(weight.shape, (2, 2)))
        other.assign(weight)
    gradients = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.sin(3.0 * layer(x)))
        gradients.append(tape.gradient(loss, [x, *layer.trainable_weights]))
    for mine, other in zip(*gradients):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("dtype, tolerance", [("float16", 5e-3), ("bfloat16", 5e-2)])
def test_gradients_of_half_precision_add_up_over_many_rows(inverse, dtype, tolerance):
    x = tf.cast(tf.random.stateless_normal([8, 64, 64, 3], (1, 1)), dtype)
    dy = tf.random.stateless_uniform([8, 64, 64, 3], (2, 2), 0.0, 1e-3)
    gradients = []
    for precision in (dtype, "float64"):
        layer = GDN(inverse, dtype=precision)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.cast(x, precision)) * tf.cast(dy, precision))
        gradients.append(tape.gradient(loss, layer.trainable_weights))
    for half, exact in zip(*gradients):
        error = np.abs(tf.cast(half, tf.float64) - exact)
        assert np.all(error <= tolerance * np.abs(exact).max())


def test_arguments_of_tfc_that_it_does_not_have_are_refused():
    with pytest.raises(TypeError, match="alpha_parameter"):
        GDN(alpha_parameter=2)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", *of_keras_2("model_tf")])
def test_files_keep_its_parameters(tmp_path, name):
    make = lambda: tf.keras.Sequential([tf.keras.Input([4, 4, 3]), GDN(inverse=True)])  # noqa: E731
    model = make()
    for weight in model.weights:
        weight.assign_add(tf.random.stateless_uniform(weight.shape, (1, 1)))
    if name.endswith("weights.h5"):
        model.save_weights(tmp_path / name)
        loaded = make()
        loaded.load_weights(tmp_path / name)
    else:
        model.save(tmp_path / name)
        loaded = tf.keras.models.load_model(tmp_path / name)
    assert loaded.layers[-1].inverse
    for a, b in zip(model.weights, loaded.weights):
        assert np.array_equal(a, b)
    x = tf.random.stateless_normal([2, 4, 4, 3], (1, 1))
    np.testing.assert_allclose(model(x), loaded(x), rtol=1e-6)
