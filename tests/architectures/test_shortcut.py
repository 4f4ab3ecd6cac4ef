"""The shortcut that begins as a DCT, alone and in the networks."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import fft

from tests.architectures.networks import make_model, marked
from tests.keras_versions import has_format
from tests.photographs import photograph
from tfsq import codec
from tfsq._keras import IS_KERAS_3
from tfsq.architectures import NETWORKS, DCTShortcut, MeanScaleHyperprior
from tfsq.architectures.shortcut import dct_kernel, frequencies, quantization_step

KERAS_2_FILE = pathlib.Path(__file__).parents[1] / "golden" / "keras_2" / "model.keras"

EVERY = 768
PIXELS = photograph("chelsea")[:256, :384]


def centered(pixels):
    return tf.constant(pixels[np.newaxis] / 255.0 - 0.5, tf.float32)


def pair(channels, **kwargs):
    return DCTShortcut(channels, **kwargs), DCTShortcut(channels, inverse=True, **kwargs)


@pytest.mark.parametrize("channels", [1, 3, 8, 48, 192, 320, EVERY])
def test_kernels_are_orthonormal(channels):
    # In float64: what a sum of float32 loses depends on the processor.
    columns = dct_kernel(channels).reshape(-1, channels).astype(np.float64)
    np.testing.assert_allclose(columns.T @ columns, np.eye(channels), atol=1e-6)


def test_more_channels_add_frequencies():
    chosen = [set(frequencies(channels)) for channels in range(1, EVERY + 1)]
    for channels, (fewer, more) in enumerate(zip(chosen, chosen[1:]), 1):
        assert len(fewer) == channels
        assert fewer < more
    assert chosen[2] == {(0, 0, 0), (1, 0, 0), (2, 0, 0)}


def test_luma_coefficients_are_scipys():
    y = DCTShortcut(EVERY, lmbda=0.02)(centered(PIXELS))[0].numpy()
    luma = (PIXELS - 127.5).sum(axis=-1) / np.sqrt(3)
    expected = fft.dctn(luma[32:48, 64:80], norm="ortho") / quantization_step(0.02)
    for channel, (color, row, column) in enumerate(frequencies(EVERY)):
        if color == 0:
            assert y[2, 4, channel] == pytest.approx(expected[row, column], abs=1e-3)


@pytest.mark.parametrize("lmbda", [1e-3, 0.03])
def test_every_coefficient_gives_the_image_back(lmbda):
    there, back = pair(EVERY, lmbda=lmbda)
    image = centered(PIXELS)
    np.testing.assert_allclose(back(there(image)), image, atol=1e-5)


@pytest.mark.parametrize("lmbda", [1e-3, 0.03])
def test_a_step_of_one_has_the_error_of_the_quantization_step(lmbda):
    there, back = pair(EVERY, lmbda=lmbda)
    # So loud that every coefficient is spread over many steps.
    image = tf.random.normal([1, 64, 64, 3], stddev=10.0)
    error = 255.0 * (back(tf.round(there(image))) - image)
    expected = quantization_step(lmbda) ** 2 / 12
    assert float(tf.reduce_mean(error**2)) == pytest.approx(expected, rel=0.02)


def test_the_step_balances_rate_and_distortion():
    lmbda = 0.02
    steps = quantization_step(lmbda) * np.array([0.99, 1.0, 1.01])
    loss = -3.0 * np.log2(steps) + lmbda * steps**2 / 12
    assert loss.argmin() == 1


def test_channels_beyond_all_coefficients_begin_at_zero():
    y = DCTShortcut(EVERY + 5)(centered(PIXELS))
    assert y.shape[-1] == EVERY + 5
    assert not np.any(y[..., EVERY:])


@pytest.mark.parametrize("channels", [8, 12, 48, 96, 192, 320])
def test_rule_keeps_nearly_the_energy_that_the_best_choice_does(channels):
    every = DCTShortcut(EVERY)
    energies = np.zeros(EVERY)
    for name in ("astronaut", "chelsea", "coffee"):
        y = every(centered(photograph(name)[:288, :400]))
        energies += tf.reduce_mean(y**2, axis=(0, 1, 2)).numpy()
    energy = dict(zip(frequencies(EVERY), energies))
    left = sum(energy.values()) - sum(energy[place] for place in frequencies(channels))
    best = sum(sorted(energy.values())[: EVERY - channels])
    assert left <= 1.25 * best


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("inverse", [False, True])
def test_dtypes_and_sizes(dtype, inverse):
    layer = DCTShortcut(5, inverse=inverse, dtype=dtype)
    shape, expected = ([2, 2, 3, 5], [2, 32, 48, 3]) if inverse else ([2, 32, 48, 3], [2, 2, 3, 5])
    inputs = tf.random.uniform(shape, dtype=tf.as_dtype(dtype))
    outputs = tf.function(layer)(inputs)
    assert (outputs.dtype, outputs.shape) == (dtype, expected)
    assert layer.compute_output_shape([None, None, None, shape[-1]])[-1] == expected[-1]
    assert layer(inputs[:0]).shape == [0, *expected[1:]]


@pytest.mark.parametrize("inverse", [False, True])
def test_is_a_layer_of_a_model_of_ones_own(inverse, tmp_path):
    inputs = tf.keras.Input((None, None, 4 if inverse else 3))
    model = tf.keras.Model(inputs, DCTShortcut(4, inverse=inverse, lmbda=0.02)(inputs))
    kernel = model.layers[1].kernel
    kernel.assign(2 * kernel)
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    x = tf.random.normal([1, 16, 16, inputs.shape[-1]])
    np.testing.assert_array_equal(model(x), again(x))
    assert again.layers[1].get_config() == model.layers[1].get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "`channels` must be an integer of at least 1"),
        ({"channels": 4, "lmbda": 0.0}, "`lmbda` must be positive and finite.*lmbda=0.0"),
        ({"channels": 4, "lmbda": float("nan")}, "`lmbda` must be positive and finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DCTShortcut(**arguments)


def test_pixels_that_make_no_whole_blocks_are_refused():
    with pytest.raises(ValueError, match=r"must be multiples of 16. Received: shape=\(1, 16, 20"):
        DCTShortcut(4)(tf.zeros([1, 16, 20, 3]))


def loss_of(model, image):
    return float(model.rate_distortion(image, training=False)["loss"][0])


@pytest.mark.parametrize(
    ("name", "lmbda"),
    # What the others predict, begins in `test_local_statistics`.
    [("FactorizedPrior", 1e-3), ("FactorizedPrior", 0.1)]
    + [pytest.param(name, 0.01, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_networks_begin_near_the_dct(name, lmbda):
    image = tf.constant(PIXELS[np.newaxis])
    losses = {}
    for shortcut in (None, "dct"):
        model = make_model(
            name, num_filters=8, num_latents=24, shortcut=shortcut, initial_lmbda=lmbda
        )
        model.compile("sgd", lmbda=lmbda)
        losses[shortcut] = loss_of(model, image)
    # What keeps no coefficient but the mean of all pixels.
    flat = lmbda * PIXELS.var(axis=(0, 1)).mean()
    assert losses["dct"] < 0.6 * flat < losses[None]


@pytest.mark.slow  # `test_all_networks` moves every weight of one, too.
def test_networks_train_the_shortcut_too():
    model = make_model("FactorizedPrior", shortcut="dct", initial_lmbda=0.02)
    kernels = [
        getattr(model, part).get_layer(f"{part}_shortcut").kernel
        for part in ("analysis", "synthesis")
    ]
    before = [kernel.numpy() for kernel in kernels]
    model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=0.02)
    images = tf.constant(PIXELS[np.newaxis, :64, :64])
    model.fit(tf.data.Dataset.from_tensors(images), verbose=0)
    for kernel, value in zip(kernels, before):
        moved = np.abs(kernel.numpy() - value)
        assert moved.min() > 0 and moved.max() <= 1.01e-3


@pytest.mark.parametrize("name", marked())
def test_networks_of_before_see_pixels_from_zero_to_one(name):
    image = tf.constant(PIXELS[np.newaxis, :64, :64], tf.float32)
    model = make_model(name, centered=False)
    config = model.get_config()
    for key in ("centered", "shortcut", "initial_lmbda"):
        del config[key]
    again = type(model).from_config(config)
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again.transform(image), model.analysis(image / 255.0))
    y = tf.round(10 * model.transform(image))
    np.testing.assert_array_equal(again.synthesize(y), 255.0 * model.synthesis(y))


@keras.saving.register_keras_serializable(package="test_shortcut")
class OfOnesOwn(MeanScaleHyperprior):
    """A network with a constructor of its own."""

    def __init__(self, width, **kwargs):
        super().__init__(num_filters=width, num_latents=4, **kwargs)

    def get_config(self):
        return {"width": self.num_filters, "name": self.name}


@pytest.mark.slow
def test_networks_with_a_constructor_of_their_own_decide_themselves(tmp_path):
    model = OfOnesOwn(3)
    model.save(tmp_path / "model.keras")
    assert tf.keras.models.load_model(tmp_path / "model.keras").centered


def keras_file_of_a_build_before():
    return tf.keras.models.load_model(KERAS_2_FILE)


def codec_of_a_build_before():
    return codec.load(codec.shipped_folder() / "analysis" / "codec").network


@pytest.mark.slow
@pytest.mark.parametrize(
    "load", [codec_of_a_build_before, pytest.param(keras_file_of_a_build_before, marks=has_format)]
)
def test_models_of_builds_before_have_pixels_from_zero_to_one(load):
    model = load()
    assert not model.centered and model.shortcut is None
    image = tf.constant(photograph("coffee")[np.newaxis, :320, :448])
    model.compile("sgd", lmbda=0.01)
    # Centered, the same weights would give 20 dB.
    assert float(model.rate_distortion(image, training=False)["psnr"][0]) > 25.0


@pytest.mark.skipif(not IS_KERAS_3, reason="Keras 2 reads its files")
def test_keras_3_says_what_to_do_with_files_of_keras_2():
    with pytest.raises(ValueError, match="written by Keras 2.*tfsq.codec.export"):
        tf.keras.models.load_model(KERAS_2_FILE)


def test_centered_pixels_are_those_of_before_less_a_half():
    image = tf.constant(PIXELS[np.newaxis, :64, :64], tf.float32)
    model = make_model("MeanScaleHyperprior")
    np.testing.assert_array_equal(model.transform(image), model.analysis(image / 255.0 - 0.5))
    y = model.transform(image)
    np.testing.assert_allclose(model.synthesize(y), 255.0 * (model.synthesis(y) + 0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shortcut": "fft"}, r"`shortcut` must be None or one of \['dct'\].*'fft'"),
        ({"initial_lmbda": 0.0}, "`initial_lmbda` must be positive and finite.*initial_lmbda=0.0"),
    ],
)
def test_networks_refuse_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model("FactorizedPrior", **arguments)


@pytest.mark.parametrize(
    "dtype", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_mixed_precision_begins_where_float32_does(dtype):
    image = tf.constant(PIXELS[np.newaxis])
    losses = {}
    for policy in ("float32", dtype):
        tf.keras.utils.set_random_seed(1)
        model = make_model("MeanScaleHyperprior", shortcut="dct", dtype=policy)
        model.compile("sgd", lmbda=0.01)
        losses[policy] = loss_of(model, image)
        assert model.transform(tf.cast(image, tf.float32)).dtype == model.compute_dtype
    assert losses[dtype] == pytest.approx(losses["float32"], rel=0.02)
