"""The folder of a run: what it is a run of, its checkpoints, its lock."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfsq import codec, layers
from tfsq.architectures import CompressionModel, DCTShortcut
from tfsq.codec.saved_model import METADATA_FILE, read_metadata
from tfsq.files import check_is_no_file, name_for_tensorflow, writing_whole
from tfsq.training.data import digest_of
from tfsq.training.settings import TrainingSettings

# What a run of an earlier build does not say: that its network sees centered pixels.
_CENTERED = "centered"
# What settings were before they were some, where it is not their default.
_BEFORE = {"annealing_start": 0.0}
_SETTINGS_FILE, CHECKPOINTS, HISTORY = "settings.json", "checkpoints", "history.csv"
# The codec that a run began with, by the hash of its model.
START_CODEC = "start_codec"
_OF_NETWORK = ("architecture", "num_filters", "num_latents", "hyper_width", "shortcut")
_RUNGS = "number of lmbdas"
MODEL, CODEC, CARD, LOGS, _LOCK = "model.keras", "codec", "card.json", "logs", ".lock"


class Checkpoints(tf.keras.callbacks.Callback):
    """Saves what a run continues from, at the end of every epoch, and stops a run that diverges.

    Trained weights and optimizer alone: temperature, noise, crops and what is frozen follow from
    the step, and another run, with other quantizers or another bound, can start from here.
    """

    def __init__(self, model: CompressionModel, folder: pathlib.Path, saves: bool):
        super().__init__()
        model.optimizer.build(model.trainable_variables)
        self.diverged = False
        self._saves, self._batches = saves, 0
        self._weights = model.trainable_variables
        # Of a shortcut: with another scale, its weights would be those of another network.
        self._scales = [part.scale for part in layers.find(model, DCTShortcut)]
        self._checkpoint = tf.train.Checkpoint(
            weights=self._weights, scales=self._scales, optimizer=model.optimizer
        )
        # All workers have to take part in creating a variable, and only one saves.
        _ = self._checkpoint.save_counter
        self._folder = str(folder)
        self._manager = tf.train.CheckpointManager(self._checkpoint, self._folder, max_to_keep=1)

    @property
    def latest(self) -> str | None:
        """The last checkpoint of this run, whichever worker wrote it."""
        return latest(self._folder)

    def restore(self, start: pathlib.Path | None) -> None:
        """Restores the last checkpoint of this run, or else the one to start from."""
        if self.latest is not None:
            self._restore(self.latest)
        elif start is not None and is_codec(start):
            self._copy(codec.load(start).network)
        elif start is not None:
            with name_for_tensorflow(start) as folder:
                self._restore(latest(folder / CHECKPOINTS))

    def _copy(self, network: CompressionModel) -> None:
        """Takes the weights of a network without those of its optimizer."""
        scales = [part.scale for part in layers.find(network, DCTShortcut)]
        ours, theirs = [*self._weights, *self._scales], [*network.trainable_variables, *scales]
        if [variable.shape for variable in ours] != [variable.shape for variable in theirs]:
            raise ValueError("`start` must be of the same network. Received: other shapes.")
        for variable, value in zip(ours, theirs):
            variable.assign(value)

    def _restore(self, path: str | None) -> None:
        try:
            self._checkpoint.restore(path).assert_consumed()
        except (tf.errors.OpError, IndexError) as error:
            raise ValueError(f"The checkpoint {path} is damaged: {error}") from error

    def on_epoch_begin(self, epoch, logs=None):
        self._batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self._batches = batch + 1
        if not math.isfinite(logs["loss"]):
            self.diverged = self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        # The last update may have broken what the losses before it do not show.
        if not all(np.isfinite(weight.numpy()).all() for weight in self._weights):
            self.diverged = self.model.stop_training = True
        # A callback may have stopped an epoch in the middle, where no run can begin.
        is_whole = self._batches == self.params["steps"]
        if self._saves and is_whole and not self.diverged:
            self.save()

    def save(self) -> None:
        """Saves a checkpoint, and forgets the one before."""
        self._manager.save()


def latest(folder) -> str | None:
    """The last checkpoint in a folder, None if there is none.

    Args:
      folder: Folder of checkpoints.

    Raises:
      ValueError: if it lists one that is not there.
    """
    path = tf.train.latest_checkpoint(str(folder))
    if path is None and (pathlib.Path(folder) / "checkpoint").exists():
        raise ValueError(f"The checkpoint in {folder} is damaged: files are missing.")
    return path


def identity(
    settings: TrainingSettings, paths: Sequence, first_step: int | None, origin: str | None
) -> dict:
    """What a run has to share with what its folder holds.

    Args:
      settings: Of the run.
      paths: Files of the images that it is trained on.
      first_step: Step at which it began, or None where that is not known.
      origin: See `origin_of`.
    """
    return {
        **dataclasses.asdict(settings),
        "images": f"{len(paths)} files of digest {digest_of(paths)[:16]}",
        "first_step": first_step,
        START_CODEC: origin,
        _CENTERED: True,
    }


@contextlib.contextmanager
def locked(output: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out of the folder of a run; the system forgets one that is killed.

    Args:
      output: Folder of the run, created if need be; it goes again if nothing is put into it.

    Raises:
      OSError: if it is a file.
      ValueError: if another process has it, or it holds what is not of a run.
    """
    check_is_no_file(output)
    _check_is_run(output)
    is_new = not output.exists()
    lock = output / _LOCK
    with _locked_file(lock, output):
        try:
            yield
        finally:
            if list(output.iterdir()) == [lock]:
                lock.unlink()
                if is_new:
                    # Unless another process has it by now.
                    with contextlib.suppress(OSError):
                        output.rmdir()


