"""Networks with a ladder of lambdas."""

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import make_model, marked
from tests.photographs import crops
from tests.tiny import Tiny
from tfsq import codec, evaluation
from tfsq.architectures import NETWORKS
from tfsq.architectures.coders import Gains
from tfsq.architectures.exact import settled_scale
from tfsq.callbacks import SoftThenHard, TrainTestGap

LMBDAS = (0.002, 0.006, 0.018)
QUALITIES = (1.0, 1.234, 2.0, 2.5, 3.0)


def moved(model):
    """A network whose gains are none that it begins with, differently in each channel."""
    rng = np.random.default_rng(1)
    for weight in model.gain.weights:
        weight.assign_add(rng.normal(scale=0.2, size=weight.shape))
    return model


def tiny(**kwargs):
    model = Tiny(4, 6, lmbdas=LMBDAS, **kwargs)
    model.compile(tf.keras.optimizers.Adam(1e-3))
    return model


# The one with all parts: what is coded piece by piece, and predicted from a hyper-latent.
@pytest.fixture(scope="module", params=marked(slow=set(NETWORKS) - {"CheckerboardHyperprior"}))
def model(request):
    tf.keras.utils.set_random_seed(1)
    model = moved(make_model(request.param, lmbdas=LMBDAS, shortcut="dct"))
    model.compile(tf.keras.optimizers.Adam(1e-3))
    return model


def test_decodes_exactly_in_the_predicted_length_at_each_quality(model):
    images = crops(1)
    sizes = []
    for quality in QUALITIES:
        strings = model.compress(images, quality=quality)
        reconstruction, bits = model(images, training=False, quality=quality)
        assert np.array_equal(model.decompress(strings, (64, 64), quality=quality), reconstruction)
        sizes.append(8 * sum(len(part.numpy()[0]) for part in strings.values()))
        predicted = sum(float(part[0]) for part in bits.values())
        assert abs(sizes[-1] - predicted) <= 0.01 * predicted + 32 * len(model.parts)
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_each_image_of_a_batch_has_its_own_quality(model):
    images, quality = crops(2), [1.0, 2.7]
    together, bits = model(images, training=False, quality=quality)
    for i, q in enumerate(quality):
        alone, own = model(images[i : i + 1], training=False, quality=q)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-2)
        for name, value in own.items():
            np.testing.assert_allclose(bits[name][i], value[0], rtol=1e-4)


def test_a_step_trains_gains_and_all_else(model):
    before = [weight.numpy() for weight in model.trainable_weights]
    values = model.descend(crops(4), quality=[1.0, 2.0, 3.0, 2.0])
    assert np.isfinite(values["loss"]).all()
    np.testing.assert_allclose(
        values["loss"],
        values["bpp"] + np.array(LMBDAS)[[0, 1, 2, 1]] * values["distortion"],
        rtol=1e-5,
    )
    still = [w.name for a, w in zip(before, model.trainable_weights) if np.array_equal(a, w)]
    assert still == []


def test_training_may_be_a_tensor(model):
    def run(training):
        return model(crops(1), training=training, quality=1.5)

    hard = model(crops(1), training=False, quality=1.5)[0]
    np.testing.assert_allclose(run(tf.constant(False))[0], hard, atol=1e-2)
    assert not np.allclose(run(tf.constant(True))[0], hard, atol=1e-2)


@pytest.mark.slow
def test_codec_decodes_exactly_whatever_the_quality(model, tmp_path):
    codec.export(model, tmp_path / "codec")
    loaded = codec.load(tmp_path / "codec")
    image = crops(1)[0][:50, :61]
    rng = np.random.default_rng(3)
    for quality in (None, 1, 3, *rng.uniform(1, 3, 3)):
        figures = evaluation.measure(image, loaded, quality=quality)
        assert figures.decoder_matches_encoder
        bits = 8 * figures.payload_bytes
        assert abs(bits - figures.estimated_bits) <= 0.01 * bits + 32 * len(model.parts)
    same = [codec.compress(image, loaded, quality=q) for q in (None, 2, 2.0004)]
    assert same[0] == same[1] == same[2]
    assert codec.unpack(codec.compress(image, loaded, quality=1.2345678)).quality == 1.235
    assert loaded.network.ladder.lmbdas == LMBDAS


