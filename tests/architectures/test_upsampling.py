"""The fast transposed convolution against that of Keras."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tfsq.architectures.upsampling import Conv2DTranspose

TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-1}


def pair_of(channels, filters, dtype="float32"):
    """The layer and that of Keras, with the same weights."""
    ours = Conv2DTranspose(filters, dtype=dtype)
    theirs = tf.keras.layers.Conv2DTranspose(filters, 5, 2, padding="same", dtype=dtype)
    for layer in (ours, theirs):
        layer.build([None, None, None, channels])
    ours.bias.assign(tf.cast(tf.range(filters), dtype))
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def result_and_gradients(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, [x, *layer.trainable_weights])]


@pytest.mark.parametrize("dtype", TOLERANCE)
# Not of more rows and one column: its gradient is a strided convolution that oneDNN may compute
# wrongly in bfloat16 (`benchmarks/platforms/strided_bfloat16.py`).
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 1, 2), (1, 4, 1, 3), (0, 2, 2, 3)])
def test_is_that_of_keras_with_its_gradients(shape, dtype):
    layers = pair_of(shape[-1], 6, dtype)
    x = tf.cast(tf.random.stateless_normal(shape, (0, 1)), dtype)
    for ours, theirs in zip(*(result_and_gradients(layer, x) for layer in layers)):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(tf.cast(value, tf.float64)) for value in (ours, theirs))
        scale = max(1.0, np.abs(theirs).max(initial=0.0))
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_graphs_of_unknown_size(jit_compile):
    layers = pair_of(3, 4)
    x = tf.random.stateless_normal([2, 5, 3, 3], (0, 1))
    specs = [tf.TensorSpec(x.shape if jit_compile else [None, None, None, 3])]
    ours, theirs = (
        tf.function(
            lambda x, layer=layer: result_and_gradients(layer, x),
            input_signature=specs,
            jit_compile=jit_compile and layer is layers[0],
        )(x)
        for layer in layers
    )
    for mine, other in zip(ours, theirs):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_a_file_keeps_it(tmp_path):
    model = tf.keras.Sequential([tf.keras.Input([4, 4, 3]), Conv2DTranspose(2, name="up")])
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    x = tf.random.stateless_normal([1, 4, 4, 3], (0, 1))
    assert np.array_equal(model(x), loaded(x))


def test_a_file_of_the_layer_of_keras_fits(tmp_path):
    theirs, ours = (
        tf.keras.Sequential([tf.keras.Input([4, 4, 3]), layer]) for layer in reversed(pair_of(3, 2))
    )
    for weight in theirs.weights:
        weight.assign(tf.random.stateless_normal(weight.shape, (5, 6)))
    theirs.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    ours.load_weights(tmp_path / "model.weights.h5")
    for mine, other in zip(ours.weights, theirs.weights):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("shape", [(None, 16, 16, 3), (2, None, 8, 3), (None, None, None, 3)])
def test_static_shape_is_that_of_keras(shape):
    ours, theirs = (layer(tf.keras.Input(batch_shape=shape)) for layer in pair_of(3, 2))
    assert tuple(ours.shape) == tuple(theirs.shape)
