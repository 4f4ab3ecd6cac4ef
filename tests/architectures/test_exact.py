"""Exact transforms against arithmetic on Python's and NumPy's integers."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.architectures.networks import make_model
from tfsq.architectures import NETWORKS, MeanScaleHyperprior, transforms
from tfsq.architectures.exact import check_exact, check_softplus_decides, exactly, on_grid
from tfsq.architectures.upsampling import Conv2DTranspose
from tfsq.entropy_models import LowerBoundedGaussianConditional

CONVOLUTIONS = {
    "3x3": lambda: transforms.down(4, "layer", kernel_size=3, strides=1),
    "5x5": lambda: transforms.down(4, "layer"),
    "transposed": lambda: Conv2DTranspose(4, name="layer"),
    "transposed by Keras": lambda: tf.keras.layers.Conv2DTranspose(4, 5, 2, padding="same"),
}


def integers(values, bits):
    """Multiples of 2^-bits as Python integers."""
    return np.vectorize(int, otypes=[object])(np.round(np.asarray(values, np.float64) * 2.0**bits))


def oracle(layer, x):
    """The convolution in integers of any size, as multiples of 2^-30 [height, width, filters]."""
    kernel, bias = integers(layer.kernel, 18), integers(layer.bias, 30)
    x = integers(np.clip(x[0], -4096, 4096), 12)
    rows, columns, _ = x.shape
    size, stride = layer.kernel_size[0], layer.strides[0]
    if isinstance(layer, tf.keras.layers.Conv2DTranspose):
        full = np.zeros([rows * stride + size, columns * stride + size, layer.filters], object)
        for i in range(rows):
            for j in range(columns):
                place = full[i * stride : i * stride + size, j * stride : j * stride + size]
                place += kernel @ x[i, j]
        before = (size - stride) // 2
        full = full[before : before + rows * stride, before : before + columns * stride]
        return full + bias
    before = max(size - stride, 0) // 2
    padded = np.zeros([rows + size, columns + size, x.shape[2]], object)
    padded[before : before + rows, before : before + columns] = x
    found = np.zeros([-(-rows // stride), -(-columns // stride), layer.filters], object)
    for i, j in np.ndindex(*found.shape[:2]):
        window = padded[i * stride : i * stride + size, j * stride : j * stride + size]
        found[i, j] = np.tensordot(window, kernel, 3) + bias
    return found


def layer_and_input(name, weight, value):
    """A layer with large weights and large inputs, where floats would have to round."""
    layer, rng = CONVOLUTIONS[name](), np.random.default_rng(0)
    x = rng.normal(0.0, value, [1, 6, 4, 3])
    layer.build(x.shape)
    layer.set_weights([rng.normal(0.0, weight, w.shape).astype("float32") for w in layer.weights])
    return layer, x


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("weight, value", [(0.1, 3.0), (10.0, 3000.0)])
def test_convolution_is_that_of_the_integers(name, weight, value):
    layer, x = layer_and_input(name, weight, value)
    check_exact(layer)
    found = exactly(layer)(x)
    assert found.dtype == tf.float64
    expected = oracle(layer, x)
    # Half to even, as integers: multiples of 2^-30 to multiples of 2^-12.
    half = 2**17
    floor, rest = expected // 2**18, expected % 2**18
    up = (rest > half) | ((rest == half) & (floor % 2 == 1))
    expected = np.clip((floor + up).astype(np.float64) / 2**12, -4096, 4096)
    assert np.array_equal(found[0], expected)


def test_result_does_not_depend_on_order_batch_or_place():
    transform = transforms.hyper_synthesis(8, (12, 16, 20), "leaky")
    z = tf.random.stateless_normal([2, 9, 7, 8], (1, 2), 0.0, 5.0)
    whole = exactly(transform)(z)
    assert np.array_equal(tf.function(exactly(transform))(z), whole)
    for i in range(2):
        assert np.array_equal(exactly(transform)(z[i : i + 1])[0], whole[i])
    # Without the rows that a crop sees padded.
    assert np.array_equal(exactly(transform)(z[:, 2:])[:, 12:], whole[:, 20:])
    shuffle = np.random.default_rng(0).permutation(8)
    first = transform.layers[0]
    kernel, bias = first.get_weights()
    first.set_weights([kernel[..., shuffle], bias])
    assert np.array_equal(exactly(transform)(tf.gather(z, shuffle, axis=-1)), whole)


def test_exact_is_near_the_float_transform():
    transform = transforms.hyper_synthesis(8, (12, 16, 20), "relu")
    z = tf.random.stateless_normal([1, 5, 5, 8], (1, 2), 0.0, 5.0)
    np.testing.assert_allclose(exactly(transform)(z), transform(z), atol=2e-3)


@given(st.floats(allow_nan=False))
def test_grid(value):
    (found,) = on_grid(tf.constant([value], tf.float64)).numpy()
    assert found * 2**12 == round(found * 2**12)
    assert abs(found - min(max(value, -4096.0), 4096.0)) <= 2.0**-13
    assert np.float32(found) == found


def test_weights_too_large_to_be_exact_are_refused():
    model = MeanScaleHyperprior(num_filters=2, num_latents=3)
    model.check_codable()
    kernel, bias = model.hyper_synthesis.layers[0].weights
    kernel.assign(kernel + 100.0)
    with pytest.raises(ValueError, match="weights of 'up_0' must be small enough .* Received: 50"):
        model.check_codable()
    kernel.assign(0.0 * kernel)
    bias.assign([0.0, -2049.0, 0.0])
    with pytest.raises(ValueError, match="Received: 0 and 2049"):
        model.check_codable()


def test_layers_that_are_not_exact_are_refused():
    with pytest.raises(TypeError, match="cannot be computed exactly"):
        exactly(tf.keras.Sequential([tf.keras.layers.Softmax()]))


@pytest.mark.parametrize("bound", [1e-6, 0.01, 0.11, 0.178, 1.0])
def test_no_threshold_is_near_the_softplus_of_the_grid(bound):
    model = LowerBoundedGaussianConditional(3, scale_lower_bound=bound)
    check_softplus_decides(model.scale_table.thresholds)
    # An error a thousand times that of float64 changes no index.
    raw = np.arange(-16 * 2**12, 300 * 2**12) / 2**12
    scales = np.logaddexp(0.0, raw)
    indexes = [
        np.searchsorted(model.scale_table.thresholds, f * scales) for f in (1 - 1e-12, 1 + 1e-12)
    ]
    assert np.array_equal(*indexes)
    with pytest.raises(ValueError, match="choose other bounds"):
        check_softplus_decides(np.array([np.logaddexp(0.0, 5 / 2**12)]))


def test_no_tanh_of_the_grid_is_near_the_middle_of_two_multiples():
    raw = np.arange(-30 * 2**12, 30 * 2**12) / 2**12
    steps = 0.5 * np.tanh(raw) * 2**12
    assert np.abs(steps - np.floor(steps) - 0.5).min() > 5e-9


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "FactorizedPrior"])
def test_every_predictor_is_checked(name):
    model = make_model(name)
    free = (*model.encoder, "synthesis", "latent_model", "hyper_latent_model")
    predictors = [layer for layer in model.layers if layer.name not in free]
    assert predictors
    for layer in predictors:
        before = layer.weights[0].numpy()
        layer.weights[0].assign(before + 1000.0)
        with pytest.raises(ValueError, match="must be small enough"):
            model.check_codable()
        layer.weights[0].assign(before)
    model.check_codable()
