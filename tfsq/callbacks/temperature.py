"""A callback that lowers the temperature of annealed quantizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsq.layers import AnnealedQuantizer
from tfsq.layers.base import check_temperature


class _ReportingTrainFunction:
    """A model's training function that adds the temperatures to its logs.

    Callbacks see only the logs of those listed before them, but all see the logs of the training
    function. One such object serves all temperature callbacks of a call of `fit`.
    """

    def __init__(self, model):
        self.train_function = model.train_function
        self.temperatures: dict[str, tf.Variable] = {}
        self._model, self._history = model, model.history

    @property
    def is_current(self) -> bool:
        """Whether this belongs to the running `fit`; one that was interrupted leaves it behind."""
        return self._model.history is self._history

    def __call__(self, iterator):
        temperatures = self.temperatures if self.is_current else {}
        reports = {name: tf.convert_to_tensor(value) for name, value in temperatures.items()}
        return {**self.train_function(iterator), **reports}


class TemperatureCallback(tf.keras.callbacks.Callback):
    """Sets the temperature from a schedule, before each execution of `model.fit`.

    The step is the optimizer's, so that a resumed run continues where it stopped. With
    `steps_per_execution > 1` the temperature is constant within an execution. It appears under
    `name` in the logs that all callbacks receive, whatever their order: the progress bar,
    History and TensorBoard show it.

    Example:

    >>> schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 1000, 0.5)
    >>> callback = TemperatureCallback(schedule, minimum=0.05)

    Args:
      schedule: Callable step -> temperature. Keras' learning-rate schedules are such callables;
        several of them end at exactly 0, for which `minimum` is meant.
      layers: The annealed layers to set; None finds all of them in the model, also in nested
        models and entropy models.
      minimum: Lower clamp of the temperature, in (0, 1]; None does not clamp.
      name: Name in the logs.

    Raises:
      TypeError: if `schedule` is not callable or a layer is not annealed.
      ValueError: if `minimum` is not in (0, 1]; when training starts, if the model has no
        annealed layer, if another such callback has the same `name`, or if the schedule leaves
        (0, 1] at the first or last planned step.
    """

    def __init__(
        self,
        schedule: Callable,
        layers: Sequence[AnnealedQuantizer] | None = None,
        minimum: float | None = None,
        name: str = "temperature",
    ):
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"`schedule` must be a callable of the step. Received: {schedule!r}")
        for layer in layers or ():
            if not isinstance(layer, AnnealedQuantizer):
                raise TypeError(f"`layers` must be annealed quantizers. Received: {layer!r}")
        self.schedule = schedule
        self.layers = None if layers is None else list(layers)
        self.minimum = None if minimum is None else check_temperature(minimum, "minimum")
        self.name = name
        self._annealed: list[AnnealedQuantizer] = []
        self._planned, self._epoch = False, 0

    def temperature_at(self, step: int) -> float:
        """Returns the temperature at a step, clamped and checked.

        Args:
          step: Optimizer step.

        Raises:
          ValueError: if the schedule leaves (0, 1] there and `minimum` does not mend it.
        """
        value = float(self.schedule(step))
        if self.minimum is not None:
            value = max(value, self.minimum)
        return check_temperature(value, f"schedule({step})")

    def on_train_begin(self, logs=None):
        self._annealed = self._find_layers()
        if not self._annealed:
            raise ValueError(
                f"TemperatureCallback {self.name!r} found no annealed quantizer layer in model "
                f"{self.model.name!r}."
            )
        self._planned = False
        self._report_temperature()

    def on_train_end(self, logs=None):
        self._stop_reporting()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        # Only here the restored step and the place in the planned run are known.
        if not self._planned:
            self._planned = True
            self._check_plan(batch)
        temperature = self.temperature_at(self._step())
        for layer in self._annealed:
            layer.temperature = temperature

    def _find_layers(self):
        if self.layers is not None:
            return self.layers
        return [part for part in self.model.submodules if isinstance(part, AnnealedQuantizer)]

    def _step(self):
        return int(self.model.optimizer.iterations.numpy())

    def _check_plan(self, batch):
        first = self._step()
        self.temperature_at(first)
        steps = self.params.get("steps")
        if steps is not None:
            planned = (self.params["epochs"] - self._epoch) * steps - batch
            self.temperature_at(first + planned - 1)

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
        reporting.temperatures[self.name] = self._annealed[0].temperature

    def _stop_reporting(self):
        if isinstance(self.model.train_function, _ReportingTrainFunction):
            self.model.train_function = self.model.train_function.train_function
