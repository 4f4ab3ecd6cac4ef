"""Three ways to walk through the pieces of a latent: estimate, encode, decode.

A network says once in which order it visits the pieces of its latent, and what it predicts each
from; a coder does what is to be done at each, and says in which arithmetic to predict it. So the
encoder computes what the decoder will.

A piece is given as a function of the whole latent, and has shape [batch, rows, columns, channels].
The state that goes from piece to piece is a tensor, so that it can go through a `tf.while_loop`.

Networks predict latents in units of their own; what is quantized and coded is in quantization
steps. The two are the same but for networks of many rates, whose coders are given gains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from tfsq.architectures.exact import exactly, on_grid, settled_scale
from tfsq.entropy_models import LowerBoundedGaussianConditional
from tfsq.layers import Gain
from tfsq.range_coder.refusals import refuse_unless

_ALL = slice(None)


class Gains:
    """Latents in units of the quantization step, and back.

    Args:
      gains: Pair of float32 tensors [batch, 1, 1, channels], gains and inverse gains; None where
        the step is 1.
    """

    def __init__(self, gains: tuple[tf.Tensor, tf.Tensor] | None = None):
        self._gains = gains

    @classmethod
    def at(cls, gain: Gain, quality, training) -> Gains:
        """Returns the gains of a layer at qualities.

        Args:
          gain: The layer.
          quality: A number, or a tensor [batch].
          training: Boolean, whether they are differentiable, or the same on every machine.
        """
        if tf.is_tensor(training):
            both = (gain.gains(quality, exactly=exactly) for exactly in (False, True))
            found = [tf.where(tf.cast(training, tf.bool), soft, hard) for soft, hard in zip(*both)]
        else:
            found = list(gain.gains(quality, exactly=not training))
        gains, inverse_gains = (factors[:, tf.newaxis, tf.newaxis] for factors in found)
        return cls((gains, inverse_gains))

    def in_steps(self, x, channels: slice = _ALL):
        """Returns a latent or its prediction in steps, float32 unless they are 1.

        Args:
          x: Floating-point tensor [batch, rows, columns, channels], or None.
          channels: Those of the latent that it has.
        """
        if self._gains is None or x is None:
            return x
        return tf.cast(x, tf.float32) * self._gains[0][..., channels]

    def scale_in_steps(self, scale, channels: slice = _ALL, exactly: bool = True):
        """Returns a predicted scale in steps, float64 if exactly.

        Args:
          scale: Floating-point tensor [batch, rows, columns, channels].
          channels: Those of the latent that it has.
          exactly: Boolean, whether it decides about a string.
        """
        if self._gains is None:
            return scale
        if not exactly:
            return self.in_steps(scale, channels)
        return settled_scale(scale) * tf.cast(self._gains[0][..., channels], tf.float64)

    def from_steps(self, x, channels: slice = _ALL, dtype=None):
        """Returns a latent in its own units.

        Args:
          x: Floating-point tensor [batch, rows, columns, channels].
          channels: Those of the latent that it has.
          dtype: Of the result; that of `x` if None.
        """
        if self._gains is None:
            return x
        x_hat = tf.cast(x, tf.float32) * self._gains[1][..., channels]
        return tf.cast(x_hat, dtype or x.dtype)


_NO_GAINS = Gains()


class Coder(Protocol):
    """What the three coders have in common."""

    gains: Gains

    def predictor(self, transform) -> Callable:
        """Returns what predicts with a transform: the transform itself, or `exactly` it."""

    def settled(self, x) -> tf.Tensor:
        """Returns what was computed outside of a `predictor`, on the grid of exact ones."""

    def start(self) -> tf.Tensor:
        """Returns the state before the first piece."""

    def code_piece(
        self, state, piece: Callable, scale, loc, channels: slice = _ALL
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes one piece.

        Args:
          state: What `start` or the last call returned.
          piece: Function from the latent to the piece.
          scale: Predicted scale of the piece.
          loc: Predicted mean of the piece, None is zero.
          channels: Those of the latent that the piece has.

        Returns:
          (state, y_hat): the next state, and the quantized piece.
        """

    def finish(self, state, y_hat) -> tuple[tf.Tensor | None, tf.Tensor]:
        """Ends the coding.

        Args:
          state: What the last call returned.
          y_hat: The whole quantized latent.

        Returns:
          (result, y_hat): bits, strings or None, and the quantized latent.
        """


