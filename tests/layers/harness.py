"""`run_layer_test`: what every quantizer layer is put through."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

DTYPES = ("float16", "bfloat16", "float32", "float64")


def run_layer_test(make_layer, tmp_path):
    """Checks a quantizer layer.

    Args:
      make_layer: (**kwargs) -> layer, with noise seeded if `seed` is among the arguments.
      tmp_path: Folder for files.
    """
    _check_dtypes(make_layer)
    _check_shapes(make_layer)
    _check_inference_is_rounding(make_layer)
    _check_traced_and_compiled(make_layer)
    _check_config(make_layer)
    _check_mixed_precision(make_layer)
    _check_training_step(make_layer)
    check_functional_model_files(make_layer, tmp_path, ("model.keras", "model.h5"))


def latents(shape=(2, 5, 3), dtype="float32"):
    """Seeded latents."""
    return tf.cast(tf.random.stateless_normal(shape, (1, 2)) * 3, dtype)


def _check_dtypes(make_layer):
    for dtype in DTYPES:
        layer = make_layer()
        for training in (False, True):
            assert layer(latents(dtype=dtype), training=training).dtype == dtype
            # The layer's weights and policy must not depend on what it was called with.
            assert layer(latents(dtype="float32"), training=training).dtype == "float32"


def _check_shapes(make_layer):
    layer = make_layer()
    for shape in [(), (0,), (7,), (2, 0, 3), (1, 2, 3, 4, 5)]:
        for training in (False, True):
            assert layer(latents(shape), training=training).shape == shape
    assert layer.compute_output_shape((None, 3)).as_list() == [None, 3]

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def of_unknown_shape(y):
        return layer(y, training=True)

    assert of_unknown_shape(latents((3, 4))).shape == (3, 4)


def _check_inference_is_rounding(make_layer):
    layer, y = make_layer(), latents((1000,))
    expected = np.round(y.numpy())
    for training in (False, None, tf.constant(False)):
        assert np.array_equal(layer(y, training=training), expected)
    traced = tf.function(lambda y, training: layer(y, training=training))
    assert np.array_equal(traced(y, tf.constant(False)), expected)


def _check_traced_and_compiled(make_layer):
    layer, y = make_layer(), latents((200,))
    noise = layer.sample_noise(y.shape, y.dtype)
    if noise is not None:
        assert noise.shape == y.shape + layer.noise_axes
        assert noise.dtype == y.dtype
        assert np.isfinite(noise).all()
    call = lambda y, noise: layer(y, training=True, noise=noise)  # noqa: E731
    eager = call(y, noise)
    for jit_compile in (False, True):
        result = tf.function(call, jit_compile=jit_compile)(y, noise)
        np.testing.assert_allclose(result, eager, atol=1e-5)


def _check_config(make_layer):
    layer = make_layer(name="a_name")
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    serialized = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(serialized).get_config() == config


def _check_mixed_precision(make_layer):
    for policy in ("mixed_float16", "mixed_bfloat16"):
        layer = make_layer(dtype=policy)
        assert layer(latents(), training=True).dtype == "float32"
        half = policy.replace("mixed_", "")
        assert layer(latents(dtype=half), training=True).dtype == half
        assert all(weight.dtype == tf.float32 for weight in layer.weights)


def _check_training_step(make_layer):
    dense = tf.keras.layers.Dense
    model = tf.keras.Sequential([tf.keras.Input([4]), dense(3), make_layer(), dense(1)])
    model.compile("sgd", "mse")
    x = latents((8, 4))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(x, tf.ones([8, 1]), epochs=1, batch_size=8, verbose=0)
    after = [weight.numpy() for weight in model.trainable_weights]
    # The kernel before the quantizer moves: the gradient passes.
    assert not np.array_equal(before[0], after[0])


def check_functional_model_files(make_layer, tmp_path, formats):
    """Checks what files keep of a model with the layer, in each format."""
    inputs = tf.keras.Input([None, 3])
    model = tf.keras.Model(inputs, make_layer()(tf.keras.layers.Dense(3)(inputs)))
    for weight in model.non_trainable_weights:
        weight.assign(tf.ones_like(weight) * 0.25)
    y = latents()
    for name in formats:
        model.save(tmp_path / name)
        loaded = tf.keras.models.load_model(tmp_path / name)
        assert len(loaded.weights) == len(model.weights)
        for a, b in zip(model.weights, loaded.weights):
            assert np.array_equal(a, b), f"{a.name} in {name}"
        assert np.array_equal(model(y), loaded(y))
