"""What a network would code at the end of each epoch, of images that it is not trained on."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsq.architectures import CompressionModel
from tfsq.architectures.distortions import distortion_of
from tfsq.architectures.hyperprior import AtOnce
from tfsq.architectures.images import cropped
from tfsq.architectures.rate_distortion_model import METRICS, METRICS_OF_A_RUNG
from tfsq.codec.image_files import check_image
from tfsq.layers.checks import check_integer

# Epochs of a run that have pictures, and images whose latents make the histograms.
_MOST_EPOCHS, _MOST_IMAGES = 32, 16
_SIDE = 512  # Of pictures, at most.
# Of the histograms. Most residuals are within a step; what is farther off is counted at the edge.
_BUCKETS, _LARGEST_RESIDUAL, _SMALLEST_SCALE = 64, 8.0, 2.0**-20


class Validation(tf.keras.callbacks.Callback):
    """Evaluates a network of `tfsq.architectures` on images kept apart, at the end of each epoch.

    Latents are rounded and predictions exact, as in a codec. The means over the images are logged
    as `val_loss`, `val_bpp`, `val_mse` and `val_psnr`, the names that Keras gives to validation. A
    network of many rates is evaluated at every rung of its ladder: these are the means over the
    rungs, and `val_loss_1`, `val_bpp_1` and `val_psnr_1` are those of quality 1, and so on.

    Nothing is drawn and no weight, metric or state of the model is touched: training is the same
    with and without.

    With a `folder`, TensorBoard shows, for each quality:

    - the first images beside their reconstructions, of up to 512x512 pixels, in the last epoch of
      a run and about 32 others at most;
    - of networks that predict the whole latent at once, `MeanScaleHyperprior` and
      `ScaleHyperprior`, histograms of the binary logarithm of the predicted scales, and of the
      residuals, latent minus predicted mean, from -8 to 8. Both are in quantization steps.

    The figures are written by Keras' own callback.

    Callbacks see only what those listed before them log: list this one before TensorBoard.

    Args:
      images: uint8 arrays [height, width, 3] of any sizes.
      folder: Where event files are written for TensorBoard, one that nothing else writes to; None
        writes none.
      pictures: Number of images that are shown.

    Raises:
      ValueError: if there are no images, one is no such array, or `pictures` is negative; when
        training starts, if an image is too small for the distortion.
      TypeError: when training starts, if the model is not one of `tfsq.architectures`.
    """

    def __init__(self, images: Sequence, folder=None, pictures: int = 2):
        super().__init__()
        self.images = [check_image(image, "images") for image in images]
        if not self.images:
            raise ValueError("`images` must be at least one. Received: images=[]")
        self.folder = None if folder is None else pathlib.Path(folder)
        self.pictures = check_integer("pictures", pictures, 0)
        self._writer: Any = None
        self._traced_for: Any = None

    def on_train_begin(self, logs=None):
        model = self.model
        if not isinstance(model, CompressionModel):
            raise TypeError(
                f"Validation is for the networks of `tfsq.architectures`. Received: {model!r}"
            )
        for image in self.images:
            distortion_of(model.distortion).check_size("images", *image.shape[:2])
        if self._traced_for is not model:
            self._traced_for = model
            signature = [tf.TensorSpec([1, None, None, 3], tf.uint8)]
            self._code = tf.function(self._coded, input_signature=signature)
            self._predict = tf.function(self._predicted, input_signature=signature)

    def on_epoch_end(self, epoch, logs=None):
        found: dict[str, list] = {name: [] for name in METRICS}
        pictures = []
        for number, image in enumerate(self.images):
            values, reconstruction = self._code(image[np.newaxis])
            for name, of_rungs in values.items():
                found[name].append(of_rungs.numpy())
            if number < self.pictures and self._shows(epoch):
                pictures.append((image, reconstruction.numpy()))
        if logs is not None:
            logs.update(self._figures({name: np.array(rows) for name, rows in found.items()}))
        if self.folder is not None:
            self._write(epoch, pictures)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _rungs(self) -> list[str]:
        """What ends the names of figures of each quality."""
        ladder = self.model.ladder
        return [f"_{rung}" for rung in range(1, len(ladder) + 1)] if ladder else [""]

    def _figures(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        """What is logged, of arrays [images, rungs]."""
        figures = {f"val_{name}": float(rows.mean()) for name, rows in found.items()}
        for name in METRICS_OF_A_RUNG:
            means = found[name].mean(axis=0)
            figures |= {f"val_{name}{rung}": float(m) for rung, m in zip(self._rungs(), means)}
        return figures

    def _shows(self, epoch: int) -> bool:
        """Whether an epoch has pictures: their files would be large."""
        epochs = self.params["epochs"]
        is_chosen = epoch % -(-epochs // _MOST_EPOCHS) == 0 or epoch + 1 == epochs
        return self.folder is not None and is_chosen

    def _at_rungs(self) -> dict:
        """Arguments of the network for one image at each quality."""
        ladder = self.model.ladder
        return {"quality": tf.range(1, len(ladder) + 1, dtype=tf.float32)} if ladder else {}

    def _coded(self, image):
        """Figures of an image at each quality, [rungs], and its reconstructions, as bytes."""
        model, at, count = self.model, self._at_rungs(), len(self._rungs())
        # A latent is the same at every quality.
        latents = {
            part: tf.repeat(latent, count, axis=0)
            for part, latent in model.analyze(model.padded(image)).items()
        }
        reconstruction, bits = model.reconstruct(latents, False, **at)
        original = tf.repeat(image, count, axis=0)
        reconstruction = cropped(reconstruction, original)
        lmbda = model.ladder.lmbdas_at(**at) if model.ladder else model.lmbda
        values = model.loss_of(original, reconstruction, bits, lmbda)
        pixels = tf.saturate_cast(tf.round(reconstruction), tf.uint8)
        return {name: values[name] for name in METRICS}, pixels

    def _predicted(self, image):
        """The predicted scales of an image and its residuals, in steps, [rungs, ...]."""
        model = self.model
        gains = model.gains_at(**self._at_rungs())
        y, loc, scale = model.predicted_in_steps(model.padded(image), gains)
        return scale, y if loc is None else y - loc

    def _write(self, epoch: int, pictures: list) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(step=epoch), tf.summary.record_if(True):
            for number, (image, reconstructions) in enumerate(pictures, 1):
                for rung, reconstruction in zip(self._rungs(), reconstructions):
                    pair = [part[:_SIDE, :_SIDE] for part in (image, reconstruction)]
                    shown = np.concatenate(pair, axis=1)[np.newaxis]
                    tf.summary.image(f"reconstruction{rung}/{number}", shown)
            if isinstance(self.model, AtOnce):
                self._write_histograms()
        self._writer.flush()

    def _write_histograms(self) -> None:
        images = self.images[:_MOST_IMAGES]
        found = [[t.numpy() for t in self._predict(image[np.newaxis])] for image in images]
        for index, rung in enumerate(self._rungs()):
            scales, residuals = (
                np.concatenate([pair[place][index].ravel() for pair in found]) for place in (0, 1)
            )
            # A run that diverged has its own error.
            if np.isfinite(scales).all() and np.isfinite(residuals).all():
                logs = np.log2(np.maximum(scales, _SMALLEST_SCALE))
                clipped = np.clip(residuals, -_LARGEST_RESIDUAL, _LARGEST_RESIDUAL)
                tf.summary.histogram(f"scale_log2{rung}", logs, buckets=_BUCKETS)
                tf.summary.histogram(f"residual{rung}", clipped, buckets=_BUCKETS)
