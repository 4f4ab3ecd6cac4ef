"""What every network promises; a new one in `NETWORKS` is found here by itself."""

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import make_model, marked
from tests.photographs import crops, photograph
from tfsq import codec, evaluation, layers
from tfsq.architectures import NETWORKS, HyperpriorModel
from tfsq.callbacks import TemperatureCallback
from tfsq.entropy_models.base import EntropyModel
from tfsq.layers import AdditiveUniformNoise, Quantizer, StraightThroughRounding, find

LARGE = np.concatenate([photograph("astronaut"), photograph("astronaut")[::-1, :256]], axis=1)
IMAGES = {
    "512x768": LARGE,
    "77x130": LARGE[100:230, 50:127],
    "1x1": LARGE[:1, :1],
    "3x200": LARGE[:200, :3],
    # Taller than wide by far: anti-diagonals of a single position.
    "1x1500": np.tile(LARGE[:, :1], (3, 1, 1))[:1500],
}


# Some without a shortcut, which does not look at what they predict.
WITHOUT_SHORTCUT = {"FactorizedPrior", "MeanScaleHyperprior", "JointAutoregressiveHyperprior"}


@pytest.fixture(scope="module", params=marked())
def trained(request):
    tf.keras.utils.set_random_seed(1)
    model = make_model(request.param, shortcut=None if request.param in WITHOUT_SHORTCUT else "dct")
    model.compile(tf.keras.optimizers.Adam(3e-3, global_clipnorm=1.0), lmbda=0.02)
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5)
    before = [weight.numpy() for weight in model.trainable_weights]
    losses = model.fit(
        tf.data.Dataset.from_tensors(crops()).repeat(),
        steps_per_epoch=10,
        epochs=3,
        verbose=0,
        callbacks=[TemperatureCallback(schedule)],
    ).history["loss"]
    return model, before, losses


@pytest.fixture(scope="module")
def model(trained):
    return trained[0]


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec")
    codec.export(model, folder)
    return codec.load(folder)


def test_training_moves_every_weight_and_lowers_the_loss(trained):
    model, before, losses = trained
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    for value, weight in zip(before, model.trainable_weights):
        assert not np.array_equal(value, weight), weight.name


# Of the large one, the bits and pixels take seconds.
@pytest.mark.parametrize(
    "size", [pytest.param(n, marks=pytest.mark.slow if n == "512x768" else ()) for n in IMAGES]
)
def test_exported_codec_decodes_exactly_in_the_predicted_length(model, loaded, size):
    figures = evaluation.measure(IMAGES[size], loaded)
    assert figures.decoder_matches_encoder
    bits = 8 * figures.payload_bytes
    assert abs(bits - figures.estimated_bits) <= 0.005 * bits + 32 * len(model.parts)


@pytest.mark.parametrize("training", [False, True])
def test_reconstruction_and_bits_of_each_part(model, training):
    image = tf.constant(crops(2)[:, :40, :50])
    reconstruction, bits = tf.function(model)(image, training=training)
    assert (reconstruction.shape, reconstruction.dtype) == (image.shape, tf.float32)
    assert sorted(bits) == sorted(model.parts)
    for value in bits.values():
        assert (value.shape, value.dtype) == ((2,), tf.float32)
        assert (value.numpy() > 0).all()


def test_training_may_be_a_tensor(model):
    image = tf.constant(crops(1))
    run = tf.function(lambda training: model(image, training=training))
    hard = tf.function(lambda: model(image, training=False))()
    np.testing.assert_allclose(run(tf.constant(False))[0], hard[0], atol=1e-3)
    assert not np.allclose(run(tf.constant(True))[0], hard[0], atol=1e-3)


def test_images_of_a_batch_are_coded_apart(model):
    images = tf.constant(crops(2))
    strings = {name: tf.TensorSpec([None], tf.string) for name in model.parts}
    decompress = tf.function(lambda strings: model.decompress(strings, [64, 64]), [strings])
    together = tf.function(model.compress)(images)
    for i in range(2):
        alone = {name: together[name][i : i + 1] for name in model.parts}
        np.testing.assert_allclose(decompress(alone)[0], decompress(together)[i], atol=1e-2)


