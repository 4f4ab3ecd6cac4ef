"""Every network on what accelerators offer: mixed precision and XLA."""

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import make_model, marked
from tests.photographs import crops
from tfsq._keras import IS_KERAS_3
from tfsq.architectures import NETWORKS
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.layers import find


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
@pytest.mark.parametrize("name", marked(slow=set(NETWORKS) - {"MeanScaleHyperprior"}))
def test_mixed_precision_trains_and_decodes_exactly(name, policy):
    model = make_model(name, dtype=policy)
    for part in find(model, FactorizedEntropyModel):
        # What bfloat16 does not hold.
        part.loc.assign(tf.linspace(-0.4, 0.4, part.loc.shape[0]))
    assert model.analysis.compute_dtype in policy
    image = tf.constant(crops(1))

    @tf.function(autograph=False)
    def gradients(image):
        with tf.GradientTape() as tape:
            reconstruction, bits = model(image, training=True)
            error = tf.cast(image, tf.float32) - reconstruction
            # What float16 holds.
            loss = 1e-4 * tf.reduce_mean(error**2) + 1e-3 * tf.add_n(list(bits.values()))
        return tape.gradient(loss, model.trainable_weights)

    assert all(np.isfinite(gradient).all() for gradient in gradients(image))
    strings = tf.function(model.compress, autograph=False)(image)
    reconstruction, _ = tf.function(lambda image: model(image, training=False), autograph=False)(
        image
    )
    decoded = tf.function(model.decompress, autograph=False)(strings, tf.constant([64, 64]))
    # Newer TensorFlow sums in another order in the graph of a decoder, behind the symbols: by what
    # the last bit of float16 and of bfloat16 is worth there.
    last_bit = {"mixed_float16": 0.5, "mixed_bfloat16": 1.0}[policy]
    np.testing.assert_allclose(decoded, reconstruction, atol=last_bit if IS_KERAS_3 else 0.0)
    latents = model.latents_of(model.transform(model.padded(image)))
    # Of these latents, which are not to the last bit those of the graph above.
    strings, quantized = tf.function(model.encode, autograph=False)(latents)
    again = tf.function(model.decode, autograph=False)(strings, tf.constant([64, 64]))
    assert np.array_equal(again["latent"], quantized["latent"])


@pytest.mark.slow  # XLA takes up to a minute for a network.
@pytest.mark.parametrize("name", NETWORKS)
def test_training_step_compiles_under_xla(name):
    model = make_model(name)
    model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=0.01, jit_compile=True)
    history = model.fit(tf.data.Dataset.from_tensors(crops(1)), verbose=0).history
    assert np.isfinite(history["loss"][0])
