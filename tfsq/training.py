"""Training of a codec on a folder of images: resumable, with everything in one run folder."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsq.architectures import MeanScaleHyperprior
from tfsq.architectures.base import SMALLEST_MS_SSIM_SIZE
from tfsq.callbacks import SoftThenHard, TemperatureCallback, TrainTestGap
from tfsq.codec import export, read_image

_SETTINGS_FILE = "settings.json"
# What stands still in the hard part.
_ENCODER = ("analysis", "hyper_analysis")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What determines a training run, beside the images.

    Attributes:
      lmbda: Weight of the distortion against bits per pixel.
      distortion: "mse" or "ms-ssim".
      steps: Optimizer steps, a multiple of `steps_per_epoch`.
      steps_per_epoch: Steps between two checkpoints.
      batch_size: Crops per step.
      crop_size: Height and width of the crops, a multiple of 64; at least 192 for "ms-ssim".
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      learning_rate: Adam's at the start; it falls to zero along a cosine.
      final_temperature: SUA's temperature falls exponentially from 1 to this until the hard part
        begins.
      hard_fraction: Part of the steps, at the end, in which latents are rounded and the encoder
        stands still, in [0, 1).
      scale_lower_bound: Lower bound of the predicted scale.
      seed: Seeds weights, crops and noise; at least 0.

    Raises:
      ValueError: if a value is out of its range.
    """

    lmbda: float = 0.01
    distortion: str = "mse"
    steps: int = 10_000
    steps_per_epoch: int = 500
    batch_size: int = 8
    crop_size: int = 128
    num_filters: int = 32
    num_latents: int = 48
    learning_rate: float = 1e-3
    final_temperature: float = 0.9
    hard_fraction: float = 0.0
    scale_lower_bound: float = 0.11
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "steps_per_epoch", "batch_size", "crop_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {getattr(self, name)}")
        if self.steps % self.steps_per_epoch:
            raise ValueError(
                "`steps` must be a multiple of `steps_per_epoch`. Received: "
                f"steps={self.steps}, steps_per_epoch={self.steps_per_epoch}"
            )
        if self.crop_size % MeanScaleHyperprior.size_multiple:
            raise ValueError(
                f"`crop_size` must be a multiple of {MeanScaleHyperprior.size_multiple}. "
                f"Received: crop_size={self.crop_size}"
            )
        if self.distortion == "ms-ssim" and self.crop_size < SMALLEST_MS_SSIM_SIZE:
            raise ValueError(
                f"`crop_size` must be at least {SMALLEST_MS_SSIM_SIZE} for ms-ssim, 192 for "
                f"instance. Received: crop_size={self.crop_size}"
            )
        if not 0.0 <= self.hard_fraction < 1.0:
            raise ValueError(
                f"`hard_fraction` must be in [0, 1). Received: hard_fraction={self.hard_fraction}"
            )
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0. Received: seed={self.seed}")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0. Received: {self.learning_rate}")


def crops_dataset(paths: Sequence, crop_size: int, batch_size: int, seed: int) -> tf.data.Dataset:
    """Random crops, flipped left-right at random, forever.

    Args:
      paths: Image files, see `tfsq.codec.read_image`; they stay decoded in memory.
      crop_size: Height and width of the crops.
      batch_size: Crops per element.
      seed: Seed of images, places and flips.

    Returns:
      Dataset of uint8 tensors [batch_size, crop_size, crop_size, 3].

    Raises:
      ValueError: if there is no file, or one that is not an image or smaller than a crop.
      OSError: if a file cannot be read.
    """
    images = [read_image(path) for path in paths]
    if not images:
        raise ValueError("No images to train on.")
    for path, image in zip(paths, images):
        height, width, _ = image.shape
        if min(height, width) < crop_size:
            raise ValueError(f"{path} is {width}x{height}, smaller than a crop of {crop_size}.")

    def crop(number):
        # A generator of its own for each crop makes them the same however many threads there are.
        rng = np.random.default_rng((seed, number))
        image = images[rng.integers(len(images))]
        row, column = (rng.integers(size - crop_size + 1) for size in image.shape[:2])
        window = image[row : row + crop_size, column : column + crop_size]
        return window[:, ::-1] if rng.integers(2) else window

    def crop_tensor(number):
        window = tf.numpy_function(crop, [number], tf.uint8)
        return tf.ensure_shape(window, [crop_size, crop_size, 3])

    crops = tf.data.Dataset.counter().map(crop_tensor, num_parallel_calls=tf.data.AUTOTUNE)
    return crops.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _compiled_model(settings: TrainingSettings) -> MeanScaleHyperprior:
    model = MeanScaleHyperprior(
        settings.num_filters,
        settings.num_latents,
        scale_lower_bound=settings.scale_lower_bound,
    )
    rate = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
    # With the loss in pixel units, a step on a steep crop would undo many others.
    optimizer = tf.keras.optimizers.Adam(rate, global_clipnorm=1.0)
    model.compile(optimizer, lmbda=settings.lmbda, distortion=settings.distortion)
    return model


