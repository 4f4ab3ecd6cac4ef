"""Training of a codec on a folder of images: resumable, with everything in one run folder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsq import layers
from tfsq.architectures import NETWORKS, CompressionModel, DCTShortcut, HyperpriorModel
from tfsq.architectures.base import SMALLEST_MS_SSIM_SIZE
from tfsq.architectures.shortcut import check_shortcut
from tfsq.callbacks import SoftThenHard, TemperatureCallback, TrainTestGap
from tfsq.codec import export, read_image
from tfsq.codec.image_files import writing_whole
from tfsq.layers.base import (
    AnnealedQuantizer,
    Quantizer,
    StochasticQuantizer,
    check_positive,
    check_temperature,
)

_STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}
_NOISE_OF_A_STEP = 32  # log2 of the numbers that a step may draw
# What CompressAI weighs 1 - MS-SSIM with, over what it weighs the squared error with for the same
# rate: 1220 to 1330, from one quality to the next.
_MS_SSIM_LMBDA = 1270.0
_DRAWS_OF_A_CROP = 4
_OF_HYPERPRIORS = ("scale_lower_bound", "hyper_width")
# What a run of an earlier build does not say: that its network sees centered pixels.
_CENTERED = "centered"
_SETTINGS_FILE, _CHECKPOINTS, _HISTORY = "settings.json", "checkpoints", "history.csv"


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What determines a training run, beside the images and the run that it starts from.

    Attributes:
      lmbda: Weight of the distortion against bits per pixel.
      distortion: "mse" or "ms-ssim".
      architecture: Name of a network of `tfsq.architectures`.
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      hyper_width: See `tfsq.architectures.HyperpriorModel`; None for a network without hyperprior.
      shortcut: "dct" or None, see `tfsq.architectures.CompressionModel`.
      reconstruction_quantizer: What `tfsq.layers.get` accepts: a name or a config.
      rate_quantizer: Likewise; None is the layer of the reconstruction, with one noise sample for
        both.
      initial_temperature: Of annealed quantizers, at step 0. A run that starts from another begins
        where the schedule is at its step.
      final_temperature: Where their temperature has fallen to, exponentially, when the hard part
        begins.
      annealing_start: Part of the steps before the hard part in which the temperature stays where
        it is at step 0, in [0, 1).
      hard_fraction: Part of the steps, at the end, in which latents are rounded and the encoder
        stands still, in [0, 1).
      scale_lower_bound: Lower bound of the predicted scale; None is the network's default, and
        needed for a network that predicts none.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      steps: Optimizer steps, a multiple of `steps_per_epoch`.
      steps_per_epoch: Steps between two checkpoints.
      batch_size: Crops per step.
      crop_size: Height and width of the crops, a multiple of the network's `size_multiple`, 64 for
        most; at least 192 for "ms-ssim".
      least_detail: Crops of less detail, see `detail_of`, are drawn again, up to three times: it
        thins out skies and walls, of which photographs have more than they need bits for. 0 takes
        every crop.
      learning_rate: Adam's at the start; it falls to zero along a cosine.
      seed: Seeds weights, crops and noise; in [0, 2^32).

    Raises:
      ValueError: if a value is out of its range.
    """

    lmbda: float = 0.01
    distortion: str = "mse"
    architecture: str = "MeanScaleHyperprior"
    num_filters: int = 32
    num_latents: int = 48
    hyper_width: int | None = None
    shortcut: str | None = "dct"
    reconstruction_quantizer: str | dict = "sua"
    rate_quantizer: str | dict | None = "aun"
    initial_temperature: float = 1.0
    final_temperature: float = 0.05
    annealing_start: float = 0.0
    hard_fraction: float = 0.0
    scale_lower_bound: float | None = None
    stop_gradient: str = "partial"
    steps: int = 10_000
    steps_per_epoch: int = 500
    batch_size: int = 4
    crop_size: int = 128
    least_detail: float = 0.0
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self):
        check_positive("lmbda", self.lmbda)
        for name in ("steps", "steps_per_epoch", "batch_size", "crop_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {getattr(self, name)}")
        if self.steps % self.steps_per_epoch:
            raise ValueError(
                "`steps` must be a multiple of `steps_per_epoch`. Received: "
                f"steps={self.steps}, steps_per_epoch={self.steps_per_epoch}"
            )
        network = NETWORKS.get(self.architecture)
        if network is None:
            raise ValueError(
                f"`architecture` must be one of {list(NETWORKS)}. "
                f"Received: architecture={self.architecture!r}"
            )
        for name in _OF_HYPERPRIORS:
            value = getattr(self, name)
            if value is not None and not issubclass(network, HyperpriorModel):
                raise ValueError(
                    f"`{name}` must be None for {self.architecture}, which has no hyperprior. "
                    f"Received: {name}={value}"
                )
        if self.hyper_width is not None and self.hyper_width < 1:
            raise ValueError(f"`hyper_width` must be at least 1. Received: {self.hyper_width}")
        check_shortcut(self.shortcut)
        if self.crop_size % network.size_multiple:
            raise ValueError(
                f"`crop_size` must be a multiple of {network.size_multiple}. "
                f"Received: crop_size={self.crop_size}"
            )
        if self.distortion == "ms-ssim" and self.crop_size < SMALLEST_MS_SSIM_SIZE:
            raise ValueError(
                f"`crop_size` must be at least {SMALLEST_MS_SSIM_SIZE} for ms-ssim, 192 for "
                f"instance. Received: crop_size={self.crop_size}"
            )
        for name in ("annealing_start", "hard_fraction"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(
                    f"`{name}` must be in [0, 1). Received: {name}={getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"`seed` must be in [0, 2^32). Received: seed={self.seed}")
        for name in ("reconstruction_quantizer", "rate_quantizer"):
            if getattr(self, name) is not None:
                try:
                    layers.get(getattr(self, name))
                except (TypeError, ValueError) as error:
                    raise ValueError(f"`{name}` is no quantizer: {error}") from error
        for name in ("initial_temperature", "final_temperature"):
            check_temperature(getattr(self, name), name)
        if not self.final_temperature <= self.initial_temperature:
            raise ValueError(
                "`final_temperature` must be at most `initial_temperature`. Received: "
                f"{self.final_temperature} and {self.initial_temperature}"
            )
        if not 0.0 <= self.least_detail < math.inf:
            raise ValueError(
                "`least_detail` must be finite and not negative. "
                f"Received: least_detail={self.least_detail}"
            )
        if not 0.0 < self.learning_rate < math.inf:
            raise ValueError(
                f"`learning_rate` must be positive and finite. Received: {self.learning_rate}"
            )


def training_images(
    paths: Sequence, crop_size: int, skipped: list[str] | None = None
) -> list[np.ndarray]:
    """Decodes images that crops can be taken from.

    Args:
      paths: Image files, see `tfsq.codec.read_image`.
      crop_size: Smallest height and width that they may have.
      skipped: If a list, files that do not serve are left out, and why is appended to it.

    Returns:
      uint8 arrays [height, width, 3].

    Raises:
      ValueError: if no file serves; unless `skipped`, if one is not an image or smaller than a
        crop.
      OSError: unless `skipped`, if a file cannot be read.
    """
    images = []
    for path in paths:
        try:
            images.append(_training_image(path, crop_size))
        except (OSError, ValueError) as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    if not images:
        raise ValueError(f"No images to train on, of {len(paths)} files.")
    return images


def _training_image(path, crop_size: int) -> np.ndarray:
    image = read_image(path)
    height, width, _ = image.shape
    if min(height, width) < crop_size:
        raise ValueError(f"{path} is {width}x{height}, smaller than a crop of {crop_size}.")
    return image


def detail_of(pixels: np.ndarray) -> float:
    """Mean absolute difference between neighbors.

    Args:
      pixels: uint8 array [height, width, channels], at least 2 pixels high and wide.

    Returns:
      The mean over rows, columns and channels, on 0-255.
    """
    signed = pixels.astype(np.int16)
    return float(np.mean([np.abs(np.diff(signed, axis=axis)).mean() for axis in (0, 1)]))


def crops_dataset(
    images: Sequence[np.ndarray],
    crop_size: int,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
    least_detail: float = 0.0,
) -> tf.data.Dataset:
    """Random crops, flipped left-right at random, forever.

    Args:
      images: uint8 arrays [height, width, 3] of at least the size of a crop.
      crop_size: Height and width of the crops.
      batch_size: Crops per element.
      seed: Seed of images, places and flips.
      first_batch: Number of batches that are left out at the beginning.
      least_detail: Crops of less detail, see `detail_of`, are drawn again, up to three times.

    Returns:
      Dataset of uint8 tensors [batch_size, crop_size, crop_size, 3].
    """

    def draw(rng):
        image = images[rng.integers(len(images))]
        row, column = (rng.integers(size - crop_size + 1) for size in image.shape[:2])
        return image[row : row + crop_size, column : column + crop_size]

    def crop(number):
        # A generator of its own for each crop makes them the same however many threads there are.
        rng = np.random.default_rng((seed, number))
        window = draw(rng)
        for _ in range(_DRAWS_OF_A_CROP - 1):
            if not least_detail or detail_of(window) >= least_detail:
                break
            window = draw(rng)
        return window[:, ::-1] if rng.integers(2) else window

    def crop_tensor(number):
        window = tf.numpy_function(crop, [number], tf.uint8)
        return tf.ensure_shape(window, [crop_size, crop_size, 3])

    numbers = tf.data.Dataset.counter(first_batch * batch_size)
    crops = numbers.map(crop_tensor, num_parallel_calls=tf.data.AUTOTUNE)
    # Several workers share each batch; there are no files to share instead.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = crops.batch(batch_size, drop_remainder=True).with_options(options)
    return batches.prefetch(tf.data.AUTOTUNE)


def strategy_of(name: str) -> tf.distribute.Strategy:
    """The strategy of `tf.distribute` to train with.

    Args:
      name: "none"; "mirrored" for all GPUs of this machine; "multi_worker" for the machines that
        the environment variable `TF_CONFIG` lists, as the first thing that TensorFlow does in this
        process.

    Raises:
      ValueError: if there is no such name, or no `TF_CONFIG` for several machines.
    """
    if name not in _STRATEGIES:
        raise ValueError(f"`strategy` must be one of {list(_STRATEGIES)}. Received: {name!r}")
    if name == "multi_worker":
        try:
            json.loads(os.environ.get("TF_CONFIG", ""))
        except ValueError as error:
            raise ValueError(
                "`strategy` multi_worker needs JSON in the environment variable TF_CONFIG. "
                f"Received: {os.environ.get('TF_CONFIG')!r}"
            ) from error
    return _STRATEGIES[name]()


def _is_chief(strategy) -> bool:
    """Whether this process is the one that writes the files of the run."""
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().jobs if resolver else []
    if not jobs:
        return True
    return resolver.task_type == "chief" or ("chief" not in jobs and resolver.task_id == 0)


def _in_all_workers(strategy, value: int) -> set[int]:
    """What all the workers have called this with, which waits for the last of them."""

    @tf.function
    def gather():
        return strategy.gather(strategy.run(lambda: tf.constant([value])), axis=0)

    return set(gather().numpy().tolist())


def _lmbda_of_squared_error(settings) -> float:
    if settings.distortion == "mse":
        return settings.lmbda
    return settings.lmbda / _MS_SSIM_LMBDA


def build_model(settings: TrainingSettings) -> CompressionModel:
    """Builds and compiles the network that `settings` describe, with seeded weights.

    Args:
      settings: What to train.
    """
    tf.keras.utils.set_random_seed(settings.seed)
    reconstruction = layers.get(settings.reconstruction_quantizer)
    rate = settings.rate_quantizer
    of_hyperprior: dict[str, Any] = {
        name: value for name in _OF_HYPERPRIORS if (value := getattr(settings, name)) is not None
    }
    model = NETWORKS[settings.architecture](
        settings.num_filters,
        settings.num_latents,
        rate_quantizer=reconstruction if rate is None else layers.get(rate),
        reconstruction_quantizer=reconstruction,
        stop_gradient=settings.stop_gradient,
        shortcut=settings.shortcut,
        initial_lmbda=_lmbda_of_squared_error(settings),
        **of_hyperprior,
    )
    learning_rate = tf.keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.steps
    )
    # With the loss in pixel units, a step on a steep crop would undo many others.
    optimizer = tf.keras.optimizers.Adam(learning_rate, global_clipnorm=1.0)
    model.compile(optimizer, lmbda=settings.lmbda, distortion=settings.distortion)
    return model


def _soft_steps(settings) -> int:
    return max(1, round((1.0 - settings.hard_fraction) * settings.steps))


def _annealing(settings) -> TemperatureCallback:
    # One step is left to fall in, however late that is.
    first = min(round(settings.annealing_start * _soft_steps(settings)), _soft_steps(settings) - 1)
    fall = tf.keras.optimizers.schedules.ExponentialDecay(
        settings.initial_temperature,
        _soft_steps(settings) - first,
        settings.final_temperature / settings.initial_temperature,
    )
    return TemperatureCallback(
        lambda step: fall(max(0, step - first)), minimum=settings.final_temperature
    )


def _quantization_callbacks(model, settings) -> list[tf.keras.callbacks.Callback]:
    callbacks: list[tf.keras.callbacks.Callback] = []
    if any(isinstance(part, AnnealedQuantizer) for part in model.submodules):
        callbacks.append(_annealing(settings))
    if settings.hard_fraction:
        callbacks.append(SoftThenHard(_soft_steps(settings), freeze=model.encoder))
    return callbacks


def _recording_callbacks(output: pathlib.Path) -> list[tf.keras.callbacks.Callback]:
    return [
        tf.keras.callbacks.CSVLogger(str(output / _HISTORY), append=True),
        tf.keras.callbacks.TensorBoard(str(output / "logs"), profile_batch=0),
    ]


def _seed_noise(model, seed: int, step: int, strategy) -> None:
    """Another noise than at the beginning, but the same for all runs that start at this step."""
    for part in model.submodules:
        if isinstance(part, StochasticQuantizer) and part.generator is not None:
            # Farther than any step draws; replicas stay apart, as they would not by another seed.
            part.generator.skip(step << _NOISE_OF_A_STEP)
    resolver = strategy.cluster_resolver
    worker = (resolver.task_id if resolver else None) or 0
    # Replicas of one worker differ anyway, since each is traced apart.
    entropy = np.random.SeedSequence((seed, step), spawn_key=(worker,) if worker else ())
    tf.random.set_seed(int(entropy.generate_state(1)[0]))


def _settle(model, settings, step: int) -> None:
    """Makes the model what it is at a step, also where no batch of this call has."""
    quantizers = [part for part in model.submodules if isinstance(part, Quantizer)]
    for quantizer in quantizers:
        if isinstance(quantizer, AnnealedQuantizer):
            quantizer.temperature = _annealing(settings).temperature_at(step)
    if settings.hard_fraction and step >= _soft_steps(settings):
        for quantizer in quantizers:
            quantizer.hard = True
        for name in model.encoder:
            getattr(model, name).trainable = False


class _Checkpoints(tf.keras.callbacks.Callback):
    """Saves what a run continues from, at the end of every epoch, and stops a run that diverges.

    Trained weights and optimizer alone: temperature, noise, crops and what is frozen follow from
    the step, and another run, with other quantizers or another bound, can start from here.
    """

    def __init__(self, model: CompressionModel, folder: pathlib.Path, saves: bool):
        super().__init__()
        model.optimizer.build(model.trainable_variables)
        self.diverged = False
        self._saves = saves
        self._weights = model.trainable_variables
        # Of a shortcut: with another scale, its weights would be those of another network.
        scales = [part.scale for part in model.submodules if isinstance(part, DCTShortcut)]
        self._checkpoint = tf.train.Checkpoint(
            weights=self._weights, scales=scales, optimizer=model.optimizer
        )
        # All workers have to take part in creating a variable, and only one saves.
        _ = self._checkpoint.save_counter
        self._folder = str(folder)
        self._manager = tf.train.CheckpointManager(self._checkpoint, self._folder, max_to_keep=1)

    @property
    def latest(self) -> str | None:
        """The last checkpoint of this run, whichever worker wrote it."""
        return _latest(self._folder)

    def restore(self, start: pathlib.Path | None) -> None:
        """Restores the last checkpoint of this run, or else the one to start from."""
        path = self.latest
        if path is None and start is not None:
            path = _latest(start / _CHECKPOINTS)
        if path is None:
            return
        try:
            self._checkpoint.restore(path).assert_consumed()
        except (tf.errors.OpError, IndexError) as error:
            raise ValueError(f"The checkpoint {path} is damaged: {error}") from error

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            self.diverged = self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        # The last update may have broken what the losses before it do not show.
        if not all(np.isfinite(weight.numpy()).all() for weight in self._weights):
            self.diverged = self.model.stop_training = True
        # A callback may have stopped an epoch in the middle, where no run can begin.
        is_whole = int(self.model.optimizer.iterations.numpy()) % self.params["steps"] == 0
        if self._saves and is_whole and not self.diverged:
            self._manager.save()


def _latest(folder) -> str | None:
    path = tf.train.latest_checkpoint(str(folder))
    if path is None and (pathlib.Path(folder) / "checkpoint").exists():
        raise ValueError(f"The checkpoint in {folder} is damaged: files are missing.")
    return path


def _copy_of(model, settings) -> CompressionModel:
    """A copy that does not need the other workers, who would have to take part in saving."""
    copy = build_model(settings)
    for variable, value in zip(copy.variables, model.variables):
        variable.assign(value.numpy())
    return copy


def _identity(settings: TrainingSettings, images: list[np.ndarray], first_step: int | None) -> dict:
    """What a run has to share with what its folder holds."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr(image.shape).encode())
        digest.update(image.tobytes())
    return {
        **dataclasses.asdict(settings),
        "images": f"{len(images)} of digest {digest.hexdigest()[:16]}",
        "first_step": first_step,
        _CENTERED: True,
    }


def _written_settings(output: pathlib.Path) -> dict | None:
    file = output / _SETTINGS_FILE
    if not file.exists():
        return None
    try:
        written = dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if _CENTERED not in written:
        raise ValueError(
            f"{output} holds a run of an earlier build of tfsq, whose network sees pixels from 0 to"
            " 1. That build can go on with it; its model.keras and codec work here."
        )
    return written


def _check_same(identity: dict, output: pathlib.Path) -> None:
    before = _written_settings(output)
    if before is None:
        return
    changed = [name for name in identity if before.get(name) != identity[name]]
    if changed:
        raise ValueError(
            f"{output} holds a run with other settings: "
            + ", ".join(f"{name}={before.get(name)}, now {identity[name]}" for name in changed)
        )


def _write_settings(identity: dict, output: pathlib.Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with writing_whole(output / _SETTINGS_FILE) as file:
        file.write_text(json.dumps(identity, indent=2) + "\n")


def _forget_epochs(history: pathlib.Path, first: int) -> None:
    """Removes what a run that was killed wrote of epochs that it has to do again."""
    if not history.exists():
        return
    header, *rows = history.read_text().splitlines(keepends=True) or [""]
    if not header.endswith("\n"):
        history.unlink()
        return
    # A row that was being written has no end.
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) < first]
    with writing_whole(history) as file:
        file.write_text("".join((header, *kept)))


def _check_start(start: pathlib.Path, settings: TrainingSettings) -> None:
    before = _written_settings(start)
    if before is None or _latest(start / _CHECKPOINTS) is None:
        raise ValueError(f"`start` must be the folder of a run. Received: {start}")
    for name in ("architecture", "num_filters", "num_latents", "hyper_width", "shortcut"):
        there, here = before.get(name), getattr(settings, name)
        if there != here:
            raise ValueError(
                "`start` must be a run of the same network. Received: "
                f"{name}={there} in {start}, {here} in the settings"
            )


def _check_step(step: int, end: int, settings: TrainingSettings, begins: bool) -> None:
    if step % settings.steps_per_epoch or step > end or (begins and step == end):
        raise ValueError(
            f"The run cannot go from step {step} to step {end}: it must begin before its end, with "
            f"an epoch of `steps_per_epoch`. Received: steps_per_epoch={settings.steps_per_epoch}"
        )


def train(
    paths: Sequence,
    output,
    settings: TrainingSettings | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    start=None,
    stop: int | None = None,
    skipped: list[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> CompressionModel:
    """Trains a network, and exports it.

    The folder `output` receives `settings.json`, `checkpoints/` (one an epoch), `logs/` for
    TensorBoard, `history.csv` (a row an epoch: loss, bpp, mse, psnr, temperature,
    train_test_gap) and, at the end, `model.keras` and `codec/`, the SavedModel. A run that was
    interrupted continues from its last epoch, with the crops that come next, when called again with
    the same settings, and so does one that a callback of yours stopped.

    Args:
      paths: Image files to train on.
      output: Folder of the run.
      settings: What to train; the defaults if None.
      callbacks: Further Keras callbacks, to show progress for instance.
      start: Folder of a run of the same network, from whose last checkpoint this one begins:
        weights, the scale of a shortcut, optimizer and step. Its quantizers, its bound and its
        lambda may be others.
      stop: Step at which to stop, without exporting if it is not the last one; a multiple of
        `settings.steps_per_epoch`. Another run can start from there.
      skipped: See `training_images`. What a run skips, it skips when it is resumed, too.
      strategy: Where to train; None is the strategy in whose scope this is called. Its replicas
        share each batch, and each draws a noise of its own. With several workers, each calls this
        with the same arguments and sees the same `output`, which the chief alone writes to.

    Returns:
      The trained model.

    Raises:
      ValueError: if the images do not serve, `output` holds a run with other settings or images,
        or a damaged one, `start` none of the same network that stopped early enough, the batch
        cannot be shared evenly, or the workers do not see the same checkpoints.
      FloatingPointError: if the loss or a weight is not finite. The last good checkpoint stays.
    """
    settings = settings or TrainingSettings()
    output = pathlib.Path(output)
    if stop is not None and (not 0 < stop <= settings.steps or stop % settings.steps_per_epoch):
        raise ValueError(
            "`stop` must be a multiple of `steps_per_epoch` of at most `steps`. Received: "
            f"stop={stop}, {settings}"
        )
    strategy = strategy or tf.distribute.get_strategy()
    if settings.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"`batch_size` must be a multiple of the {strategy.num_replicas_in_sync} replicas. "
            f"Received: batch_size={settings.batch_size}"
        )
    _check_same(dataclasses.asdict(settings), output)
    images = training_images(paths, settings.crop_size, skipped)
    is_chief = _is_chief(strategy)
    with strategy.scope():
        model = build_model(settings)
        checkpoints = _Checkpoints(model, output / _CHECKPOINTS, is_chief)
        if start is not None:
            _check_start(pathlib.Path(start), settings)
        begins = checkpoints.latest is None
        checkpoints.restore(None if start is None else pathlib.Path(start))
    step, end = int(model.optimizer.iterations.numpy()), stop or settings.steps
    first_step = step if begins else (_written_settings(output) or {}).get("first_step")
    identity = _identity(settings, images, first_step)
    _check_same(identity, output)
    _check_step(step, end, settings, begins)
    _seed_noise(model, settings.seed, step, strategy)
    crops = functools.partial(
        crops_dataset,
        images,
        settings.crop_size,
        settings.batch_size,
        settings.seed,
        least_detail=settings.least_detail,
    )
    # What adds to the logs comes before what writes them.
    measuring = [TrainTestGap(next(iter(crops()))), *_quantization_callbacks(model, settings)]
    steps = _in_all_workers(strategy, step)
    if len(steps) > 1:
        raise ValueError(f"Every worker must see the checkpoints in {output}. Found: steps {steps}")
    if is_chief:
        # Not before everything that may refuse them has accepted them.
        _write_settings(identity, output)
        _forget_epochs(output / _HISTORY, step // settings.steps_per_epoch)
    model.fit(
        crops(step),
        steps_per_epoch=settings.steps_per_epoch,
        initial_epoch=step // settings.steps_per_epoch,
        epochs=end // settings.steps_per_epoch,
        verbose=0,
        callbacks=[
            *measuring,
            *(_recording_callbacks(output) if is_chief else []),
            checkpoints,
            *callbacks,
        ],
    )
    reached = int(model.optimizer.iterations.numpy())
    if checkpoints.diverged:
        good = checkpoints.latest or f"none, there is nothing in {output / _CHECKPOINTS} yet"
        raise FloatingPointError(
            f"The loss or a weight was not finite at step {reached} of {end}; the last good "
            f"checkpoint is {good}"
        )
    _settle(model, settings, reached)
    if reached == settings.steps and is_chief:
        saved = model if strategy.cluster_resolver is None else _copy_of(model, settings)
        _settle(saved, settings, reached)
        saved.save(output / "model.keras")
        export(saved, output / "codec")
    # The chief would take a worker that has gone for one that has failed.
    _in_all_workers(strategy, reached)
    return model
