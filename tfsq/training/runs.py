"""Training of a codec on a folder of images: resumable, with everything in one run folder."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tfsq.architectures import CompressionModel
from tfsq.callbacks import TrainTestGap
from tfsq.codec import export
from tfsq.training import distribution, run_folder
from tfsq.training.data import crops_dataset, training_images
from tfsq.training.settings import TrainingSettings, build_model, quantization_callbacks, settle


def _copy_of(model, settings) -> CompressionModel:
    """A copy that does not need the other workers, who would have to take part in saving."""
    copy = build_model(settings)
    for variable, value in zip(copy.variables, model.variables):
        variable.assign(value.numpy())
    return copy


def _recording_callbacks(output: pathlib.Path) -> list[tf.keras.callbacks.Callback]:
    return [
        tf.keras.callbacks.CSVLogger(str(output / run_folder.HISTORY), append=True),
        tf.keras.callbacks.TensorBoard(str(output / "logs"), profile_batch=0),
    ]


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
    run_folder.check_same(dataclasses.asdict(settings), output)
    images = training_images(paths, settings.crop_size, skipped)
    is_chief = distribution.is_chief(strategy)
    with strategy.scope():
        model = build_model(settings)
        checkpoints = run_folder.Checkpoints(model, output / run_folder.CHECKPOINTS, is_chief)
        if start is not None:
            run_folder.check_start(pathlib.Path(start), settings)
        begins = checkpoints.latest is None
        checkpoints.restore(None if start is None else pathlib.Path(start))
    step, end = int(model.optimizer.iterations.numpy()), stop or settings.steps
    first_step = step if begins else (run_folder.written_settings(output) or {}).get("first_step")
    identity = run_folder.identity(settings, images, first_step)
    run_folder.check_same(identity, output)
    _check_step(step, end, settings, begins)
    distribution.seed_noise(model, settings.seed, step, strategy)
    crops = functools.partial(
        crops_dataset,
        images,
        settings.crop_size,
        settings.batch_size,
        settings.seed,
        least_detail=settings.least_detail,
    )
    # What adds to the logs comes before what writes them.
    measuring = [TrainTestGap(next(iter(crops()))), *quantization_callbacks(model, settings)]
    steps = distribution.in_all_workers(strategy, step)
    if len(steps) > 1:
        raise ValueError(f"Every worker must see the checkpoints in {output}. Found: steps {steps}")
    if is_chief:
        # Not before everything that may refuse them has accepted them.
        run_folder.write_settings(identity, output)
        run_folder.forget_epochs(output / run_folder.HISTORY, step // settings.steps_per_epoch)
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
        good = (
            checkpoints.latest or f"none, there is nothing in {output / run_folder.CHECKPOINTS} yet"
        )
        raise FloatingPointError(
            f"The loss or a weight was not finite at step {reached} of {end}; the last good "
            f"checkpoint is {good}"
        )
    settle(model, settings, reached)
    if reached == settings.steps and is_chief:
        saved = model if strategy.cluster_resolver is None else _copy_of(model, settings)
        settle(saved, settings, reached)
        saved.save(output / "model.keras")
        export(saved, output / "codec")
    # The chief would take a worker that has gone for one that has failed.
    distribution.in_all_workers(strategy, reached)
    return model
