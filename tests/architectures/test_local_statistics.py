"""Hyper transforms that begin as local statistics, against what they are to compute."""

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import make_model, marked
from tests.photographs import photograph
from tfsq.architectures import NETWORKS, MeanScaleHyperprior, ScaleHyperprior
from tfsq.architectures.shortcut import frequencies, quantization_step

HYPERPRIORS = [name for name in NETWORKS if name != "FactorizedPrior"]
LMBDA = 0.004
PIXELS = photograph("chelsea")[:256, :384]


def network(kind=MeanScaleHyperprior, **kwargs):
    sizes = {"num_filters": 32, "num_latents": 40, "shortcut": "dct", "initial_lmbda": LMBDA}
    return kind(**{**sizes, **kwargs})


def deviations(channels, lmbda=LMBDA):
    found = [
        (1400.0, 400.0, 150.0)[color]
        if row == column == 0
        else 150.0 / np.sqrt((1, 20, 70)[color] * (row**2 + column**2))
        for color, row, column in frequencies(channels)
    ]
    return np.array(found) / quantization_step(lmbda)


def chosen(channels):
    """Latents of luma that alternate, slowest first."""
    luma = [
        (row**2 + column**2, i)
        for i, (color, row, column) in enumerate(frequencies(channels))
        if color == 0 and row + column
    ]
    return [i for _, i in sorted(luma)][:10]


def latents(seed=0, rows=8, columns=12):
    """Normal coefficients of the usual deviations."""
    y = np.random.default_rng(seed).normal(size=(1, rows, columns, 40))
    return y * deviations(40)


def activity_of(y):
    i = chosen(40)
    return (np.abs(y[..., i]) / deviations(40)[i]).mean(-1) / np.sqrt(2 / np.pi)


