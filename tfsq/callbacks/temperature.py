"""A callback that lowers the temperature of annealed quantizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsq.callbacks.steps import StepReader
from tfsq.layers import AnnealedQuantizer, find
from tfsq.layers.checks import check_temperature


class _ReportingTrainFunction:
    """A model's training function that adds the temperatures to its logs.

    Callbacks see only the logs of those listed before them, but all see the logs of the training
    function. One such object serves all temperature callbacks of a call of `fit`.
    """

    def __init__(self, model):
        self.train_function = model.train_function
        self.temperatures: dict[str, tf.Variable] = {}
        # What is set by one of the callbacks already: layers, by identity, and attributes.
        self.taken: set[tuple[int, str]] = set()
        self._model, self._history = model, model.history

    @property
    def is_current(self) -> bool:
        """Whether this belongs to the running `fit`; one that was interrupted leaves it behind."""
        return self._model.history is self._history

    def __call__(self, iterator):
        temperatures = self.temperatures if self.is_current else {}
        reports = {name: tf.convert_to_tensor(value) for name, value in temperatures.items()}
        return {**self.train_function(iterator), **reports}


def replace_train_function(model) -> None:
    """Traces the training function anew, in the middle of `fit`; what is reported stays.

    Args:
      model: Keras model that is being fitted; nothing happens to one that is trained otherwise.
    """
    if getattr(model, "train_function", None) is None:
        return
    reporting = model.train_function
    model.make_train_function(force=True)
    if isinstance(reporting, _ReportingTrainFunction):
        reporting.train_function = model.train_function
        model.train_function = reporting


class TemperatureCallback(tf.keras.callbacks.Callback):
    """Sets the temperature, or another annealed weight, from a schedule during `model.fit`.

    It does so before each execution. The step is the optimizer's, so that a resumed run continues
    where it stopped. With `steps_per_execution > 1` the temperature is constant within an
    execution. It appears under `name` in the logs that all callbacks receive, whatever their order:
    the progress bar, History and TensorBoard show it. In a loop of your own, call it through Keras'
    `CallbackList`; logs are then yours.

    Example:

    >>> schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 1000, 0.5)
    >>> callback = TemperatureCallback(schedule, minimum=0.05)

    Args:
      schedule: Callable step -> temperature. Keras' learning-rate schedules are such callables;
        several of them end at exactly 0, for which `minimum` is meant.
      layers: The annealed layers to set; None finds all of them in the model, also in nested
        models and entropy models.
      minimum: Lower clamp, in the domain of the attribute; None does not clamp.
      name: Name in the logs; that of the attribute if None.
      attribute: What to anneal, "temperature" or "shape" for instance. Two callbacks for two
        attributes may run side by side.
      optimizer: The optimizer that trains, where it is not `model.optimizer`: of a GAN's generator
        for instance.
      step: Callable that returns the step, where no optimizer counts it.

    Raises:
      TypeError: if `schedule` or `step` is not callable, a layer is not annealed, or `optimizer`
        counts no `iterations`.
      ValueError: if one of `layers` has no such attribute; when training starts, if the model has
        no layer with it, if `minimum` is outside of its domain, (0, 1] for the temperature, if
        another such callback has the same `name` or sets the same attribute of a layer, or if the
        schedule leaves the domain at the first or last planned step, which for a `train_step` of
        the model's own is known after two steps; at the end of an epoch in which the step did not
        move; if both `optimizer` and `step` are given.
    """

    def __init__(
        self,
        schedule: Callable,
        layers: Sequence[AnnealedQuantizer] | None = None,
        minimum: float | None = None,
        name: str | None = None,
        attribute: str = "temperature",
        optimizer=None,
        step: Callable[[], int] | None = None,
    ):
        super().__init__()
        self._step = StepReader(optimizer, step)
        if not callable(schedule):
            raise TypeError(f"`schedule` must be a callable of the step. Received: {schedule!r}")
        for layer in layers or ():
            if not isinstance(layer, AnnealedQuantizer):
                raise TypeError(f"`layers` must be annealed quantizers. Received: {layer!r}")
            if attribute not in layer.annealed_attributes:
                raise ValueError(
                    f"`attribute` must be one of {sorted(layer.annealed_attributes)} for layer "
                    f"{layer.name!r}. Received: attribute={attribute!r}"
                )
        self.schedule = schedule
        self.layers = None if layers is None else list(layers)
        self.minimum = minimum
        self.attribute = attribute
        self.name = attribute if name is None else name
        self._annealed: list[AnnealedQuantizer] = list(layers or ())
        self._planned, self._epoch = False, 0
        self._seen: list[tuple[int, int]] = []
        # What Keras tells of a `fit`, and a loop of one's own need not.
        self.params: dict = {}
        if attribute == "temperature":
            self._check(minimum, "minimum")

    def temperature_at(self, step: int) -> float:
        """Returns the temperature, or what else is annealed, at a step; clamped and checked.

        The domain of another attribute than the temperature is known once training has begun, or
        `apply` was called.

        Args:
          step: Optimizer step.

        Raises:
          ValueError: if the schedule leaves the domain there and `minimum` does not mend it.
        """
        value = float(self.schedule(step))
        if self.minimum is not None:
            value = max(value, self.minimum)
        return self._check(value, f"schedule({step})")

    def apply(self, model: tf.keras.Model, step: int) -> None:
        """Makes a model what it is at a step of training, without training.

        Args:
          model: Keras model; one without such layers stays as it is.
          step: Optimizer step.

        Raises:
          ValueError: as `temperature_at`.
        """
        self._annealed = self._layers_of(model)
        self._set(step)

    def on_train_begin(self, logs=None):
        self._step.begin(self.model)
        self._annealed = self._layers_of(self.model)
        if not self._annealed:
            raise ValueError(
                f"TemperatureCallback {self.name!r} found no annealed quantizer layer with the "
                f"attribute {self.attribute!r} in model {self.model.name!r}."
            )
        self._check(self.minimum, "minimum")
        self._planned, self._seen = False, []
        # Absent in a loop of the user's own.
        if getattr(self.model, "train_function", None) is not None:
            self._report_temperature()

    def on_train_end(self, logs=None):
        self._stop_reporting()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._step.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        self._step.end_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        self._step.begin_batch()
        if not self._planned:
            self._plan(batch)
        self._set(self._step())

    def _set(self, step):
        temperature = self.temperature_at(step)
        for layer in self._annealed:
            setattr(layer, self.attribute, temperature)

    def _layers_of(self, model):
        if self.layers is not None:
            return self.layers
        annealed = find(model, AnnealedQuantizer)
        return [layer for layer in annealed if self.attribute in layer.annealed_attributes]

    def _check(self, value, name):
        """Returns a value in the domain of the attribute; None passes."""
        if value is None:
            return None
        checks = [layer.annealed_attributes[self.attribute] for layer in self._annealed]
        if not checks and self.attribute == "temperature":
            checks = [check_temperature]
        for check in checks:
            value = check(value, name)
        return value

    def _plan(self, batch):
        """Checks the schedule at the last step, once it is known which one that is."""
        # Only here the restored step and the place in the planned run are known.
        if self._step.is_once_a_batch:
            self._planned = True
            self._check_plan(batch, 1.0)
            return
        # Gradients may be accumulated over batches: what lies between two steps is whole.
        step, number = self._step(), self._batches_until(self._epoch, batch)
        if not self._seen or step != self._seen[-1][0]:
            self._seen.append((step, number))
        if len(self._seen) == 3:
            self._planned = True
            (before, first), (after, last) = self._seen[1:]
            self._check_plan(batch, (after - before) / max(1, last - first))

    def _batches_until(self, epoch, batch):
        return epoch * (self.params.get("steps") or 0) + batch

    def _check_plan(self, batch, steps_per_batch):
        self.temperature_at(self._step())
        steps = self.params.get("steps")
        if steps is not None and "epochs" in self.params:
            left = self._batches_until(self.params["epochs"], 0)
            left -= self._batches_until(self._epoch, batch)
            self.temperature_at(self._step() + max(0, math.ceil(left * steps_per_batch) - 1))

    def _report_temperature(self):
        reporting = self.model.train_function
        if not (isinstance(reporting, _ReportingTrainFunction) and reporting.is_current):
            self._stop_reporting()
            reporting = self.model.train_function = _ReportingTrainFunction(self.model)
        if self.name in reporting.temperatures:
            raise ValueError(
                f"Two TemperatureCallbacks of one `fit` have the name {self.name!r}; give each "
                "another `name`."
            )
        for layer in self._annealed:
            if (id(layer), self.attribute) in reporting.taken:
                raise ValueError(
                    f"Two TemperatureCallbacks of one `fit` set {self.attribute!r} of layer "
                    f"{layer.name!r}."
                )
            reporting.taken.add((id(layer), self.attribute))
        reporting.temperatures[self.name] = getattr(self._annealed[0], self.attribute)

    def _stop_reporting(self):
        reporting = getattr(self.model, "train_function", None)
        if isinstance(reporting, _ReportingTrainFunction):
            self.model.train_function = reporting.train_function
