"""Zero-center quantization with partial stop-gradient."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

from tfsq._keras import saving
from tfsq.layers.base import Quantizer, deserialize_layers
from tfsq.layers.checks import checked_latent
from tfsq.layers.finding import find
from tfsq.surrogates._numerics import widen

_STOP_GRADIENTS = ("partial", "none")
_replacing = threading.RLock()


@saving.register_keras_serializable(package="tfsq")
class ZeroCenterQuantization(tf.keras.layers.Layer):
    """Quantizes the residual y - loc, so that quantization is centered on the predicted mean.

    Two paths leave this layer (our formulation of the zero-center quantization with partial
    stop-gradient of H. Zhang, L. Li, D. Liu, 2023, https://arxiv.org/abs/2309.17051):

        residual = Q(y - loc)              for the rate, under a likelihood centered on zero
        y_hat    = Q(y - loc) + loc        for the reconstruction

    With `stop_gradient="partial"` the reconstruction sees stop_gradient(loc) in both places, so
    that loc learns from the rate alone: dy_hat/dloc = 0. With "none" it sees loc itself:
    dy_hat/dloc = 1 - Q'. Where Q' = 1 the two are identical.

    Args:
      quantizer: Quantizer layer of the reconstruction, and of the rate too unless
        `rate_quantizer` is given. One quantizer for both paths uses one noise sample for both.
      stop_gradient: "partial" or "none".
      rate_quantizer: Another quantizer layer for the residual, with noise of its own.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      y: Floating-point tensor of any shape, the latent.
      loc: Tensor of the shape and dtype of `y`, its predicted mean.
      training: Boolean, whether to use the surrogates or to round.
      noise: Noise for both paths, to be used instead of a fresh draw.

    Returns:
      (y_hat, residual), both of the shape and dtype of `y`.

    Raises:
      TypeError: if `quantizer` is not a quantizer layer, or `y` not floating-point.
      ValueError: if `stop_gradient` is not one of the above, or if `loc` and `y` disagree.
    """

    def __init__(
        self,
        quantizer: Quantizer,
        stop_gradient: str = "partial",
        rate_quantizer: Quantizer | None = None,
        **kwargs,
    ):
        check_stop_gradient(stop_gradient)
        for name, layer in (("quantizer", quantizer), ("rate_quantizer", rate_quantizer)):
            if not isinstance(layer, Quantizer) and not (layer is None and name != "quantizer"):
                raise TypeError(f"`{name}` must be a tfsq quantizer layer. Received: {layer!r}")
        super().__init__(autocast=False, **kwargs)
        self.quantizer = quantizer
        self.rate_quantizer = quantizer if rate_quantizer is None else rate_quantizer
        self.stop_gradient = stop_gradient

    def build(self, input_shape):
        for quantizer in (self.quantizer, self.rate_quantizer):
            if not quantizer.built:
                quantizer.build(input_shape)
        super().build(input_shape)

    def call(self, y, loc, training=None, noise=None):
        """Quantizes around `loc`; the class docstring has the arguments."""
        y, loc = checked_latent(y, self.name), tf.convert_to_tensor(loc)
        if loc.dtype != y.dtype or not loc.shape.is_compatible_with(y.shape):
            raise ValueError(
                f"`loc` must have the shape and dtype of `y`, {y.shape} and {y.dtype.name}. "
                f"Received: shape={loc.shape}, dtype={loc.dtype.name}"
            )
        dtype, y, loc = y.dtype, widen(y), widen(loc)
        shared = self.rate_quantizer is self.quantizer
        if shared and noise is None and (tf.is_tensor(training) or training):
            noise = self.quantizer.draw_noise(y)
        residual = self.rate_quantizer(y - loc, training=training, noise=noise)
        if self.stop_gradient == "partial":
            loc = tf.stop_gradient(loc)
        y_hat = self.quantizer(y - loc, training=training, noise=noise) + loc
        return tf.cast(y_hat, dtype), tf.cast(residual, dtype)

    def get_config(self):
        shared = self.rate_quantizer is self.quantizer
        serialize = saving.serialize_keras_object
        return {
            **super().get_config(),
            "quantizer": serialize(self.quantizer),
            "stop_gradient": self.stop_gradient,
            "rate_quantizer": None if shared else serialize(self.rate_quantizer),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_layers(config, ("quantizer", "rate_quantizer")))


def check_stop_gradient(stop_gradient) -> None:
    """Checks the argument of that name.

    Args:
      stop_gradient: What was given.

    Raises:
      ValueError: if it is neither "partial" nor "none".
    """
    if stop_gradient not in _STOP_GRADIENTS:
        raise ValueError(
            f"`stop_gradient` must be one of {_STOP_GRADIENTS}. "
            f"Received: stop_gradient={stop_gradient!r}"
        )


@contextlib.contextmanager
def quantizing_with(
    module: tf.Module, quantizer: Quantizer, stop_gradient: str = "none"
) -> Iterator[None]:
    """Puts another quantizer in the place of all that a model has, for what is called inside.

    One thread at a time is inside, since two would restore each other's quantizers.

    Args:
      module: A model, or any part of one.
      quantizer: Quantizer layer for both paths of every `ZeroCenterQuantization`, with one noise
        sample for both.
      stop_gradient: "partial" or "none"; with "none", whatever predicts `loc` gets the gradient of
        the whole loss.
    """
    layers = find(module, ZeroCenterQuantization)
    inside = {"quantizer": quantizer, "rate_quantizer": quantizer, "stop_gradient": stop_gradient}
    with _replacing:
        before = [{name: getattr(layer, name) for name in inside} for layer in layers]
        try:
            for layer in layers:
                # Past Keras' own assignment, which would change the order of the model's weights.
                layer.__dict__.update(inside)
            yield
        finally:
            for layer, attributes in zip(layers, before):
                layer.__dict__.update(attributes)
