"""At which step a training is: by its optimizer, or by what its user says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfsq._keras import leaves_steps_out

# Their `train_step` applies the model's optimizer once a batch.
_KNOWN = ("keras", "tfsq")


class StepReader:
    """The step that callbacks go by, and whether it moves.

    Args:
      optimizer: The optimizer whose `iterations` are the step; None for that of the model.
      step: Callable that returns the step, for loops that no optimizer counts.

    Raises:
      TypeError: if `step` is not callable, or `optimizer` counts no `iterations`.
      ValueError: if both are given.
    """

    def __init__(self, optimizer=None, step: Callable[[], int] | None = None):
        if optimizer is not None and step is not None:
            raise ValueError("Give one of `optimizer` and `step`, not both.")
        if step is not None and not callable(step):
            raise TypeError(
                f"`step` must be a callable that returns the step. Received: step={step!r}"
            )
        if optimizer is not None and not hasattr(optimizer, "iterations"):
            raise TypeError(
                f"`optimizer` must be one that counts its `iterations`. Received: {optimizer!r}"
            )
        self._given, self._step = optimizer, step
        self._model: Any = None
        self._first, self._batches = 0, 0

    @property
    def optimizer(self):
        """The optimizer that counts; None if a callable does."""
        if self._step is not None:
            return None
        return getattr(self._model, "optimizer", None) if self._given is None else self._given

    @property
    def is_of_model(self) -> bool:
        """Whether the step is that of the model's own optimizer."""
        return self._given is None and self._step is None

    @property
    def is_once_a_batch(self) -> bool:
        """Whether the step is known to move by one with every batch."""
        # Absent from what is no Keras model.
        place = getattr(getattr(self._model, "train_step", None), "__module__", "")
        return self.is_of_model and place.partition(".")[0] in _KNOWN

    def begin(self, model: tf.keras.Model) -> None:
        """Says which model is trained.

        Raises:
          ValueError: if the step would be that of its optimizer, and it has none.
        """
        self._model = model
        if self._step is None and getattr(self.optimizer, "iterations", None) is None:
            raise ValueError(
                f"Model {model.name!r} has no optimizer that counts: compile it, or pass "
                "`optimizer=`, the one that trains, or `step=`, a callable that returns the step."
            )

    def __call__(self) -> int:
        """Returns the step."""
        return int(self.optimizer.iterations.numpy() if self._step is None else self._step())

    def begin_epoch(self) -> None:
        """Takes note of where an epoch begins."""
        self._first, self._batches = self(), 0

    def begin_batch(self) -> None:
        """Takes note of a batch."""
        self._batches += 1

    def end_epoch(self) -> None:
        """Checks that the step has moved.

        Raises:
          ValueError: if it has not: what depends on it would never happen.
        """
        if self._batches and self() == self._first and not leaves_steps_out(self.optimizer):
            # Keras' legacy optimizers have no public name.
            name = getattr(self.optimizer, "name", type(self.optimizer).__name__)
            source = "`step`" if self._step is not None else repr(name)
            raise ValueError(
                f"The step by {source} stayed at {self._first} for an epoch of {self._batches} "
                "batches, so nothing follows it. Pass `optimizer=`, the one that trains, or "
                "`step=`, a callable that returns the step; if gradients are accumulated, let an "
                "epoch have as many batches as a step takes."
            )
