"""What is particular to the surrogates that draw an integer or subtract a dither."""

import numpy as np
import pytest

from tests.surrogate_table import ROWS
from tfsq import layers, surrogates

U = (np.arange(100_000) + 0.5) / 100_000 - 0.5
LATENTS = (-1.3, -0.5, 0.0, 0.12, 0.5, 0.93, 2.0)


@pytest.mark.parametrize("latent", LATENTS)
def test_stochastic_rounding_is_unbiased_and_an_integer(latent):
    y = surrogates.stochastic_rounding(np.full_like(U, latent), U).numpy()
    assert set(np.unique(y)) <= {np.floor(latent), np.ceil(latent)}
    assert abs(y.mean() - latent) < 2e-5


@pytest.mark.parametrize("latent", LATENTS)
def test_error_of_universal_quantization_is_uniform_whatever_the_latent(latent):
    error = surrogates.universal_quantization(np.full_like(U, latent), U).numpy() - latent
    np.testing.assert_allclose(np.sort(error), U, atol=2e-5)


@pytest.mark.parametrize("temperature", (1.0, 0.5, 0.1))
@pytest.mark.parametrize("latent", LATENTS)
def test_annealed_stochastic_rounding_rounds_up_with_the_softmax_weight(latent, temperature):
    y = surrogates.annealed_stochastic_rounding(np.full_like(U, latent), U, temperature).numpy()
    floor = np.floor(latent)
    d = np.clip(latent - floor, 1e-12, 1 - 1e-12)
    logits = -np.arctanh([d, 1 - d]) / temperature
    weight = np.exp(logits - logits.max())
    assert abs(y.mean() - floor - weight[1] / weight.sum()) < 2e-5


def test_shared_offset_is_one_for_each_example():
    layer = layers.UniversalQuantization(shared_offset=True, seed=1)
    noise = layer.sample_noise((4, 5, 6)).numpy()
    assert noise.shape == (4, 5, 6)
    assert (noise == noise[:, :1, :1]).all()
    assert len(np.unique(noise)) == 4
    assert layer.sample_noise(()).shape == ()


@pytest.mark.parametrize("arguments", [{"logits": "tanh"}, {"logits": "sigmoid", "sharpness": 0.0}])
def test_logits_of_gumbel_annealing_are_checked(arguments):
    name = list(arguments)[-1]
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
        surrogates.stochastic_gumbel_annealing(0.3, [0.0, 0.0], 0.5, **arguments)
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
        layers.StochasticGumbelAnnealing(**arguments)


def test_sigmoid_logits_of_sharpness_one_are_linear():
    row = next(row for row in ROWS if row.name == "sga-linear")
    rng = np.random.default_rng(0)
    y = rng.normal(size=1000)
    noise = row.draw(rng, y.shape)
    sigmoid = surrogates.stochastic_gumbel_annealing(y, noise, 0.4, "sigmoid", sharpness=1.0)
    np.testing.assert_allclose(sigmoid, row.function(y, noise, 0.4), atol=1e-12)
