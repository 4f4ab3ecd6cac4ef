"""What `fit` takes, and what is saved of a network in each format."""

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import marked
from tests.keras_versions import has_format, of_keras_2
from tests.photographs import photograph
from tests.tiny import Tiny
from tfsq import architectures, layers

IMAGES = np.stack([photograph()[:64, i : i + 64] for i in (0, 40, 80, 120)])


def network(**compiled):
    model = Tiny(4, 6)
    model.compile("adam", lmbda=0.01, **compiled)
    return model


def unknown_rank():
    data = tf.data.Dataset.range(2)

    def images(_):
        return tf.numpy_function(lambda: IMAGES, [], tf.uint8)

    return data.map(images)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.mark.parametrize(
    "data",
    [
        IMAGES,
        pytest.param(tf.data.Dataset.from_tensor_slices(IMAGES).batch(2), marks=pytest.mark.slow),
        pytest.param(
            tf.data.Dataset.from_tensor_slices((IMAGES,)).batch(2), marks=pytest.mark.slow
        ),
        tf.data.Dataset.from_tensor_slices((IMAGES, IMAGES)).batch(2),
        unknown_rank(),
    ],
    ids=["array", "x", "(x,)", "(x, x)", "unknown rank"],
)
def test_images_come_in_any_of_keras_ways(data, model):
    history = model.fit(data, verbose=0).history
    assert sorted(history) == ["bpp", "loss", "mse", "psnr"]
    assert np.isfinite(history["loss"]).all()
    model.evaluate(data, verbose=0)
    assert model.predict(data, verbose=0).shape[1:] == (64, 64, 3)


@pytest.mark.slow
def test_targets_are_what_reconstructions_are_compared_with():
    model = network()
    dark = IMAGES // 2
    alone, same, other = (
        model.evaluate(*given, verbose=0, return_dict=True)
        for given in ((IMAGES,), (IMAGES, IMAGES), (IMAGES, dark))
    )
    assert alone == same
    assert other["bpp"] == same["bpp"]
    expected = np.mean((model.predict(IMAGES, verbose=0) - dark.astype(np.float32)) ** 2)
    assert other["mse"] == pytest.approx(expected, rel=1e-5)
    values = model.rate_distortion(IMAGES, training=False, target=dark)
    assert float(tf.reduce_mean(values["mse"])) == pytest.approx(expected, rel=1e-5)


def test_what_is_not_served_is_refused_with_what_to_do():
    rgba = np.concatenate([IMAGES, IMAGES[..., :1]], -1)
    for data, message in (
        ((IMAGES[..., :1],), "Gray images are `tf.image.grayscale_to_rgb"),
        ((rgba,), r"Without its alpha channel, an image is `image\[..., :3\]`"),
        ((IMAGES[..., 0],), r"must have shape \[batch, height, width, 3\]. Received"),
        ((IMAGES, np.zeros(4)), r"must have shape \[batch, height, width, 3\]. Received"),
        ((IMAGES, IMAGES[:, :32]), "`target` must have the shape of `image`"),
    ):
        with pytest.raises(ValueError, match=message):
            network().fit(*data, verbose=0)
    with pytest.raises(ValueError, match="`sample_weight` is not used"):
        network().fit(IMAGES, IMAGES, sample_weight=np.ones(4), verbose=0)
    for name, value in (("metrics", ["mae"]), ("loss", "mse"), ("weighted_metrics", ["mse"])):
        with pytest.raises(ValueError, match=f"`{name}` is not used: the loss is bits per pixel"):
            network(**{name: value})


@pytest.fixture
def channels_first():
    tf.keras.backend.set_image_data_format("channels_first")
    yield
    tf.keras.backend.set_image_data_format("channels_last")


# Keras 3 says so of every pipeline whose length it does not know.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_targets_of_another_shape_are_not_broadcast(jit_compile):
    model = network(jit_compile=jit_compile)
    unknown = tf.TensorSpec([None] * 4, tf.uint8)

    def fit(target):
        def batches():
            yield IMAGES, target

        data = tf.data.Dataset.from_generator(batches, output_signature=(unknown, unknown))
        model.fit(data, verbose=0)

    fit(IMAGES)
    for shape in ((4, 64, 64, 1), (1, 64, 64, 3), (4, 1, 1, 3)):
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
            fit(np.zeros(shape, np.uint8))


def test_evaluation_rounds_and_reports(model):
    images = tf.data.Dataset.from_tensors(IMAGES)
    figures = model.evaluate(images, return_dict=True, verbose=0)
    assert sorted(figures) == ["bpp", "loss", "mse", "psnr"]
    hard = model.rate_distortion(IMAGES, training=False)
    for name, value in figures.items():
        assert value == pytest.approx(float(tf.reduce_mean(hard[name])), rel=1e-5)
    assert np.array_equal(
        model.predict(images, verbose=0), model(IMAGES, training=False)[0].numpy()
    )


