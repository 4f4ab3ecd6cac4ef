"""Quickstart: tfsq's layers in a functional Keras model, trained, exported, compressing.

The network is small on purpose; `tfsq.architectures` has those of the literature.
"""

from __future__ import annotations

import pathlib
import tempfile

import skimage.data
import tensorflow as tf

import tfsq


class TinyCodec(tfsq.architectures.CompressionModel):
    """A functional model around an entropy model, on the contract that `export` needs."""

    size_multiple = 8
    parts = ("latent",)

    def __init__(self):
        super().__init__()
        conv, up = tf.keras.layers.Conv2D, tf.keras.layers.Conv2DTranspose
        options = {"strides": 2, "padding": "same", "activation": "relu"}
        self.synthesis = tf.keras.Sequential(
            [up(32, 5, **options), up(32, 5, **options), up(3, 5, 2, "same")]
        )
        self.entropy_model = tfsq.entropy_models.FactorizedEntropyModel(
            coding_rank=3,
            compression=True,
            rate_quantizer=tfsq.layers.AdditiveUniformNoise(),
            reconstruction_quantizer=tfsq.layers.StochasticUniformAnnealing(temperature=1.0),
        )
        image = tf.keras.Input([None, None, 3])
        hidden = conv(32, 5, **options)(tf.keras.layers.Rescaling(1 / 255)(image))
        y = conv(16, 5, 2, "same")(conv(32, 5, **options)(hidden))
        y_hat, bits = self.entropy_model(y)
        self.analysis = tf.keras.Model(image, y)
        self.network = tf.keras.Model(image, [255.0 * self.synthesis(y_hat), bits])

    def forward(self, image, training):
        """Reconstruction and bits, with the surrogates while training."""
        x_hat, bits = self.network(image, training=training)
        return x_hat, {"latent": bits}

    def compress_parts(self, image):
        """The strings of the range coder."""
        return {"latent": self.entropy_model.compress(self.analysis(image))}

    def decompress_parts(self, parts, size):
        """The reconstruction from the strings."""
        y_hat = self.entropy_model.decompress(parts["latent"], size // self.size_multiple)
        return 255.0 * self.synthesis(y_hat)


def main(steps: int = 500) -> int:
    """Trains on one photograph, compresses another; returns the size of the file."""
    tf.keras.utils.set_random_seed(0)
    crops = tf.data.Dataset.from_tensors(skimage.data.coffee()).repeat()
    crops = crops.map(lambda image: tf.image.random_crop(image, [64, 64, 3])).batch(8)

    model = TinyCodec()
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
    figures = tfsq.codec.measure(photograph, data, decoded, codec)
    print(f"{len(data)} bytes, {figures.bpp:.3f} bits per pixel, {figures.psnr:.2f} dB")
    return len(data)


if __name__ == "__main__":
    main()
