import numpy as np
import pytest
import tensorflow as tf

from tests.keras_versions import has_format, of_keras_2
from tests.photographs import crops, photograph
from tests.strategies import two_replicas
from tfsq import codec, evaluation
from tfsq.architectures import MeanScaleHyperprior
from tfsq.architectures.images import pad_to_multiple
from tfsq.callbacks import TemperatureCallback, TrainTestGap
from tfsq.layers import AdditiveUniformNoise, StochasticUniformAnnealing

_SLOW = pytest.mark.slow


def make_model(compiled=True, **kwargs):
    model = MeanScaleHyperprior(num_filters=6, num_latents=8, **kwargs)
    if compiled:
        model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=0.02)
    return model


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(1)
    model = make_model()
    # Weights that nothing initializes to, tables that are not those of the initial prior.
    for _ in range(3):
        model.train_step(crops())
    model.latent_model.reconstruction_quantizer.temperature = 0.25
    model.compress(crops())
    return model


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        # Every size of one dtype, and every dtype of one size; all of both are slow.
        pytest.param(size, dtype, marks=() if dtype == "uint8" or size == (65, 63) else _SLOW)
        for dtype in ("uint8", "float32", "float64", "int32")
        for size in ((64, 64), (1, 1), (65, 63), (100, 30))
    ],
)
def test_images_of_any_size_and_real_dtype(model, dtype, size):
    image = tf.cast(photograph()[None, : size[0], : size[1]], dtype)
    for training in (False, True):
        reconstruction, bits = model(image, training=training)
        assert reconstruction.shape == image.shape
        assert reconstruction.dtype == tf.float32
        assert sorted(bits) == ["hyper_latent", "latent"]
        assert all(value.shape == (1,) and value.dtype == tf.float32 for value in bits.values())