class _ExactPredictions:
    """What encoder and decoder have in common."""

    def predictor(self, transform):
        return exactly(transform)

    def settled(self, x):
        return on_grid(x)


class Estimator:
    """Quantizes the pieces and sums their bits.

    Args:
      entropy_model: Entropy model with `coding_rank=3`.
      latent: The whole latent, rank 4.
      training: Boolean, whether to use the surrogates or to round.
      gains: Those of the latent.
    """

    def __init__(
        self,
        entropy_model: LowerBoundedGaussianConditional,
        latent,
        training,
        gains: Gains = _NO_GAINS,
    ):
        self.entropy_model = entropy_model
        self.latent = latent
        self.training = training
        self.gains = gains

    def predictor(self, transform):
        """Exact unless training, so that the bits are those of strings."""
        return transform if self.training else exactly(transform)

    def settled(self, x):
        return x if self.training else on_grid(x)

    def start(self):
        """The bits so far, float32 [batch]."""
        return tf.zeros(tf.shape(self.latent)[:1])

    def code_piece(self, state, piece, scale, loc, channels=_ALL):
        y, gains = piece(self.latent), self.gains
        y_hat, bits = self.entropy_model(
            gains.in_steps(y, channels),
            gains.scale_in_steps(scale, channels, exactly=not self.training),
            gains.in_steps(loc, channels),
            training=self.training,
        )
        return state + bits, gains.from_steps(y_hat, channels, y.dtype)

    def finish(self, state, y_hat):
        """The result is the bits."""
        return state, y_hat


class Encoder(_ExactPredictions):
    """Writes the pieces into one string per image.

    Args:
      entropy_model: Entropy model with `coding_rank=3` and `compression=True`.
      latent: The whole latent, rank 4.
      gains: Those of the latent.
    """

    def __init__(
        self, entropy_model: LowerBoundedGaussianConditional, latent, gains: Gains = _NO_GAINS
    ):
        self.entropy_model = entropy_model
        self.latent = latent
        self.gains = gains

    def start(self):
        """That of the range coder."""
        return self.entropy_model.start_encoding(tf.shape(self.latent)[:1])

    def code_piece(self, state, piece, scale, loc, channels=_ALL):
        y, gains = piece(self.latent), self.gains
        state, y_hat = self.entropy_model.encode(
            state,
            gains.in_steps(y, channels),
            gains.scale_in_steps(scale, channels),
            gains.in_steps(loc, channels),
        )
        return state, gains.from_steps(y_hat, channels, y.dtype)

    def finish(self, state, y_hat):
        """The result is the strings; raises where the pieces are not all of the latent."""
        shapes = tf.stack([tf.shape(self.latent), tf.shape(y_hat)])
        message = "The latent must have the shape of what is predicted of it. Received:"
        with tf.control_dependencies(
            refuse_unless(tf.reduce_all(shapes[0] == shapes[1]), message, shapes)
        ):
            return self.entropy_model.finish_encoding(state), y_hat


class Decoder(_ExactPredictions):
    """Reads the pieces from one string per image.

    Args:
      entropy_model: Entropy model with `coding_rank=3` and `compression=True`.
      strings: String tensor [batch].
      shape: Integer tensor, rows, columns and channels of the latent.
      gains: Those of the latent.
    """

    def __init__(
        self,
        entropy_model: LowerBoundedGaussianConditional,
        strings,
        shape,
        gains: Gains = _NO_GAINS,
    ):
        self.entropy_model = entropy_model
        self.strings = strings
        self.count = tf.reduce_prod(shape)
        self.gains = gains

    def start(self):
        """That of the range coder."""
        return self.entropy_model.start_decoding(self.strings, self.count)

    def code_piece(self, state, piece, scale, loc, channels=_ALL):
        """The piece is not known here."""
        del piece
        gains = self.gains
        state, y_hat = self.entropy_model.decode(
            state, gains.scale_in_steps(scale, channels), gains.in_steps(loc, channels)
        )
        return state, gains.from_steps(y_hat, channels, scale.dtype if loc is None else loc.dtype)

    def finish(self, state, y_hat):
        """Raises where a string is not that of what was decoded."""
        check = self.entropy_model.finish_decoding(state, self.strings)
        with tf.control_dependencies(check):
            return None, tf.identity(y_hat)
