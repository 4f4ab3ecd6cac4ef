"""A callback for soft-then-hard training (Guo et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsq._keras import LEGACY_OPTIMIZERS, parts_of
from tfsq.callbacks.steps import StepReader
from tfsq.callbacks.temperature import replace_train_function
from tfsq.layers import Quantizer, find
from tfsq.layers.checks import check_integer


class SoftThenHard(tf.keras.callbacks.Callback):
    """Switches the quantizers to rounding, and freezes the encoder, after a step of training.

    Up to there any surrogate trains encoder and decoder; from there on the decoder and the entropy
    model learn from what they will get, the rounded latents of an encoder that no longer moves.
    Rates and reconstructions are hard then, with the straight-through gradient for whatever in
    front of a quantizer is not frozen.

    The step is the optimizer's, so that a run that is resumed from a checkpoint, as
    `tf.keras.callbacks.BackupAndRestore` does, switches where the interrupted one did or would
    have. Keep the callback in every later `fit`, with a model loaded from a file too: a file keeps
    neither that quantizers are hard nor, for most models, what is frozen, and Keras thaws what was
    frozen after `compile` when it traces again. To undo the switch, set `layer.hard = False` and
    `layer.trainable = True`, and compile again.

    In a loop of your own, call it through Keras' `CallbackList`, and give `on_switch`: a step that
    is a `tf.function` has to be made anew, and the trainable variables are fewer.

    Source: Z. Guo, Z. Zhang, R. Feng, Z. Chen, "Soft then Hard: Rethinking the Quantization in
    Neural Image Compression", ICML 2021, https://arxiv.org/abs/2104.05168

    Example:

    >>> callback = SoftThenHard(8000, freeze=["analysis", "hyper_analysis"])

    Args:
      switch_step: Step before which the switch happens; with `steps_per_execution > 1`, at the
        beginning of the next execution.
      freeze: The layers of the encoder side, or their names in the model.
      quantizers: The quantizer layers to switch; None finds all of them in the model.
      optimizer: The optimizer that trains, where it is not `model.optimizer`.
      step: Callable that returns the step, where no optimizer counts it.
      on_switch: Called after the switch.

    Raises:
      ValueError: if `switch_step` is not an integer of at least 0; when training starts, if the
        model has no quantizer, no layer or several layers of a name in `freeze`, if a layer is not
        a part of it, or if the optimizer is a legacy one; at the end of an epoch in which the step
        did not move before the switch; if both `optimizer` and `step` are given.
      TypeError: if `quantizers` holds something else, `freeze` is a single name, `optimizer` counts
        no `iterations`, or `step` is not callable.
    """

    def __init__(
        self,
        switch_step: int,
        freeze: Sequence[str | tf.keras.layers.Layer],
        quantizers: Sequence[Quantizer] | None = None,
        optimizer=None,
        step: Callable[[], int] | None = None,
        on_switch: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        self._step = StepReader(optimizer, step)
        check_integer("switch_step", switch_step, 0)
        if isinstance(freeze, (str, tf.keras.layers.Layer)):
            raise TypeError(f"`freeze` must be a list. Received: freeze={freeze!r}")
        for layer in quantizers or ():
            if not isinstance(layer, Quantizer):
                raise TypeError(f"`quantizers` must be quantizer layers. Received: {layer!r}")
        self.switch_step, self.on_switch = int(switch_step), on_switch
        self.freeze = list(freeze)
        self.quantizers = None if quantizers is None else list(quantizers)
        self._frozen: list[tf.keras.layers.Layer] = []
        self._hardened: list[Quantizer] = []

    def apply(self, model: tf.keras.Model, step: int) -> None:
        """Makes a model hard if it is so at a step of training; a hard one stays so.

        Args:
          model: Keras model.
          step: Optimizer step.

        Raises:
          ValueError: if the model has no layer, or several, of a name in `freeze`.
        """
        self._find_parts(model)
        if step >= self.switch_step:
            self._harden()

    def on_train_begin(self, logs=None):
        self._step.begin(self.model)
        self._find_parts(self.model)
        self._check_optimizer()
        self._check_in_model("freeze", self._frozen)
        self._check_in_model("quantizers", self._hardened)
        if not self._hardened:
            raise ValueError(f"SoftThenHard found no quantizer in model {self.model.name!r}.")

    def on_epoch_begin(self, epoch, logs=None):
        self._step.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        if not self._is_switched():
            self._step.end_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        self._step.begin_batch()
        # Only here the restored step is known.
        if self._step() >= self.switch_step and not self._is_switched():
            self._switch()

    def _is_switched(self):
        return all(layer.hard for layer in self._hardened) and not any(
            layer.trainable for layer in self._frozen
        )

    def _switch(self):
        if self._step.is_of_model:
            # Its slots are numbered in the order of all variables, and are restored so.
            self.model.optimizer.build(self.model.trainable_variables)
        self._harden()
        replace_train_function(self.model)
        self.on_switch()

    def _find_parts(self, model):
        self._frozen = [_resolved(item, model) for item in self.freeze]
        self._hardened = find(model, Quantizer) if self.quantizers is None else self.quantizers

    def _harden(self):
        for quantizer in self._hardened:
            quantizer.hard = True
        for layer in self._frozen:
            layer.trainable = False

    def _check_optimizer(self):
        optimizer = self._step.optimizer
        if isinstance(optimizer, LEGACY_OPTIMIZERS):
            raise ValueError(
                "SoftThenHard needs one of the optimizers of `tf.keras.optimizers`, not of its "
                f"`legacy` module. Received: {optimizer!r}"
            )

    def _check_in_model(self, name, layers):
        parts = {id(part) for part in parts_of(self.model)}
        for layer in layers:
            if id(layer) not in parts:
                raise ValueError(
                    f"`{name}` must be parts of model {self.model.name!r}. Received: {layer.name!r}"
                )


def _resolved(item, model) -> tf.keras.layers.Layer:
    if isinstance(item, tf.keras.layers.Layer):
        return item
    layers = find(model, tf.keras.layers.Layer)
    found = [layer for layer in layers if layer.name == item]
    if len(found) != 1:
        raise ValueError(
            f"`freeze` must name one layer of model {model.name!r} each; {len(found)} are "
            f"called {item!r}. Layers: {sorted({layer.name for layer in layers})}"
        )
    return found[0]