def test_keras_file_keeps_weights_and_arguments(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    config, expected = again.get_config(), model.get_config()
    # Beside its arguments, Keras notes the shape that a layer was built with.
    for path in ("rate_quantizer", "reconstruction_quantizer"):
        quantizers = [c.pop(path)["config"] for c in (config, expected)]
        assert quantizers[0] == quantizers[1]
    assert config == expected
    assert len(again.weights) == len(model.weights)
    for a, b in zip(model.weights, again.weights):
        assert np.array_equal(a, b), a.name


def test_entropy_models_share_their_quantizers(model):
    quantizers = {id(part): type(part) for part in find(model, Quantizer)}
    types = sorted(kind.__name__ for kind in quantizers.values())
    assert types == ["AdditiveUniformNoise", "StochasticUniformAnnealing"]


@pytest.mark.parametrize("name", marked())
def test_arguments_reach_the_entropy_models_and_the_config(name):
    rate, reconstruction = AdditiveUniformNoise(), StraightThroughRounding()
    of_hyperprior = {"scale_lower_bound": 0.05, "hyper_width": 5}
    own = of_hyperprior if issubclass(NETWORKS[name], HyperpriorModel) else {}
    model = make_model(
        name,
        rate_quantizer=rate,
        reconstruction_quantizer=reconstruction,
        stop_gradient="none",
        name="a_name",
        **own,
    )
    entropy_models = layers.find(model, EntropyModel)
    assert len(entropy_models) == len(model.parts)
    for part in entropy_models:
        assert part.rate_quantizer is rate
        assert part.reconstruction_quantizer is reconstruction
        assert part.zero_center.stop_gradient == "none"
    if own:
        assert model.latent_model.scale_lower_bound == 0.05
    config = model.get_config()
    assert NETWORKS[name].from_config(config).get_config() == config
    expected = {"num_filters": 6, "num_latents": 8, "stop_gradient": "none", "name": "a_name"}
    assert {**config, **expected, **own} == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_filters": 0}, "`num_filters` must be an integer of at least 1"),
        ({"num_latents": 1.5}, "`num_latents` must be an integer of at least 1"),
        ({"stop_gradient": "some"}, "`stop_gradient` must be one of"),
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_bad_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model(name, **arguments)


@pytest.mark.parametrize("name", marked([n for n in NETWORKS if n != "FactorizedPrior"]))
def test_width_of_the_hyper_synthesis_is_chosen(name):
    model = make_model(name, hyper_width=5)
    found = [
        [layer.filters for layer in part.layers if hasattr(layer, "filters")]
        for part in model.layers
        if part.name in ("hyper_synthesis", "loc_synthesis", "scale_synthesis")
    ]
    published = [part.output_shape[-1] for part in model.layers if "_synthesis" in part.name]
    assert found == [[5, 7, channels] for channels in published]
    # What decodes without it, does so with it.
    image = tf.constant(crops(1))
    strings = model.compress(image)
    assert model.decompress(strings, [64, 64]).shape == image.shape
    config = model.get_config()
    del config["hyper_width"]
    assert type(model).from_config(config).hyper_width is None
    with pytest.raises(ValueError, match="`hyper_width` must be an integer of at least 1"):
        make_model(name, hyper_width=0)


def test_slices_must_divide_the_latents():
    with pytest.raises(ValueError, match="multiple of `num_slices`.*num_latents=8, num_slices=3"):
        make_model("ChannelwiseAutoregressive", num_slices=3)


def convolution(kernel, channels, filters):
    return kernel * kernel * channels * filters + filters


def gdn(channels):
    return channels * channels + channels


def transforms(n, m):
    """5x5 convolutions and GDN, image to latent and back."""
    analysis = convolution(5, 3, n) + 2 * convolution(5, n, n) + convolution(5, n, m)
    synthesis = convolution(5, m, n) + 2 * convolution(5, n, n) + convolution(5, n, 3)
    return analysis + synthesis + 6 * gdn(n)


def hyper_transforms(n, m, out):
    """Of Minnen et al., 2018."""
    analysis = convolution(3, m, n) + 2 * convolution(5, n, n)
    return analysis + sum(
        (convolution(5, n, m), convolution(5, m, m * 3 // 2), convolution(3, m * 3 // 2, out))
    )


def serial_context(m):
    widths = (4 * m, m * 10 // 3, m * 8 // 3, 2 * m)
    return convolution(5, m, 2 * m) + sum(convolution(1, a, b) for a, b in zip(widths, widths[1:]))


def slices(n, m, count, supports):
    """Of Minnen and Singh, 2020: three transforms of three layers for each slice."""
    total = convolution(3, m, m) + convolution(5, m, 256) + convolution(5, 256, n)
    total += 2 * (convolution(5, n, n) + convolution(5, n, 256) + convolution(3, 256, m))
    depth = m // count
    for i in range(count):
        support = m + depth * min(i, supports)
        for channels in (support, support, support + depth):
            total += convolution(5, channels, 224) + convolution(5, 224, 128)
            total += convolution(3, 128, depth)
    return total


# Transforms alone: the density of the factorized prior is TFC's. The layers are those listed in
# CompressAI's compressai/models/google.py (commit 7182f1d), which with 61 parameters a channel for
# its own density have 2,998,147, 5,075,843, 7,028,003 and 14,130,467 parameters in all, and in
# models/ms2020.py of TFC (commit 0646fb1), whose last hyper analysis has no bias. A checkerboard
# changes the mask alone.
@pytest.mark.parametrize(
    ("name", "n", "m", "count"),
    [
        ("FactorizedPrior", 128, 192, 2_998_147 - 61 * 192),
        ("ScaleHyperprior", 128, 192, 5_075_843 - 61 * 128),
        ("MeanScaleHyperprior", 128, 192, 7_028_003 - 61 * 128),
        ("JointAutoregressiveHyperprior", 192, 192, 14_130_467 - 61 * 192),
        ("CheckerboardHyperprior", 192, 192, 14_130_467 - 61 * 192),
        pytest.param(
            "ChannelwiseAutoregressive",
            192,
            320,
            transforms(192, 320) + slices(192, 320, count=10, supports=5),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_number_of_parameters_at_the_size_of_the_paper(name, n, m, count):
    model = NETWORKS[name](num_filters=n, num_latents=m)
    prior = model.latent_model if name == "FactorizedPrior" else model.hyper_latent_model
    total = sum(int(tf.size(weight)) for weight in model.trainable_weights)
    assert total - sum(int(tf.size(weight)) for weight in prior.trainable_weights) == count


def test_the_sums_of_the_layer_lists_are_the_totals():
    assert transforms(128, 192) + 61 * 192 == 2_998_147
    mean_scale = transforms(128, 192) + hyper_transforms(128, 192, 2 * 192)
    assert mean_scale + 61 * 128 == 7_028_003
    joint = transforms(192, 192) + hyper_transforms(192, 192, 2 * 192) + serial_context(192)
    assert joint + 61 * 192 == 14_130_467