def test_padding_repeats_the_border():
    image = tf.reshape(tf.range(6), [1, 2, 3, 1])
    padded = pad_to_multiple(image, 4)[0, :, :, 0]
    rows = [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert padded.numpy().tolist() == rows
    assert pad_to_multiple(image, 1) is image


def assert_same_weights(model, loaded):
    assert len(model.weights) == len(loaded.weights)
    for a, b in zip(model.weights, loaded.weights):
        assert np.array_equal(a, b), a.name
    image = crops(1)
    strings, again = model.compress(image), loaded.compress(image)
    for name in model.parts:
        assert np.array_equal(strings[name], again[name])
    assert np.array_equal(model(image, training=False)[0], loaded(image, training=False)[0])


def temperature(model):
    return float(model.latent_model.reconstruction_quantizer.temperature)


# What the pinned Keras warns of when it saves.
@pytest.mark.filterwarnings("ignore:.*h5.*:UserWarning")
# Keras 3 has the optimizer in such a file, too.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.parametrize("name", ["weights.weights.h5", *of_keras_2("weights.h5", "checkpoint")])
def test_weight_files_keep_every_variable(model, tmp_path, name):
    model.save_weights(tmp_path / name)
    loaded = make_model()
    status = loaded.load_weights(tmp_path / name)
    if status is not None:
        status.expect_partial()
    assert_same_weights(model, loaded)
    assert temperature(loaded) == 0.25


@pytest.mark.parametrize(
    "name",
    # Keras traces every method of every layer for the latter.
    ["model.keras", pytest.param("saved_model", marks=[pytest.mark.slow, has_format])],
)
def test_model_files_keep_every_variable(model, tmp_path, name):
    model.save(tmp_path / name)
    loaded = tf.keras.models.load_model(tmp_path / name)
    assert_same_weights(model, loaded)
    assert temperature(loaded) == 0.25
    for key in ("num_filters", "num_latents", "scale_lower_bound", "stop_gradient"):
        assert loaded.get_config()[key] == model.get_config()[key]
    if name == "model.keras":
        assert (loaded.lmbda, loaded.distortion) == (model.lmbda, model.distortion)
        assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 3
    else:
        with pytest.raises(RuntimeError, match="must be compiled"):
            loaded.rate_distortion(crops(), training=False)


def test_tf_checkpoint_keeps_every_variable(model, tmp_path):
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    loaded = make_model()
    tf.train.Checkpoint(model=loaded).restore(path).expect_partial()
    assert_same_weights(model, loaded)
    assert temperature(loaded) == 0.25


def test_loss_is_bits_per_pixel_plus_lmbda_times_mse(model):
    image = crops()
    for training in (False, True):
        values = model.rate_distortion(image, training=training)
        assert all(value.shape == (4,) for value in values.values())
        np.testing.assert_allclose(
            values["loss"], values["bpp"] + 0.02 * values["distortion"], rtol=1e-6
        )
    reconstruction, bits = model(image, training=False)
    values = model.rate_distortion(image, training=False)
    mse = np.mean((reconstruction - image.astype(np.float32)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(values["mse"], mse, rtol=1e-5)
    np.testing.assert_allclose(values["psnr"], 10 * np.log10(255**2 / mse), rtol=1e-5)
    np.testing.assert_allclose(values["bpp"], sum(bits.values()) / 64**2, rtol=1e-6)


@pytest.mark.slow
def test_ms_ssim():
    model = make_model(compiled=False)
    model.compile("adam", lmbda=10.0, distortion="ms-ssim")
    image = photograph()[None, :192, :192]
    values = model.rate_distortion(image, training=False)
    assert 0 < float(values["distortion"][0]) <= 1
    np.testing.assert_allclose(values["loss"], values["bpp"] + 10 * values["distortion"], rtol=1e-6)
    with pytest.raises(ValueError, match="must have at least 161 pixels a side.*192x128"):
        model.rate_distortion(image[:, :128], training=False)


@pytest.mark.slow  # Photographs of the least size.
def test_trains_for_ms_ssim():
    model = make_model(compiled=False)
    model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=50.0, distortion="ms-ssim")
    history = model.fit(
        tf.data.Dataset.from_tensors(crops(2, size=192)).repeat(),
        steps_per_epoch=5,
        epochs=2,
        verbose=0,
    ).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.slow
def test_keras_file_keeps_the_precision(tmp_path):
    model = make_model(compiled=False, dtype="mixed_bfloat16")
    assert {layer.compute_dtype for layer in model.analysis.layers} == {"bfloat16"}
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    model.save(tmp_path / "model.keras")
    assert_same_weights(model, tf.keras.models.load_model(tmp_path / "model.keras"))


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_config_keeps_what_was_shared(shared):
    quantizer = StochasticUniformAnnealing(0.5)
    model = make_model(
        rate_quantizer=quantizer if shared else None, reconstruction_quantizer=quantizer
    )
    again = MeanScaleHyperprior.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    for entropy_model in (again.latent_model, again.hyper_latent_model):
        same = entropy_model.rate_quantizer is entropy_model.reconstruction_quantizer
        assert same == shared


@pytest.mark.slow  # `test_accelerated_networks` has its gradients every day.
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = make_model()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert {tf.as_dtype(weight.dtype) for weight in model.trainable_weights} == {tf.float32}
    assert temperature(model) == 1.0
    history = model.fit(tf.data.Dataset.from_tensors(crops()).repeat(3), verbose=0).history
    assert all(np.isfinite(value).all() for value in history.values())


@pytest.mark.slow  # Two replicas on two cores; `tests/training` has them every day.
def test_trains_and_exports_under_a_strategy(tmp_path):
    strategy = two_replicas()
    with strategy.scope():
        quantizer = StochasticUniformAnnealing(seed=1)
        model = make_model(compiled=False, reconstruction_quantizer=quantizer)
        model.compile(tf.keras.optimizers.SGD(1e-3, clipnorm=1.0), lmbda=0.01)
    images = tf.data.Dataset.from_tensor_slices(crops(8)).batch(4, drop_remainder=True)
    callbacks = [TrainTestGap(crops()), TemperatureCallback(lambda step: 0.5)]
    history = model.fit(images, verbose=0, callbacks=callbacks).history
    assert np.isfinite(history["train_test_gap"][0])
    assert np.isfinite(history["loss"][0])
    assert history["temperature"] == [0.5]
    image = crops(1)
    assert np.array_equal(
        model.decompress(model.compress(image), (64, 64)), model(image, training=False)[0]
    )
    codec.export(model, tmp_path)
    figures = evaluation.measure(image[0], codec.load(tmp_path))
    assert figures.decoder_matches_encoder


def test_bad_arguments_are_refused(model):
    uncompiled = make_model(compiled=False)
    with pytest.raises(ValueError, match="`num_filters` must be an integer of at least 1"):
        MeanScaleHyperprior(num_filters=0)
    for lmbda in (None, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`lmbda` must be positive and finite"):
            uncompiled.compile("adam", lmbda=lmbda)
    with pytest.raises(ValueError, match="`distortion` must be one of.*'lpips'"):
        uncompiled.compile("adam", lmbda=1.0, distortion="lpips")
    with pytest.raises(ValueError, match=r"must have shape \[batch, height, width, 3\]"):
        model(tf.zeros([64, 64, 3]))
    with pytest.raises(RuntimeError, match="must be compiled"):
        uncompiled.rate_distortion(crops(), training=True)


def test_default_is_noise_for_the_rate_and_dithered_sua_for_the_reconstruction():
    model = MeanScaleHyperprior(num_filters=2, num_latents=3)
    quantizer = model.latent_model.reconstruction_quantizer
    assert type(quantizer) is StochasticUniformAnnealing
    assert (quantizer.form, quantizer.gradient) == ("dithered", "straight_through")
    assert type(model.latent_model.rate_quantizer) is AdditiveUniformNoise
    for part in ("rate_quantizer", "reconstruction_quantizer"):
        assert getattr(model.hyper_latent_model, part) is getattr(model.latent_model, part)


def test_latents_and_their_synthesis_are_those_of_the_forward_pass(model):
    image = tf.cast(crops()[:2], tf.float32)
    y, loc, scale = model.latents(image)
    assert y.shape == loc.shape == scale.shape == (2, *(n // 16 for n in image.shape[1:3]), 8)
    assert float(tf.reduce_min(scale)) > 0
    reconstruction, _ = model(image, training=False)
    decoded = model.synthesize(tf.round(y - loc) + loc)
    # The forward pass predicts exactly, `latents` in floats.
    np.testing.assert_allclose(decoded, reconstruction, atol=0.03)