@pytest.mark.slow
def test_keras_file_keeps_the_ladder(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    assert again.ladder.lmbdas == LMBDAS
    for mine, theirs in zip(model.weights, again.weights):
        assert np.array_equal(mine, theirs), mine.name
    given = {"training": False, "quality": 1.7}
    assert np.array_equal(model(crops(1), **given)[0], again(crops(1), **given)[0])
    assert again.rate_distortion(crops(1), training=False)["quality"].numpy().tolist() == [2.0]


@pytest.mark.parametrize("name", marked())
def test_begins_at_the_middle_of_the_ladder(name):
    model = make_model(name, lmbdas=(0.001, 0.004, 0.016, 0.064))
    assert model.initial_lmbda == pytest.approx(0.008)
    assert Tiny(4, 6).ladder is None
    assert Tiny(4, 6, lmbdas=LMBDAS, initial_lmbda=0.5).initial_lmbda == 0.5


def test_middle_of_the_ladder_is_the_network_of_one_rate():
    tf.keras.utils.set_random_seed(1)
    many = Tiny(4, 6, lmbdas=LMBDAS, initial_lmbda=0.01)
    one = Tiny(4, 6)
    for weight, other in zip(one.analysis.weights, many.analysis.weights):
        weight.assign(other)
    for weight, other in zip(one.latent_model.trainable_weights, many.latent_model.weights):
        weight.assign(other)
    found, expected = many(crops(1), training=False), one(crops(1), training=False)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1]["latent"], expected[1]["latent"])


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_fit_and_evaluate_report_each_rung():
    names = ["loss", "bpp", "mse", "psnr"]
    names += [f"{name}_{rung}" for rung in (1, 2, 3) for name in ("loss", "bpp", "psnr")]
    model = moved(tiny())
    callbacks = [TrainTestGap(crops(2)), SoftThenHard(2, freeze=model.encoder)]
    images = tf.data.Dataset.from_tensors(crops(4)).repeat(4)
    history = model.fit(images, callbacks=callbacks, verbose=0).history
    assert set(names) <= set(history)
    # Rungs are the same in both, and latents rounded in both at the end.
    assert history["train_test_gap"] == pytest.approx([0.0], abs=0.02)
    found = model.evaluate(crops(4), batch_size=2, return_dict=True, verbose=0)
    assert sorted(found) == sorted(names)
    for rung, lmbda in enumerate(LMBDAS, 1):
        values = model.rate_distortion(crops(4), training=False, quality=rung)
        for name in ("loss", "bpp", "psnr"):
            expected = float(tf.reduce_mean(values[name]))
            assert found[f"{name}_{rung}"] == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(values["loss"], values["bpp"] + lmbda * values["mse"], rtol=1e-5)
    mean = np.mean([found[f"loss_{rung}"] for rung in (1, 2, 3)])
    assert found["loss"] == pytest.approx(mean, rel=1e-5)
    assert model.predict(crops(4), verbose=0).shape == (4, 64, 64, 3)


def test_losses_of_large_lambdas_weigh_less_in_a_step():
    model = tiny()
    values = model.rate_distortion(crops(3), training=True, quality=[1.0, 2.0, 3.0])
    weighed = model._objective(values) / values["loss"]
    expected = (LMBDAS[1] / np.array(LMBDAS)) ** model.balance
    np.testing.assert_allclose(weighed, expected, rtol=1e-5)


def test_lambdas_are_the_ladder_s_alone():
    model = Tiny(4, 6, lmbdas=LMBDAS)
    with pytest.raises(ValueError, match="`lmbda` must be None for a network with the ladder"):
        model.compile("adam", lmbda=0.01)
    model.compile("adam")
    with pytest.raises(ValueError, match="`quality` must be a number from 1 to 3"):
        model(crops(1), quality=4)
    with pytest.raises(ValueError, match="`quality` must be None for a network without a ladder"):
        Tiny(4, 6)(crops(1), quality=1)


def test_scales_are_rounded_alike_wherever_softplus_is_computed():
    # Every number of the grid of which softplus is no multiple of a step already.
    grid = np.arange(-60 * 2**12, 60 * 2**12 + 1) / 2**12
    steps = np.logaddexp(0, grid) * 2**16
    assert np.abs(np.abs(steps - np.floor(steps)) - 0.5).min() > 1e-5
    found = settled_scale(tf.nn.softplus(tf.constant(grid)))
    assert np.array_equal(found * 2**16, np.round(steps))


def test_scales_are_in_steps_while_training_too():
    gains = Gains((tf.constant([[[[2.0, 0.5]]]]), tf.constant([[[[0.5, 2.0]]]])))
    for exactly in (False, True):
        found = gains.scale_in_steps(tf.constant([[[[1.0, 3.0]]]]), exactly=exactly)
        np.testing.assert_allclose(found, [[[[2.0, 1.5]]]], rtol=1e-4)


def test_another_lambda_moves_the_whole_ladder():
    values = tiny().rate_distortion(
        crops(3), False, lmbda=2 * LMBDAS[1], quality=tf.constant([1.0, 2.0, 3.0])
    )
    expected = values["bpp"] + 2 * np.array(LMBDAS) * values["distortion"]
    np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