def _locked_file(lock: pathlib.Path, output: pathlib.Path):
    """Opens and locks the file of that name, and none that another process has taken away."""
    while True:
        output.mkdir(parents=True, exist_ok=True)
        # Whoever leaves takes file and folder away, at any moment in between.
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as stack:
            opened = stack.enter_context(lock.open("a"))
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"Another process works on the run in {output}.") from error
            if os.path.samestat(os.fstat(opened.fileno()), lock.stat()):
                stack.pop_all()
                return opened


def _check_is_run(output: pathlib.Path) -> None:
    """Raises ValueError if a run would overwrite what is not of a run."""
    if (output / _SETTINGS_FILE).exists():
        return
    others = [n for n in (HISTORY, MODEL, CODEC, CHECKPOINTS, LOGS) if (output / n).exists()]
    if others:
        raise ValueError(
            f"{output} is not the folder of a run, and has what one would overwrite: {others}"
        )


def written_settings(output: pathlib.Path) -> dict | None:
    """What `write_settings` wrote, None if there is nothing.

    Args:
      output: Folder of the run.

    Raises:
      ValueError: if the file is damaged, or of a build whose networks see other pixels.
    """
    file = output / _SETTINGS_FILE
    if not file.exists():
        return None
    try:
        written = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(written, dict):
        raise ValueError(f"{file} is damaged: it holds no settings.")
    if _CENTERED not in written:
        raise ValueError(
            f"{output} holds a run of an earlier build of tfsq, whose network sees pixels from 0 to"
            " 1. That build can go on with it; its model.keras and codec work here."
        )
    return written


def settings_of(output: pathlib.Path) -> TrainingSettings:
    """The settings of the run in a folder.

    Args:
      output: Folder of the run.

    Raises:
      ValueError: if there is no run, or it is as `written_settings` refuses.
    """
    written = written_settings(output)
    if written is None:
        raise ValueError(f"Not the folder of a run: {output}")
    known = {field.name for field in dataclasses.fields(TrainingSettings)}
    try:
        found = {name: written[name] for name in known & set(written)}
        return TrainingSettings(**{**_BEFORE, **found})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{output / _SETTINGS_FILE} is damaged: {error}") from error


