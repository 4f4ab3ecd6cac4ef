import concurrent.futures
import dataclasses
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tfsq import codec, layers
from tfsq.architectures import FactorizedPrior, MeanScaleHyperprior
from tfsq.codec.api import Encoded, real_loss
from tfsq.codec.refinement import gradients_of
from tfsq.codec.tiling import analyze
from tfsq.layers import StochasticGumbelAnnealing, ZeroCenterQuantization, find
from tfsq.layers.zero_center_quantization import quantizing_with

IMAGE = photograph("coffee")[100:200, 100:230]


def loss(latents, of):
    return real_loss(IMAGE, Encoded.of(latents, of), of)


@pytest.fixture(scope="module")
def in_memory(model):
    return codec.as_codec(model)


@pytest.mark.slow
@pytest.mark.parametrize("surrogate", ["unsr", "sga", "sua", layers.get("soft")])
def test_refined_latents_have_the_smaller_loss_in_bits_and_pixels(in_memory, surrogate):
    seen = []
    latents = codec.refine_latents(IMAGE, in_memory, 40, surrogate=surrogate, progress=seen.append)
    assert seen[0].stage == "refinement"
    assert [event.done for event in seen] == list(range(1, 41))
    unrefined = codec.refine_latents(IMAGE, in_memory, 0)
    assert np.array_equal(
        in_memory.encode(**unrefined)["strings"],
        in_memory.compress(image=tf.constant(IMAGE))["strings"],
    )
    before = loss(unrefined, in_memory)
    assert loss(latents, in_memory) < 0.995 * before


@pytest.mark.slow  # Two networks are traced; others refine a loaded codec every day.
def test_loaded_codec_refines_to_the_same_latents(model, loaded):
    ours = codec.refine_latents(IMAGE, codec.as_codec(model), 3)
    theirs = codec.refine_latents(IMAGE, loaded, 3)
    again = codec.refine_latents(IMAGE, loaded, 3)
    assert set(ours) == set(model.parts)
    for name, latent in ours.items():
        np.testing.assert_allclose(latent, theirs[name], atol=1e-4)
        assert np.array_equal(theirs[name], again[name])


@pytest.mark.slow
def test_gradient_is_that_of_the_surrogate_loss(model):
    # Untrained but for steep syntheses, so that hyper-latents matter to the picture.
    network = MeanScaleHyperprior(num_filters=6, num_latents=8)
    network.compile("adam", lmbda=0.02)
    for weight in (network.hyper_synthesis.weights[-2], network.synthesis.weights[-2]):
        weight.assign(10.0 * weight)
    # Without noise, so that it can be differentiated numerically.
    of = codec.as_codec(network)
    gradients = gradients_of(of, "soft")
    settings = (tf.constant(IMAGE), tf.constant(1.0), tf.constant(0.5), tf.constant(0, tf.int64))
    latents = {name: tf.constant(value) for name, value in analyze(IMAGE, of).items()}
    found = gradients(*settings, latents, of.at())
    for name in model.parts:
        slope = float(tf.norm(found[name]))
        direction = found[name] / slope
        both = (latents[name] + step * direction for step in (0.01, -0.01))
        losses = [gradients(*settings, {**latents, name: moved}, of.at())["loss"] for moved in both]
        # What float32 resolves.
        assert slope > 1e-3 * float(found["loss"])
        assert float(losses[0] - losses[1]) / 0.02 == pytest.approx(slope, rel=0.05)
    cold = gradients(*settings[:2], tf.constant(0.05), settings[3], latents, of.at())
    assert float(cold["loss"]) != float(found["loss"])
    noisy = gradients_of(of, "unsr")
    seeds = (tf.constant(seed, tf.int64) for seed in (0, 1, 0))
    first, other, again = (
        float(noisy(*settings[:3], seed, latents, of.at())["loss"]) for seed in seeds
    )
    assert first == again != other


class Slow(layers.NoisySoftRounding):
    """Waits before it looks at its temperature, as a thread may have to."""

    def call(self, y, training=None, noise=None):
        waited = tf.py_function(lambda: time.sleep(0.01), [], [])
        with tf.control_dependencies([waited]):
            return super().call(y, training=training, noise=noise)


@pytest.mark.slow
def test_threads_have_temperatures_and_noise_of_their_own(loaded):
    gradients = gradients_of(loaded, Slow())
    latents = {name: tf.constant(value) for name, value in analyze(IMAGE, loaded).items()}

    def losses(case):
        temperature, seed = case
        settings = tf.constant(IMAGE), tf.constant(1.0), tf.constant(temperature)
        found = (gradients(*settings, tf.constant(seed, tf.int64), latents, {}) for _ in range(5))
        return {float(one["loss"]) for one in found}

    cases = [(1.0, 0), (0.1, 1), (1.0, 2), (0.1, 3)]
    alone = [losses(case) for case in cases]
    assert all(len(one) == 1 for one in alone)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        assert list(pool.map(losses, cases)) == alone