def _quantization_callbacks(settings: TrainingSettings) -> list[tf.keras.callbacks.Callback]:
    soft_steps = max(1, round((1.0 - settings.hard_fraction) * settings.steps))
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(
        1.0, soft_steps, settings.final_temperature
    )
    annealing = TemperatureCallback(schedule, minimum=settings.final_temperature)
    return [annealing, SoftThenHard(soft_steps, freeze=_ENCODER)]


def _check_same_settings(settings: TrainingSettings, output: pathlib.Path) -> None:
    file = output / _SETTINGS_FILE
    if not file.exists():
        return
    before, now = json.loads(file.read_text()), dataclasses.asdict(settings)
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(
            f"{output} holds a run with other settings: "
            + ", ".join(f"{name}={before.get(name)}, now {now[name]}" for name in changed)
        )


def _write_settings(settings: TrainingSettings, output: pathlib.Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(settings), indent=2)
    (output / _SETTINGS_FILE).write_text(text + "\n")


def train(
    paths: Sequence,
    output,
    settings: TrainingSettings | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
) -> MeanScaleHyperprior:
    """Trains a mean-scale hyperprior with SUA, and exports it.

    The folder `output` receives `settings.json`, `backup/` (a checkpoint an epoch), `logs/` for
    TensorBoard, `history.csv` (a row an epoch: loss, bpp, mse, psnr, temperature,
    train_test_gap) and, at the end, `model.keras` and `codec/`, the SavedModel. A run that was
    interrupted continues from its last epoch when called again with the same settings.

    Args:
      paths: Image files to train on.
      output: Folder of the run.
      settings: What to train; the defaults if None.
      callbacks: Further Keras callbacks, to show progress for instance.

    Returns:
      The trained model.

    Raises:
      ValueError: if the images do not serve, or `output` holds a run with other settings.
    """
    settings = settings or TrainingSettings()
    output = pathlib.Path(output)
    _check_same_settings(settings, output)
    tf.keras.utils.set_random_seed(settings.seed)
    data = crops_dataset(paths, settings.crop_size, settings.batch_size, settings.seed)
    model = _compiled_model(settings)
    quantization = _quantization_callbacks(settings)
    # Not before everything that may refuse them has accepted them.
    _write_settings(settings, output)
    model.fit(
        data,
        steps_per_epoch=settings.steps_per_epoch,
        epochs=settings.steps // settings.steps_per_epoch,
        verbose=0,
        callbacks=[
            # What adds to the logs comes before what writes them.
            TrainTestGap(next(iter(data))),
            *quantization,
            tf.keras.callbacks.TerminateOnNaN(),
            tf.keras.callbacks.CSVLogger(str(output / "history.csv"), append=True),
            tf.keras.callbacks.TensorBoard(str(output / "logs"), profile_batch=0),
            tf.keras.callbacks.BackupAndRestore(str(output / "backup"), delete_checkpoint=False),
            *callbacks,
        ],
    )
    model.save(output / "model.keras")
    export(model, output / "codec")
    return model