def blocks(plane):
    _, rows, columns = plane.shape
    return plane.reshape(rows // 4, 4, columns // 4, 4).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("kind", [MeanScaleHyperprior, ScaleHyperprior])
def test_hyper_latents_begin_as_activity(kind):
    y = latents()
    # A leaky rectifier lets a hundredth through.
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if kind is ScaleHyperprior else {"atol": 0.1}
    z = network(kind).analyze_latent(tf.constant(y, tf.float32))[0].numpy()
    activity = blocks(activity_of(y))
    np.testing.assert_allclose(z[..., 0], activity.sum((2, 3)) / 4 - 4, **tolerance)
    wave = np.cos(np.pi * (np.arange(4) + 0.5) / 4) * np.sqrt(2) / 4
    np.testing.assert_allclose(z[..., 1], (activity * wave).sum((2, 3)), **tolerance)
    np.testing.assert_allclose(z[..., 2], (activity.swapaxes(2, 3) * wave).sum((2, 3)), **tolerance)


def test_hyper_latents_begin_as_means():
    y = latents()
    z = network().analyze_latent(tf.constant(y, tf.float32))[0].numpy()
    means = [i for i, (_, row, column) in enumerate(frequencies(40)) if row == column == 0]
    for channel, i in enumerate(means, 3):
        expected = blocks(y[..., i]).mean((2, 3)) / (0.4 * deviations(40)[i])
        np.testing.assert_allclose(z[..., channel], expected, rtol=0.03, atol=0.03)


def test_usual_deviations_are_those_of_photographs():
    model = network(num_latents=64)
    ratios = []
    for name in ("astronaut", "chelsea", "coffee"):
        pixels = photograph(name)[:288, :400]
        y = model.transform(tf.constant(pixels[np.newaxis], tf.float32))
        ratios.append(np.abs(y[0]).mean((0, 1)) / np.sqrt(2 / np.pi) / deviations(64))
    # The networks' other branch begins at a tenth, and adds to the finest ones.
    mean = np.mean(ratios, axis=0)
    assert 0.5 < np.median(mean) < 2.0
    assert mean.min() > 0.2 and mean.max() < 5.0


def predicted(model, y):
    # Not rounded: statistics of positions that are all alike go through unchanged.
    z = model.analyze_latent(tf.constant(y, tf.float32))
    scale, loc = model.scale_and_loc(model.hyper_synthesis(z))
    return scale.numpy(), loc.numpy()


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    return network()


@pytest.mark.parametrize("activity", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("brightness", [-1.0, 0.0, 2.0])
def test_predictions_begin_as_what_the_hyper_latent_says(model, activity, brightness):
    places, usual = frequencies(40), deviations(40)
    y = np.random.default_rng(0).choice([-1.0, 1.0], size=(1, 32, 32, 40)) * usual
    y *= activity * np.sqrt(2 / np.pi)
    are_means = np.array([row == column == 0 for _, row, column in places])
    y[..., are_means] = brightness * usual[are_means]
    scale, loc = (found[0, 8:-8, 8:-8].mean((0, 1)) for found in predicted(model, y))
    # Beside them there are random weights, a tenth of the usual ones.
    np.testing.assert_allclose(loc[are_means], y[0, 0, 0, are_means], rtol=0.05, atol=0.4)
    np.testing.assert_allclose(loc[~are_means], 0.0, atol=0.4)
    loud = ~are_means & (usual > 2)
    expected = activity * np.sqrt(usual**2 + 1 / 12)
    np.testing.assert_allclose(scale[loud], expected[loud], rtol=0.25, atol=0.3)
    if activity == 1.0:
        usual = np.where(are_means, 0.4 * usual, usual)
        np.testing.assert_allclose(scale, np.sqrt(usual**2 + 1 / 12), rtol=0.2, atol=0.2)


class AtRandom:
    """Networks whose hyper transforms keep the weights of Keras."""

    def begin_hyper_transforms(self, *paths, signed=True):
        pass


@pytest.mark.slow  # Two networks and their losses, each time.
@pytest.mark.parametrize("lmbda", [1e-3, 0.1])
@pytest.mark.parametrize("name", marked(HYPERPRIORS))
def test_networks_begin_with_fewer_bits(name, lmbda):
    image = tf.constant(PIXELS[np.newaxis, :128, :128])
    sizes = {"num_filters": 16, "num_latents": 40, "shortcut": "dct", "initial_lmbda": lmbda}
    bits = []
    for kind in (type("Random", (AtRandom, NETWORKS[name]), {}), NETWORKS[name]):
        tf.keras.utils.set_random_seed(0)
        model = make_model(name, **sizes) if kind is NETWORKS[name] else kind(**sizes)
        model.compile("sgd", lmbda=lmbda)
        bits.append(float(model.rate_distortion(image, training=True)["bpp"][0]))
        model.check_codable()
    assert bits[1] < 0.6 * bits[0]


@pytest.mark.parametrize("lmbda", [1e-6, 30.0])
@pytest.mark.parametrize("name", marked(HYPERPRIORS))
def test_predictions_are_exact_at_every_lambda(name, lmbda):
    model = make_model(name, num_filters=16, num_latents=40, shortcut="dct", initial_lmbda=lmbda)
    model.check_codable()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.slow  # Many networks are built.
@pytest.mark.parametrize("name", marked(HYPERPRIORS))
@pytest.mark.parametrize("num_filters", [1, 3, 4, 8])
def test_narrow_networks_have_what_there_is_room_for(name, num_filters):
    model = make_model(name, num_filters=num_filters, num_latents=20, shortcut="dct")
    model.check_codable()
    first = model.hyper_analysis.layers[0].kernel.numpy()
    # Random kernels have no zeros.
    assert np.any(first == 0.0) == (num_filters >= 4)


@pytest.mark.parametrize("num_latents", [1, 2, 3])
def test_without_an_alternating_latent_weights_are_random(num_latents):
    model = network(num_latents=num_latents)
    assert all(layer.kernel.numpy().all() for layer in model.hyper_analysis.layers[::2])


def test_networks_of_the_literature_begin_at_random():
    model = network(shortcut=None)
    assert all(layer.kernel.numpy().all() for layer in model.hyper_analysis.layers[::2])
    assert all(layer.kernel.numpy().all() for layer in model.hyper_synthesis.layers[::2])


@pytest.mark.slow
def test_a_hyper_synthesis_of_little_width_is_enough():
    model = network(hyper_width=4)
    model.compile("sgd", lmbda=LMBDA)
    image = tf.constant(PIXELS[np.newaxis])
    assert float(model.rate_distortion(image, training=True)["bpp"][0]) < 1.0


@pytest.mark.slow  # Four networks are built.
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_weights_are_written_in_every_dtype(dtype):
    written = [network(dtype=d).hyper_analysis.layers[0].kernel.numpy() for d in ("float32", dtype)]
    zeros = written[0] == 0.0
    assert zeros.any()
    np.testing.assert_array_equal(written[1] == 0.0, zeros)
    pair = written[1][1, 1, chosen(40)[0], :2]
    np.testing.assert_allclose(pair, np.array([1, -1]) / deviations(40)[chosen(40)[0]], rtol=1e-6)


@pytest.mark.slow  # Two networks are built.
def test_a_strategy_gives_every_replica_the_same_weights():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    tf.keras.utils.set_random_seed(0)
    reference = network()
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        model = network()
    for own, expected in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_array_equal(own, expected)