def check_same(identity: dict, output: pathlib.Path) -> None:
    """Checks that a folder holds nothing, or the same run.

    Args:
      identity: What `identity` returned, or a part of it.
      output: Folder of the run.

    Raises:
      ValueError: if it holds another run.
    """
    before = written_settings(output)
    if before is None:
        return
    before = {**dataclasses.asdict(TrainingSettings()), **_BEFORE, **before}
    changed = [name for name in identity if before.get(name) != identity[name]]
    if changed:
        raise ValueError(
            f"{output} holds a run with other settings: "
            + ", ".join(f"{name}={before.get(name)}, now {identity[name]}" for name in changed)
            + ". To go on from it, train its network with another `output`, and with it as `start`."
        )


def write_settings(identity: dict, output: pathlib.Path) -> None:
    """Writes what a run is a run of.

    Args:
      identity: What `identity` returned.
      output: Folder of the run.
    """
    output.mkdir(parents=True, exist_ok=True)
    with writing_whole(output / _SETTINGS_FILE) as file:
        file.write_text(json.dumps(identity, indent=2) + "\n")


def is_codec(start: pathlib.Path) -> bool:
    """Whether a folder is that of an exported codec, and not of a run.

    Args:
      start: The folder.
    """
    return (start / METADATA_FILE).exists()


def origin_of(start: pathlib.Path | None) -> str | None:
    """The hash of the codec that a run begins with, itself or the run before; None without one.

    Args:
      start: See `train`; `check_start` has accepted it.
    """
    if start is None:
        return None
    if is_codec(start):
        return read_metadata(start)["model_hash"]
    return (written_settings(start) or {}).get(START_CODEC)


def check_start(start: pathlib.Path, settings: TrainingSettings) -> None:
    """Checks that a run can begin from another, or from a codec.

    Args:
      start: Folder of the run or of the codec to start from.
      settings: Of the run that starts.

    Raises:
      ValueError: if it is neither, or of another network.
      ModelError: if it is a codec whose metadata are damaged.
    """
    before, here = network_of(start), dataclasses.asdict(settings)
    for network in (before, here):
        # A ladder has as many gains as lambdas, which may be others.
        network[_RUNGS] = len(network["lmbdas"] or ())
    other = [name for name in (*_OF_NETWORK, _RUNGS) if before[name] != here[name]]
    if other:
        found = ", ".join(f"{name}={before[name]}, here {here[name]}" for name in other)
        raise ValueError(
            f"`start` must be a run or a codec of the same network. Received: {start} with {found}"
        )


def network_of(start: pathlib.Path) -> dict:
    """Returns the settings of a run or of a codec that make its network and its loss.

    Args:
      start: Folder of a run that has a checkpoint, or of a codec.

    Raises:
      ValueError: if it is neither, or of an earlier build whose networks see other pixels.
      ModelError: if it is a codec whose metadata are damaged.
    """
    start = pathlib.Path(start)
    found = _settings_of_codec(start) if is_codec(start) else _settings_of_start(start)
    lmbdas = found.get("lmbdas")
    loss = {"lmbda": None if lmbdas else found["lmbda"], "lmbdas": lmbdas}
    loss["distortion"] = found.get("distortion", "mse")
    return {**{name: found.get(name) for name in _OF_NETWORK}, **loss}


def _settings_of_codec(start: pathlib.Path) -> dict:
    metadata = read_metadata(start)
    found = {**metadata["config"], **metadata}
    if not found.get(_CENTERED):
        raise ValueError(
            "`start` must be of a network that sees pixels from -1/2 to 1/2. "
            f"Received: {start}, which sees 0 to 1."
        )
    return found


def _settings_of_start(start: pathlib.Path) -> dict:
    with name_for_tensorflow(start) as folder:
        has_checkpoint = latest(folder / CHECKPOINTS) is not None
    if written_settings(start) is None or not has_checkpoint:
        raise ValueError(f"`start` must be the folder of a run, or of a codec. Received: {start}")
    return dataclasses.asdict(settings_of(start))
