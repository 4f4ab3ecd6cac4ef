import functools

import numpy as np
import pytest
import tensorflow as tf

from tfsq.architectures import CheckerboardHyperprior, JointAutoregressiveHyperprior
from tfsq.architectures.coders import Estimator
from tfsq.architectures.exact import exactly
from tfsq.architectures.hyperprior import LATENT
from tfsq.architectures.masked_convolution import (
    MaskedConvolution,
    causal_taps,
    checkerboard_taps,
)

ROWS, COLUMNS, CHANNELS = 8, 12, 4


# The loop over anti-diagonals takes seconds; `tests/codec/test_robustness.py` codes with it.
both_networks = pytest.mark.parametrize(
    "network",
    [
        pytest.param(JointAutoregressiveHyperprior, marks=pytest.mark.slow),
        CheckerboardHyperprior,
    ],
)


def make(network):
    tf.keras.utils.set_random_seed(3)
    model = network(num_filters=3, num_latents=CHANNELS)
    # Biases and contexts that are not zero.
    for weight in model.trainable_weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, (1, 2), stddev=0.1))
    return model


def inputs():
    y = 3.0 * tf.random.stateless_normal([2, ROWS, COLUMNS, CHANNELS], (4, 5))
    z_hat = tf.round(2.0 * tf.random.stateless_normal([2, ROWS // 4, COLUMNS // 4, 3], (6, 7)))
    return y, z_hat


class Recorder(Estimator):
    """Keeps what each position was predicted to be, at the place of the position."""

    def __init__(self, model, y):
        super().__init__(model.latent_model, y, training=False)
        self.places = tf.tile(
            tf.reshape(tf.range(ROWS * COLUMNS, dtype=tf.float32), [1, ROWS, COLUMNS, 1]),
            [2, 1, 1, CHANNELS],
        )
        self.predicted = np.full([2, ROWS * COLUMNS, CHANNELS], np.nan)
        self.order = []

    def code_piece(self, state, piece, scale, loc):
        places = piece(self.places).numpy()[0, :, :, 0].astype(int)
        self.order.append(places.ravel())
        self.predicted[:, places.ravel()] = loc.numpy().reshape([2, -1, CHANNELS])
        return super().code_piece(state, piece, scale, loc)


def coded(model, y, z_hat):
    recorder = Recorder(model, y)
    _, y_hat = model.walk(recorder, z_hat)
    return y_hat, recorder.predicted.reshape(y.shape), recorder.order


@both_networks
def test_every_position_is_coded_once_and_put_back_where_it_was(network):
    model = make(network)
    y, z_hat = inputs()
    y_hat, predicted, order = coded(model, y, z_hat)
    assert sorted(np.concatenate(order)) == list(range(ROWS * COLUMNS))
    # Zero-center quantization: integers away from what was predicted for that very position.
    np.testing.assert_allclose(y_hat, np.round(y - predicted) + predicted, atol=1e-5)


@both_networks
def test_predictions_are_those_of_a_masked_convolution_over_what_is_decoded(network):
    model = make(network)
    y, z_hat = inputs()
    y_hat, predicted, _ = coded(model, y, z_hat)
    context = model.context(y_hat)
    if network is CheckerboardHyperprior:
        rows, columns = np.indices([ROWS, COLUMNS])
        context = tf.where(((rows + columns) % 2 == 1)[None, :, :, None], context, 0.0)
    _, loc = model.predict(model.entropy_parameters, model.hyper_synthesis(z_hat), context)
    np.testing.assert_allclose(predicted, loc, atol=2e-3)


@functools.cache
def predictions_of(network):
    model = make(network)
    return model, coded(model, *inputs())[1]


def decoded_before(network, position):
    """Raster order for the one, the other color for the other."""
    row, column = position
    rows, columns = np.indices([ROWS, COLUMNS])
    if network is JointAutoregressiveHyperprior:
        return (rows < row) | ((rows == row) & (columns < column))
    return (rows + columns) % 2 == 0 if (row + column) % 2 else np.zeros([ROWS, COLUMNS], bool)


@both_networks
@pytest.mark.parametrize("position", [(3, 5), (0, 1), (7, 11), (4, 6)])
def test_predictions_depend_on_nothing_that_is_decoded_later(network, position):
    model, predicted = predictions_of(network)
    y, z_hat = inputs()
    before = decoded_before(network, position)[None, :, :, None]
    _, changed, _ = coded(model, tf.where(before, y, y + 7.3), z_hat)
    row, column = position
    np.testing.assert_array_equal(predicted[:, row, column], changed[:, row, column])
    if before.any():
        _, changed, _ = coded(model, tf.where(before, y + 7.3, y), z_hat)
        assert not np.allclose(predicted[:, row, column], changed[:, row, column], atol=1e-3)


def test_training_looks_at_the_surrogate_of_the_whole_latent():
    model = make(JointAutoregressiveHyperprior)
    y, z_hat = inputs()
    model.latent_model.reconstruction_quantizer.hard = True
    coder = Estimator(model.latent_model, y, training=True)
    _, y_hat = model.walk(coder, z_hat)
    context = model.context(tf.round(y))
    _, loc = model.predict(model.entropy_parameters, model.hyper_synthesis(z_hat), context)
    np.testing.assert_allclose(y_hat, np.round(y - loc) + loc, atol=1e-4)


@pytest.mark.parametrize("taps", [causal_taps(), checkerboard_taps()])
def test_masked_convolution_at_one_position_is_the_convolution_there(taps):
    layer = MaskedConvolution(6, taps)
    x = tf.random.stateless_normal([1, 5, 5, 3], (1, 1))
    layer.build(x.shape)
    layer.bias.assign_add(tf.ones([6]))
    everywhere = exactly(layer)(x)
    neighbors = tf.concat([x[:, 2 + row, 2 + column] for row, column in taps], axis=-1)
    # Not nearly, but exactly.
    assert np.array_equal(layer.exactly_at_one_position()(neighbors), everywhere[:, 2, 2])
    np.testing.assert_allclose(everywhere, layer(x), atol=1e-3)
    again = MaskedConvolution.from_config(layer.get_config())
    assert again.taps == layer.taps


def test_taps_are_twelve_of_the_window():
    assert len(causal_taps()) == len(checkerboard_taps()) == 12
    assert all((row, column) < (0, 0) for row, column in causal_taps())
    assert all((row + column) % 2 for row, column in checkerboard_taps())


@pytest.mark.slow  # The loop over anti-diagonals.
def test_latents_in_every_state_have_the_batch_of_the_strings():
    model = make(JointAutoregressiveHyperprior)
    y, z_hat = inputs()
    encode = tf.function(model.encode)
    strings, quantized = encode({LATENT: y, "hyper_latent": z_hat})
    assert strings[LATENT].shape == (2,)
    size = tf.constant([ROWS * 16, COLUMNS * 16])
    decoded = tf.function(model.decode)(strings, size)
    for part, latent in quantized.items():
        assert np.array_equal(decoded[part], latent)
