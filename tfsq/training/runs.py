"""Training of a codec on a folder of images: resumable, with everything in one run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfsq.architectures import NETWORKS, CompressionModel
from tfsq.architectures.distortions import distortion_of
from tfsq.callbacks import TrainTestGap
from tfsq.codec import CardFacts, export, write_model_card
from tfsq.files import name_for_tensorflow, writing_whole
from tfsq.training import distribution, run_folder
from tfsq.training.cards import card_facts
from tfsq.training.data import (
    CACHE_SIZE,
    TrainingImages,
    crops_dataset,
    training_images,
    validation_images,
)
from tfsq.training.history import History, forget_epochs
from tfsq.training.settings import TrainingSettings, apply_step, build_model, quantization_callbacks
from tfsq.training.time_limit import TimeLimit
from tfsq.training.validation import Validation


def _copy_of(model, settings) -> CompressionModel:
    """A copy that does not need the other workers, who would have to take part in saving."""
    copy = build_model(settings)
    for variable, value in zip(copy.variables, model.variables):
        variable.assign(value.numpy())
    return copy


def _recording_callbacks(output: pathlib.Path) -> list[tf.keras.callbacks.Callback]:
    return [
        History(output / run_folder.HISTORY),
        # Writing the graph takes so long that Keras warns of slow callbacks.
        tf.keras.callbacks.TensorBoard(
            str(output / run_folder.LOGS), write_graph=False, profile_batch=0
        ),
    ]


def _check_step(step: int, end: int, settings: TrainingSettings, begins: bool) -> None:
    is_between_epochs = step % settings.steps_per_epoch == 0 or step == end
    if not is_between_epochs or step > end or (begins and step == end):
        raise ValueError(
            f"The run cannot go from step {step} to step {end}: it must begin before its end, with "
            f"an epoch of `steps_per_epoch`. Received: steps_per_epoch={settings.steps_per_epoch}"
        )


def _check_arguments(settings: TrainingSettings, stop, strategy) -> None:
    if stop is not None and (not 0 < stop <= settings.steps or stop % settings.steps_per_epoch):
        raise ValueError(
            "`stop` must be a multiple of `steps_per_epoch` of at most `steps`. Received: "
            f"stop={stop}, {settings}"
        )
    if settings.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"`batch_size` must be a multiple of the {strategy.num_replicas_in_sync} replicas. "
            f"Received: batch_size={settings.batch_size}"
        )


def _kept_apart(paths: Sequence, images: TrainingImages, settings, on_skipped) -> list[np.ndarray]:
    """The images to validate with, if there are any."""
    if not paths:
        return []
    multiple = NETWORKS[settings.architecture].size_multiple
    smallest = distortion_of(settings.distortion).smallest_size
    return validation_images(paths, multiple, smallest, images.paths, on_skipped)


@contextlib.contextmanager
def _errors_of(images: TrainingImages) -> Iterator[None]:
    """Raises what ended the reading of images, and not what TensorFlow makes of it."""
    try:
        yield
    except tf.errors.OpError as error:
        raise images.error or error from error


def _epochs(step: int, end: int, length: int) -> Iterator[dict[str, int]]:
    """Arguments of `fit` for the whole epochs, and for a shorter one at the end."""
    whole = end // length
    if step // length < whole:
        yield {"steps_per_epoch": length, "initial_epoch": step // length, "epochs": whole}
    if end % length and step < end:
        yield {"steps_per_epoch": end % length, "initial_epoch": whole, "epochs": whole + 1}


def train(
    paths: Sequence,
    output,
    settings: TrainingSettings | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    start=None,
    stop: int | None = None,
    on_skipped: Callable[[str], None] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    cache_size: int = CACHE_SIZE,
    validation: Sequence = (),
    time_limit: float | None = None,
) -> CompressionModel:
    """Trains a network, and exports it.

    The folder `output` receives `settings.json`, `checkpoints/` (one an epoch), `logs/` for
    TensorBoard, `history.csv` (a row an epoch: loss, bpp, mse, psnr, temperature, train_test_gap,
    and with `validation` val_loss and others) and, at the end, `model.keras` and `codec/`, the
    SavedModel. A run that was interrupted continues from its last epoch, with the crops that come
    next, when called again with the same settings, and so does one that a callback of yours
    stopped. One process at a time works on a run.

    Args:
      paths: Image files to train on.
      output: Folder of the run.
      settings: What to train; the defaults if None.
      callbacks: Further Keras callbacks, to show progress for instance.
      start: Folder of a run of the same network, from whose last checkpoint this one begins:
        weights, the scale of a shortcut, optimizer and step. Its quantizers, its bound and its
        lambdas may be others. Or the folder of an exported codec, for its weights, at step 0.
      stop: Step at which to stop, without exporting if it is not the last one; a multiple of
        `settings.steps_per_epoch`. Another run can start from there.
      on_skipped: See `training_images`. What a run skips, it skips when it is resumed, too.
      strategy: Where to train; None is the strategy in whose scope this is called. Its replicas
        share each batch, and each draws a noise of its own. With several workers, each calls this
        with the same arguments and sees the same `output`, which the chief alone writes to.
      cache_size: Bytes of decoded images that are kept in memory; others are decoded again.
      validation: Image files to evaluate at the end of each epoch, see `Validation`: the middle of
        each, of at most 256x256 pixels. They are no part of the run, which may be continued with
        others or without.
      time_limit: Minutes after which to stop, at the end of the epoch in which they have passed,
        without exporting if it is not the last one.

    Returns:
      The trained model.

    Raises:
      ValueError: if the images do not serve, or one to validate with is also one to train on,
        `output` holds a run with other settings or images,
        or a damaged one, or is worked on by another process, `start` none of the same network that
        stopped early enough, the batch cannot be shared evenly, or the workers do not see the same
        checkpoints.
      FloatingPointError: if the loss or a weight is not finite. The last good checkpoint stays.
    """
    settings = settings or TrainingSettings()
    output = pathlib.Path(output)
    strategy = strategy or tf.distribute.get_strategy()
    _check_arguments(settings, stop, strategy)
    limits = [] if time_limit is None else [TimeLimit(time_limit, strategy)]
    run_folder.check_same(dataclasses.asdict(settings), output)
    images = training_images(paths, settings.crop_size, on_skipped, cache_size)
    kept_apart = _kept_apart(validation, images, settings, on_skipped)
    alone = (
        run_folder.locked(output) if distribution.is_chief(strategy) else contextlib.nullcontext()
    )
    with alone, name_for_tensorflow(output) as folder, _errors_of(images):
        run = _Run(images, folder, settings, strategy)
        run.begin(None if start is None else pathlib.Path(start), stop or settings.steps, output)
        run.fit([*callbacks, *limits], kept_apart)
        return run.finish()


class _Run:
    """A run from its last checkpoint to its end."""

    def __init__(self, images, folder: pathlib.Path, settings: TrainingSettings, strategy):
        self._folder, self._settings, self._strategy = folder, settings, strategy
        self._images = images
        self._is_chief = distribution.is_chief(strategy)
        with strategy.scope():
            self.model = build_model(settings)
            place = folder / run_folder.CHECKPOINTS
            self._checkpoints = run_folder.Checkpoints(self.model, place, self._is_chief)
        self._step = self._end = 0

    def _reached(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def begin(self, start: pathlib.Path | None, end: int, output: pathlib.Path) -> None:
        """Restores what there is, and checks that it is of this run."""
        settings, checkpoints = self._settings, self._checkpoints
        with self._strategy.scope():
            if start is not None:
                run_folder.check_start(start, settings)
            begins = checkpoints.latest is None
            checkpoints.restore(start)
        self._step, self._end = self._reached(), end
        written = run_folder.written_settings(output) or {}
        began = (written.get("first_step"), written.get(run_folder.START_CODEC))
        if begins:
            origin = run_folder.origin_of(start)
            if written and began[1] != origin:
                raise ValueError(
                    f"The run in {output} has no checkpoint yet, so `start` must be what it began "
                    f"with: codec {began[1]}. Received: {start}, codec {origin}"
                )
            began = self._step, origin
        identity = run_folder.identity(settings, self._images.paths, *began)
        run_folder.check_same(identity, output)
        _check_step(self._step, end, settings, begins)
        steps = distribution.in_all_workers(self._strategy, self._step)
        if len(steps) > 1:
            raise ValueError(
                f"Every worker must see the checkpoints in {output}. Found: steps {steps}"
            )
        distribution.seed_noise(self.model, settings.seed, self._step, self._strategy)
        if self._is_chief:
            # Not before everything that may refuse them has accepted them.
            run_folder.write_settings(identity, output)
            epoch = -(-self._step // settings.steps_per_epoch)
            forget_epochs(output / run_folder.HISTORY, epoch)

    def fit(self, callbacks: Sequence, kept_apart: Sequence) -> None:
        """Trains to the end, or to where a callback stops it."""
        settings = self._settings
        crops = functools.partial(
            crops_dataset,
            self._images,
            settings.crop_size,
            settings.batch_size,
            settings.seed,
            least_detail=settings.least_detail,
        )
        chain = [
            # What adds to the logs comes before what writes them.
            TrainTestGap(next(iter(crops()))),
            *quantization_callbacks(self.model, settings),
            *self._validation_callbacks(kept_apart),
            *(_recording_callbacks(self._folder) if self._is_chief else []),
            self._checkpoints,
            *callbacks,
        ]
        for epochs in _epochs(self._step, self._end, settings.steps_per_epoch):
            self.model.fit(
                crops(self._reached()), **epochs, verbose=0, shuffle=False, callbacks=chain
            )
            if self.model.stop_training:
                break

    def _validation_callbacks(self, images: Sequence) -> list[Validation]:
        # Keras writes the figures to a folder beside it.
        place = self._folder / run_folder.LOGS / "pictures" if self._is_chief else None
        return [Validation(images, place)] if images else []

    def finish(self) -> CompressionModel:
        """Exports a run that has reached its end; the model."""
        reached = self._reached()
        self._check_finite(reached)
        apply_step(self.model, self._settings, reached)
        if reached == self._settings.steps and self._is_chief:
            is_alone = self._strategy.cluster_resolver is None
            saved = self.model if is_alone else _copy_of(self.model, self._settings)
            write_model(saved, self._settings, reached, self._folder)
        # The chief would take a worker that has gone for one that has failed.
        distribution.in_all_workers(self._strategy, reached)
        return self.model

    def _check_finite(self, reached: int) -> None:
        if not self._checkpoints.diverged:
            return
        place = self._folder / run_folder.CHECKPOINTS
        good = self._checkpoints.latest or f"none, there is nothing in {place} yet"
        raise FloatingPointError(
            f"The loss or a weight was not finite at step {reached} of {self._end}; the last good "
            f"checkpoint is {good}"
        )


def write_model(
    model: CompressionModel,
    settings: TrainingSettings,
    step: int,
    folder: pathlib.Path,
    facts: CardFacts | None = None,
) -> bool:
    """Writes `model.keras` and the codec of a run, with its card, as they are at a step.

    Args:
      model: Of `build_model`.
      settings: Of the run.
      step: Optimizer step that it has reached.
      folder: Of the run, by a name that TensorFlow takes.
      facts: For the card, see `export_run`.

    Returns:
      Whether the card was written.
    """
    apply_step(model, settings, step)
    with writing_whole(folder / run_folder.MODEL) as file:
        model.save(file)
    place = folder / run_folder.CODEC
    model_hash = export(model, place)["model_hash"]
    return write_model_card(place, card_facts(settings, step, folder, model_hash, facts))


def export_run(output, facts: CardFacts | None = None) -> dict:
    """Writes the `model.keras` and the codec of a run as they are at its last checkpoint.

    A run that was interrupted can still be continued by `train`.

    Args:
      output: Folder of the run.
      facts: What the card of the codec is to say that the run does not know: a license, whose the
        images are, figures. The run keeps them in its `card.json`, beside those given earlier, and
        later exports say them again; figures hold for these weights alone.

    Returns:
      Dict with "step", which the run has reached, "steps", which it was to have, and "card",
      whether the card was written: one that somebody edited stays as it is.

    Raises:
      ValueError: if there is no run, it has no checkpoint yet, another process works on it, or its
        `card.json` is damaged.
    """
    output = pathlib.Path(output)
    settings = run_folder.settings_of(output)
    with run_folder.locked(output), name_for_tensorflow(output) as folder:
        model = build_model(settings)
        checkpoints = run_folder.Checkpoints(model, folder / run_folder.CHECKPOINTS, saves=False)
        if checkpoints.latest is None:
            raise ValueError(f"The run in {output} has no checkpoint yet.")
        checkpoints.restore(None)
        step = int(model.optimizer.iterations.numpy())
        written = write_model(model, settings, step, folder, facts)
    return {"step": step, "steps": settings.steps, "card": written}
