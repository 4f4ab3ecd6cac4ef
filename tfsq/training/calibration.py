"""Gains of a network of many rates, set by the loss of rounded latents."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tfsq import codec
from tfsq.architectures import CompressionModel
from tfsq.architectures.distortions import distortion_of
from tfsq.codec.progress import ProgressCallback, ignored
from tfsq.files import check_not_inside, checked_empty
from tfsq.layers import Gain
from tfsq.training.data import validation_images
from tfsq.training.validation import Validation

# What is tried in turn, as binary logarithms.
_STEPS = (0.2, 0.1, 0.05)


class Calibration(NamedTuple):
    """What `calibrate` has gained.

    Attributes:
      before: Losses of rounded latents, float array [qualities].
      after: With the gains that were found.
    """

    before: np.ndarray
    after: np.ndarray


class _Change:
    """How far the gains of a network are changed, for each quality."""

    def __init__(self, gain: Gain):
        self._gain = gain
        self._logs, self._inverse_logs = gain.logs.numpy(), gain.inverse_logs.numpy()
        shape = [len(self._logs), 1]
        self.found = {"steps": np.zeros(shape), "factors": np.zeros(shape)}

    def apply(self, steps, factors) -> None:
        """Makes quantization steps, and what the decoder multiplies by, larger by powers of two."""
        self._gain.logs.assign(self._logs - steps)
        self._gain.inverse_logs.assign(self._inverse_logs + steps + factors)


def losses_of(model: CompressionModel, images: Sequence) -> Callable[[], np.ndarray]:
    """Returns a function that computes the mean loss of rounded latents at each quality.

    Args:
      model: As for `calibrate`.
      images: As for `calibrate`.

    Raises:
      TypeError: as `calibrate`.
      ValueError: as `calibrate`.
      RuntimeError: as `calibrate`.
    """
    if not isinstance(model, CompressionModel):
        raise TypeError(f"`model` must be a network of `tfsq.architectures`. Received: {model!r}")
    if not model.distortion:
        raise RuntimeError("The model must be compiled first: its loss depends on it.")
    if not model.ladder:
        raise ValueError(f"`model` must be of many rates. Received: lmbda={model.lmbda}")
    validation = Validation(images, pictures=0)
    validation.set_model(model)
    validation.on_train_begin()
    names = [f"val_loss_{quality}" for quality in range(1, len(model.ladder) + 1)]

    def losses() -> np.ndarray:
        logs: dict = {}
        validation.on_epoch_end(0, logs)
        return np.array([logs[name] for name in names])

    return losses


def search(
    gain: Gain, losses: Callable[[], np.ndarray], progress: ProgressCallback = ignored
) -> Calibration:
    """Changes gains for as long as a loss falls, of each quality by itself.

    Args:
      gain: Of the network, built.
      losses: Computes the loss at each quality with the gains as they are.
      progress: See `calibrate`.

    Returns:
      The losses before and after. Interrupted, `gain` keeps the best so far.

    Raises:
      FloatingPointError: if a loss is not finite before anything is changed.
    """
    change = _Change(gain)
    before = best = losses()
    if not np.isfinite(before).all():
        raise FloatingPointError(f"A loss is not finite before calibration: {before.tolist()}")
    directions = list(itertools.product(_STEPS, change.found, (1, -1)))

    def tell(done: int) -> None:
        progress(codec.Progress("calibration", done, len(directions), float(best.mean())))

    tell(0)
    try:
        for number, (step, name, sign) in enumerate(directions, 1):
            better = np.ones_like(best, bool)
            while np.any(better):
                trial = {**change.found, name: change.found[name] + sign * step}
                change.apply(**trial)
                found = losses()
                better = found < best
                best = np.where(better, found, best)
                change.found[name][better] = trial[name][better]
            tell(number)
    finally:
        change.apply(**change.found)
    return Calibration(before, best)


def calibrate(
    model: CompressionModel, images: Sequence, progress: ProgressCallback = ignored
) -> Calibration:
    """Sets the gains of a network of many rates, in place, by the loss of rounded latents.

    Training with a surrogate in the place of rounding chooses quantization steps by the surrogate's
    loss, and not by that of what is coded: the train-test mismatch. This is a search, for each
    quality by itself, over a factor of all its quantization steps and one of all that the decoder
    multiplies by. It keeps a change if the mean loss of the images falls, with latents rounded and
    predictions exact, as in a codec. Nothing but the gains is changed; what was coded with the ones
    before needs these.

    Each image is evaluated at least 13 times at every quality, all qualities at once: crop large
    ones, to 256x256 pixels for instance. Two numbers for each quality are all that is learned, so
    that two dozen photographs served where we measured.

    Args:
      model: Network of `tfsq.architectures` of many rates, compiled.
      images: uint8 arrays [height, width, 3].
      progress: Called with a `tfsq.codec.Progress` at the start and after each direction of the
        search.

    Returns:
      `Calibration`, the losses before and after. Interrupted, the network keeps the best gains so
      far.

    Raises:
      TypeError: if `model` is no network of `tfsq.architectures`.
      ValueError: if it has one rate, or `images` are none, no such arrays, or too small for the
        distortion.
      RuntimeError: if `model` was not compiled.
      FloatingPointError: if a loss is not finite to begin with.
    """
    losses = losses_of(model, images)
    return search(model.gain, losses, progress)


def calibrate_codec(
    model,
    paths: Sequence,
    output,
    on_skipped: Callable[[str], None] | None = None,
    progress: ProgressCallback = ignored,
) -> Calibration:
    """Writes a codec of many rates once more, with gains that are set by images.

    Args:
      model: Folder of the codec.
      paths: Image files, some of those it was trained on, or others like what it is to code. The
        middle of each counts, of at most 256x256 pixels, and 64 at least with most networks, or 192
        with MS-SSIM.
      output: Folder of the codec to write, which must not exist, or be empty. It is another codec,
        which does not read files of the one before; its card names that one. Nothing is written if
        the search is interrupted.
      on_skipped: Called with why an image is left out; None raises.
      progress: See `calibrate`.

    Returns:
      `Calibration`, the losses before and after.

    Raises:
      ModelError: if `model` is not an exported codec.
      ValueError: if it has one rate, the images do not serve, or `output` has something in it or
        lies in `model`.
      OSError: if an image or `output` cannot be read or written.
    """
    output = checked_empty(output, "output")
    check_not_inside(output, model)
    loaded = codec.load(model)
    if not loaded.ladder:
        raise ValueError(f"`model` must be a codec of many rates. Received: {model}, of one")
    network = loaded.network
    smallest = distortion_of(network.distortion).smallest_size
    images = validation_images(paths, network.size_multiple, smallest, [], on_skipped)
    result = calibrate(network, images, progress)
    codec.export(network, output)
    codec.write_model_card(output, _facts(loaded.metadata["model_hash"], len(images)))
    return result


def _facts(origin: str, images: int) -> codec.CardFacts:
    return codec.CardFacts(
        training=f"The weights are those of codec {origin}, whose card says more, but for the "
        f"gains. A search set these by the loss of rounded latents; number of images: {images}.",
        data=f"That of codec {origin}, and for the gains images of which it is not recorded whose "
        "they are, and on which terms.",
        terms=f"This codec is made from codec {origin}: the terms of that one, on its card, hold "
        "for its weights here, too.",
    )
