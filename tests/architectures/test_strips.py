"""Large latents are coded strip by strip, as if they were in one piece."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.corpus import busy_model
from tests.photographs import photograph
from tfsq import codec, range_coder
from tfsq.architectures import strips
from tfsq.architectures.base import LATENT
from tfsq.architectures.hyperprior import HYPER_LATENT

PIXELS = np.concatenate([photograph(), photograph()[::-1]])[:576, :192]
# Of nine rows and three columns: all, two rows, one.
WHOLE, POSITIONS = 10**6, (7, 1)


@pytest.fixture(
    scope="module",
    params=[("MeanScaleHyperprior", None), ("ScaleHyperprior", None), ("MeanScaleHyperprior", 2)],
    ids=["mean and scale", "scale", "many rates"],
)
def model(request):
    name, rates = request.param
    return busy_model(name, lmbdas=rates and (0.003, 0.03))


@pytest.fixture(scope="module")
def latents(model):
    """Two images."""
    y = model.transform(tf.constant(np.stack([PIXELS, PIXELS[::-1]]), tf.float32))
    return model.latents_of(y)


def at(model):
    return {"quality": tf.constant([1.0, 1.7])} if model.ladder else {}


@pytest.mark.parametrize("positions", POSITIONS)
def test_strips_have_the_strings_of_the_whole(model, latents, positions, monkeypatch):
    monkeypatch.setattr(strips, "POSITIONS", WHOLE)
    strings, quantized = model.encode(latents, **at(model))
    monkeypatch.setattr(strips, "POSITIONS", positions)
    again, y_hat = model.encode(latents, **at(model))
    decoded = model.decode(strings, tf.constant([576, 192]), **at(model))
    for name in strings:
        assert strings[name].numpy().tolist() == again[name].numpy().tolist()
        np.testing.assert_array_equal(quantized[name], y_hat[name])
        np.testing.assert_array_equal(decoded[name], y_hat[name])
    with range_coder.use_backend("host"):
        others, _ = model.encode(latents, **at(model))
        assert others[LATENT].numpy().tolist() == strings[LATENT].numpy().tolist()
        decoded = model.decode(strings, tf.constant([576, 192]), **at(model))
    np.testing.assert_array_equal(decoded[LATENT], y_hat[LATENT])


@pytest.mark.parametrize("positions", POSITIONS)
def test_predictions_of_strips_are_those_of_the_whole(model, latents, positions, monkeypatch):
    monkeypatch.setattr(strips, "POSITIONS", WHOLE)
    _, z_hat, *whole = model.predict_exactly(latents[HYPER_LATENT])
    monkeypatch.setattr(strips, "POSITIONS", positions)
    for found, expected in zip(model.predictions_of(z_hat), whole):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    if model.ladder:
        given = (latents[LATENT], *whole)
        found, y_hat = model.encode_predicted(*given, **at(model))
        expected, quantized = model.encode(latents, **at(model))
        assert found.numpy().tolist() == expected[LATENT].numpy().tolist()
        np.testing.assert_array_equal(y_hat, quantized[LATENT])
        bits = model.bits_along(*given, qualities=tf.constant([1.0, 1.7]))
        monkeypatch.setattr(strips, "POSITIONS", WHOLE)
        at_once = model.bits_along(*given, qualities=tf.constant([1.0, 1.7]))
        np.testing.assert_allclose(bits, at_once, rtol=1e-5)


def test_a_smaller_halo_would_be_seen(model, latents, monkeypatch):
    z_hat = model.predict_exactly(latents[HYPER_LATENT])[1]
    monkeypatch.setattr(strips, "POSITIONS", POSITIONS[0])
    scale, _ = model.predictions_of(z_hat)
    monkeypatch.setattr(type(model), "hyper_halo", model.hyper_halo - 1)
    assert np.abs(model.predictions_of(z_hat)[0] - scale).max() > 1e-3


@pytest.mark.parametrize("rows", [-4, 4])
def test_latents_of_another_size_are_refused(model, latents, rows, monkeypatch):
    monkeypatch.setattr(strips, "POSITIONS", POSITIONS[0])
    y = latents[LATENT]
    y = y[:, :rows] if rows < 0 else tf.concat([y, y[:, :rows]], axis=1)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="shape"):
        model.encode({**latents, LATENT: y}, **at(model))


@pytest.mark.slow
def test_files_are_the_same_whatever_the_strips(monkeypatch):
    model, image = busy_model("MeanScaleHyperprior", lmbdas=(0.003, 0.03)), PIXELS[:, :100]
    targets = 1.4, codec.Target(bpp=0.55)
    files = [codec.compress(image, codec.as_codec(model), quality=at) for at in targets]
    monkeypatch.setattr(strips, "POSITIONS", POSITIONS[0])
    found = codec.as_codec(model)
    assert [codec.compress(image, found, quality=at) for at in targets] == files
    # Whose fingerprints are those of the latent in one piece.
    assert codec.decompress(files[0], found).shape == image.shape