def test_keras_file_keeps_what_compile_was_given_or_that_it_was_not_called(tmp_path):
    model = Tiny(4, 6, name="a_name")
    model.save(tmp_path / "uncompiled.keras")
    loaded = tf.keras.models.load_model(tmp_path / "uncompiled.keras")
    for mine, theirs in zip(model.weights, loaded.weights):
        assert np.array_equal(mine, theirs)
    assert loaded.name == "a_name"
    with pytest.raises(RuntimeError, match="must be compiled"):
        loaded.rate_distortion(IMAGES, training=False)
    model.compile("adam", lmbda=0.3, distortion="ms-ssim")
    model.save(tmp_path / "string.keras")
    loaded = tf.keras.models.load_model(tmp_path / "string.keras")
    assert (loaded.lmbda, loaded.distortion) == (0.3, "ms-ssim")
    assert isinstance(loaded.optimizer, tf.keras.optimizers.Adam)


def test_losses_of_regularizers_are_trained_on():
    def loss_of(factor):
        tf.keras.utils.set_random_seed(1)
        model = Tiny(4, 6)
        model.compile(tf.keras.optimizers.SGD(1e-2, clipnorm=1.0), lmbda=0.02)
        layer = model.analysis.layers[-1]
        layer.activity_regularizer = tf.keras.regularizers.L2(factor)
        for _ in range(3):
            model.train_step(IMAGES)
        return float(tf.reduce_sum(tf.square(layer.kernel)))

    assert loss_of(1e6) < loss_of(0.0)


def test_dicts_are_refused_by_name():
    data = tf.data.Dataset.from_tensors({"image": IMAGES})
    with pytest.raises(ValueError, match=r"must be images.*a dict with \['image'\]"):
        network().fit(data, verbose=0)


@pytest.mark.parametrize("name", marked())
def test_networks_have_channels_last_whatever_keras_is_told(name, channels_first):
    model = architectures.NETWORKS[name](4, 10, shortcut="dct")
    model.compile("adam", lmbda=0.01)
    assert model(IMAGES[:1], training=True)[0].shape == (1, 64, 64, 3)


def two_annealed(seed=0):
    tf.keras.utils.set_random_seed(seed)
    model = Tiny(
        4, 6, rate_quantizer=layers.get("unsr"), reconstruction_quantizer=layers.get("sua")
    )
    model.compile("adam", lmbda=0.01)
    return model


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("ending", ["weights.h5", *of_keras_2("h5", "tf")])
def test_weights_of_two_annealed_quantizers_survive_each_format(ending, coded, tmp_path):
    model, other = two_annealed(), two_annealed(1)
    model.latent_model.rate_quantizer.temperature = 0.5
    model.latent_model.reconstruction_quantizer.temperature = 0.25
    if coded:
        strings = model.compress(IMAGES)
    model.save_weights(tmp_path / f"w.{ending}")
    other.load_weights(tmp_path / f"w.{ending}")
    for mine, theirs in zip(model.weights, other.weights):
        assert np.array_equal(mine.numpy(), theirs.numpy()), mine.name
    assert float(other.latent_model.rate_quantizer.temperature) == 0.5
    if coded:
        assert np.array_equal(other.compress(IMAGES)["latent"], strings["latent"])


@pytest.mark.parametrize(
    "name, given",
    [
        ("w.weights.h5", {}),
        pytest.param("w.h5", {"by_name": False}, marks=has_format),
        pytest.param("w.h5", {"by_name": True}, marks=has_format),
    ],
)
def test_two_annealed_quantizers_in_a_layer_of_one_s_own_are_saved(name, given, tmp_path):
    class Both(tf.keras.layers.Layer):
        def __init__(self):
            super().__init__(name="both")
            self.a, self.b = layers.get("sua"), layers.get("unsr")

        def call(self, y, training=None):
            return self.a(y, training=training) + self.b(y, training=training)

    models = [tf.keras.Sequential([tf.keras.Input([3]), Both()]) for _ in range(2)]
    models[0].layers[0].a.temperature, models[0].layers[0].b.temperature = 0.5, 0.25
    models[0].save_weights(tmp_path / name)
    models[1].load_weights(tmp_path / name, **given)
    found = models[1].layers[0]
    assert (float(found.a.temperature), float(found.b.temperature)) == (0.5, 0.25)


@has_format
def test_by_name_is_refused_with_the_reason(tmp_path):
    model = two_annealed()
    model.save_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match="`by_name` must be False: Keras refuses coding tables"):
        model.load_weights(tmp_path / "w.h5", by_name=True)


def test_saving_leaves_the_optimizer_as_it_is(tmp_path):
    model = Tiny(4, 6)
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(tf.keras.optimizers.Adam())
    model.compile(optimizer, lmbda=0.01)
    model.train_step(IMAGES)
    before = [(id(variable), variable.numpy()) for variable in optimizer.variables]
    model.save(tmp_path / "model.keras")
    after = [(id(variable), variable.numpy()) for variable in optimizer.variables]
    assert [key for key, _ in before] == [key for key, _ in after]
    for (_, mine), (_, theirs) in zip(before, after):
        assert np.array_equal(mine, theirs)