@pytest.mark.slow  # Refines an image twice.
def test_lmbda_moves_the_trade_off(loaded):
    sizes = []
    for lmbda in (0.0005, 0.5):
        latents = codec.refine_latents(IMAGE, loaded, 60, lmbda=lmbda, learning_rate=0.05)
        sizes.append(sum(map(len, loaded.encode(**latents)["strings"].numpy())))
    assert sizes[0] < sizes[1]


@pytest.mark.slow
def test_refined_latents_are_compressed_to_a_file(loaded):
    latents = codec.refine_latents(IMAGE, loaded, 2)
    data = codec.compress_latents(latents, IMAGE.shape[:2], loaded)
    assert codec.decompress(data, loaded).shape == IMAGE.shape
    unrefined = codec.refine_latents(IMAGE, loaded, 0)
    assert codec.compress_latents(unrefined, IMAGE.shape[:2], loaded) == codec.compress(
        IMAGE, loaded
    )


def test_compress_codes_what_is_better(loaded, monkeypatch):
    plain = codec.compress(IMAGE, loaded)
    refined = codec.compress(IMAGE, loaded, refine_steps=40)
    assert refined != plain
    assert codec.decompress(refined, loaded).shape == IMAGE.shape
    # Steps that only do harm are not taken.
    right = gradients_of(loaded, "unsr")
    wrong = lambda *inputs: {name: -value for name, value in right(*inputs).items()}  # noqa: E731
    monkeypatch.setattr("tfsq.codec.refinement.gradients_of", lambda *_: wrong)
    assert codec.compress(IMAGE, loaded, refine_steps=40) == plain


@pytest.mark.slow
def test_a_layer_stays_what_it_is_and_is_traced_once(loaded):
    layer = layers.get("sga", temperature=0.9, seed=3)
    before, noise = layer.get_config(), layers.get("sga", seed=3).draw_noise(tf.zeros([5]))
    for another in (layer, layer, layers.get("sga", temperature=0.4)):
        codec.refine_latents(IMAGE, loaded, 1, surrogate=another)
    # Nor again for a layer that differs in where its own temperature begins.
    of_sga = [key for key in loaded.traced if StochasticGumbelAnnealing in key]
    assert len(of_sga) == 1
    assert layer.get_config() == before
    assert np.array_equal(layer.draw_noise(tf.zeros([5])), noise)


@pytest.mark.slow  # Traces another network.
def test_network_without_a_hyperprior(model):
    network = FactorizedPrior(num_filters=3, num_latents=4)
    network.compile("adam", lmbda=0.01)
    of = codec.as_codec(network)
    latents = codec.refine_latents(IMAGE, of, 2)
    assert set(latents) == {"latent"}
    data = codec.compress(IMAGE, of, refine_steps=2)
    assert codec.decompress(data, of).shape == IMAGE.shape


def test_bad_arguments_are_refused(loaded):
    with pytest.raises(TypeError, match="`surrogate` must be an annealed quantizer.*'ste'"):
        codec.refine_latents(IMAGE, loaded, 1, surrogate="ste")
    with pytest.raises(TypeError, match="annealed quantizer that is not hard"):
        codec.refine_latents(IMAGE, loaded, 1, surrogate=layers.get("sga", hard=True))
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 0"):
        codec.refine_latents(IMAGE, loaded, -1)
    with pytest.raises(ValueError, match=r"`temperature` must be in \(0, 1\]"):
        codec.refine_latents(IMAGE, loaded, 1, schedule=lambda step: 0.0)
    of_ms_ssim = dataclasses.replace(loaded, metadata={**loaded.metadata, "distortion": "ms-ssim"})
    with pytest.raises(ValueError, match="at least 161 pixels a side.*Received: 130x100"):
        codec.refine_latents(IMAGE, of_ms_ssim, 1)


def test_other_quantizer_is_used_inside_and_nothing_changed_after(model):
    other = StochasticGumbelAnnealing(seed=1)
    changed = find(model, ZeroCenterQuantization)
    before = [(layer.quantizer, layer.rate_quantizer, layer.stop_gradient) for layer in changed]
    names = [weight.name for weight in model.weights]
    with pytest.raises(RuntimeError, match="inside"), quantizing_with(model, other):
        assert all(layer.quantizer is layer.rate_quantizer is other for layer in changed)
        assert {layer.stop_gradient for layer in changed} == {"none"}
        raise RuntimeError("inside")
    after = [(layer.quantizer, layer.rate_quantizer, layer.stop_gradient) for layer in changed]
    assert after == before
    assert [weight.name for weight in model.weights] == names
