"""Quickstart: tfsq's layers in a functional Keras model, trained, exported, compressing.

The network is small on purpose; `tfsq.architectures` has those of the literature.
"""

from __future__ import annotations

import pathlib
import tempfile

import keras
import skimage.data
import tensorflow as tf

import tfsq


@keras.saving.register_keras_serializable("quickstart")
class TinyCodec(tfsq.architectures.CompressionModel):
    """Functional models around an entropy model, on the contract that `export` needs."""

    size_multiple = 8
    parts = ("latent",)

    def build_parts(self, entropy_model_arguments):
        """The layers; all that the constructor was given about quantization is in the dict."""
        conv, up = tf.keras.layers.Conv2D, tf.keras.layers.Conv2DTranspose
        n, options = self.num_filters, {"strides": 2, "padding": "same", "activation": "relu"}
        image = tf.keras.Input([None, None, 3])
        hidden = conv(n, 5, **options)(image)
        y = conv(self.num_latents, 5, 2, "same")(conv(n, 5, **options)(hidden))
        self.analysis = tf.keras.Model(image, y)
        y_hat = tf.keras.Input([None, None, self.num_latents])
        hidden = up(n, 5, **options)(up(n, 5, **options)(y_hat))
        self.synthesis = tf.keras.Model(y_hat, up(3, 5, 2, "same")(hidden))
        self.latent_model = tfsq.entropy_models.FactorizedEntropyModel(**entropy_model_arguments)
        self.latent_model.build(y.shape)

    def latents_of(self, y):
        """All that is coded."""
        return {"latent": y}

    def estimate(self, latents, training=False):
        """Quantized latents and bits, with the surrogates while training."""
        y_hat, bits = self.latent_model(latents["latent"], training=training)
        return {"latent": y_hat}, {"latent": bits}

    def encode(self, latents):
        """The strings of the range coder, and the quantized latents."""
        y = latents["latent"]
        return {"latent": self.latent_model.compress(y)}, {"latent": self.latent_model.quantize(y)}

    def decode(self, strings, size, check):
        """The quantized latents from the strings."""
        y_hat = self.latent_model.decompress(strings["latent"], size // self.size_multiple)
        return {"latent": check("latent", y_hat)}


def main(steps: int = 500) -> int:
    """Trains on one photograph, compresses another; returns the size of the file."""
    tf.keras.utils.set_random_seed(0)
    crops = tf.data.Dataset.from_tensors(skimage.data.coffee()).repeat()
    crops = crops.map(lambda image: tf.image.random_crop(image, [64, 64, 3])).batch(8)

    model = TinyCodec(
        num_filters=32,
        num_latents=16,
        rate_quantizer=tfsq.layers.AdditiveUniformNoise(),
        reconstruction_quantizer=tfsq.layers.StochasticUniformAnnealing(temperature=1.0),
    )
    model.compile(tf.keras.optimizers.Adam(1e-3, global_clipnorm=1.0), lmbda=0.01)
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, steps / 4, 0.5)
    annealing = tfsq.callbacks.TemperatureCallback(schedule, minimum=0.05)
    model.fit(crops, steps_per_epoch=steps, callbacks=[annealing], verbose=2)

    photograph = skimage.data.chelsea()
    with tempfile.TemporaryDirectory() as folder:
        tfsq.codec.export(model, pathlib.Path(folder) / "codec")
        codec = tfsq.codec.load(pathlib.Path(folder) / "codec")
    data = tfsq.codec.compress(photograph, codec)
    decoded = tfsq.codec.decompress(data, codec)
    figures = tfsq.evaluation.measure(photograph, codec, data, decoded)
    print(f"{len(data)} bytes, {figures.bpp:.3f} bits per pixel, {figures.psnr:.2f} dB")
    return len(data)


if __name__ == "__main__":
    main()
