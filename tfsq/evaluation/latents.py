"""Latents of real images, for `tfsq.analysis` to say which surrogate suits them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfsq.analysis import LatentBatch
from tfsq.architectures import MeanScaleHyperprior
from tfsq.codec import load, read_image, shipped_folder
from tfsq.files import leaving_out, name_for_tensorflow

# Weight of the squared error on pixels, as the shipped model was trained.
_LMBDA = 0.01
# Of height and width of the images of a batch.
_MULTIPLE = 64
# Where a run has its codec.
_CODEC = "codec"


def _shipped() -> pathlib.Path:
    """The folder of the shipped model and photographs for the batch."""
    return shipped_folder() / "analysis"


def _large_enough(files: Sequence, on_skipped) -> Iterator[np.ndarray]:
    for file in files:
        with leaving_out(on_skipped):
            image = read_image(file)
            height, width = image.shape[:2]
            if min(height, width) < _MULTIPLE:
                raise ValueError(f"{file} is {width}x{height}, smaller than {_MULTIPLE} pixels.")
            yield image


def latent_batch(
    model=None,
    images: Sequence | None = None,
    on_skipped: Callable[[str], None] | None = None,
    quality: float | None = None,
) -> LatentBatch:
    """Returns latents of a model, with lambda * squared error after its synthesis as their loss.

    Args:
      model: A `tfsq.architectures.MeanScaleHyperprior`: a `.keras` file, the folder of an exported
        codec, or that of a run; the shipped one if None.
      images: Image files; each is cropped to the largest multiple of 64 that all have. The shipped
        ones if None.
      on_skipped: Called with why an image is left out that does not serve; None raises.
      quality: Of a model of many rates, in whose quantization steps the latents are; None is the
        middle.

    Returns:
      The batch.

    Raises:
      ValueError: if there is no image, one that is smaller than 64 pixels, another model, or
        `quality` is none of the model.
      OSError: if a file cannot be read.
    """
    files = sorted(_shipped().glob("*.png")) if images is None else list(images)
    if not files:
        raise ValueError("`images` must not be empty.")
    network = _network_of(pathlib.Path(model or _shipped()))
    found = list(_large_enough(files, on_skipped))
    if not found:
        raise ValueError("None of the `images` serves.")
    sizes = zip(*(image.shape[:2] for image in found))
    height, width = (min(size) // _MULTIPLE * _MULTIPLE for size in sizes)
    batch = tf.constant(np.stack([image[:height, :width] for image in found]), tf.float32)
    at = network.at_quality(quality, 1)
    if network.ladder:
        lmbda = float(network.ladder.lmbdas_at(**at)[0])
    else:
        lmbda = getattr(network, "lmbda", None) or _LMBDA

    @tf.function
    def loss(y_hat):
        y_hat = network.gains_at(**at).from_steps(y_hat)
        return lmbda * tf.reduce_mean(tf.square(network.synthesize(y_hat) - batch))

    y, loc, scale = network.latents(batch, **at)
    return LatentBatch(y.numpy(), loc.numpy(), scale.numpy(), loss)


def _network_of(path: pathlib.Path) -> MeanScaleHyperprior:
    """The network in a `.keras` file, the folder of a codec or that of a run."""
    if (path / _CODEC).is_dir():
        path = path / _CODEC
    try:
        if path.is_dir():
            network = load(path).network
        else:
            with name_for_tensorflow(path.parent) as folder:
                network = tf.keras.models.load_model(folder / path.name)
    except Exception as error:
        # Keras raises errors of any kind at files that are damaged or of others.
        raise ValueError(f"`model` cannot be loaded: {path} ({error})") from error
    if not isinstance(network, MeanScaleHyperprior):
        raise ValueError(
            f"`model` must be a MeanScaleHyperprior. Received: {type(network).__name__} in {path}"
        )
    return network
