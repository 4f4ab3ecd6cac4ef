"""Three ways to walk through the pieces of a latent: estimate, encode, decode.

A network says once in which order it visits the pieces of its latent, and what it predicts each
from; a coder does what is to be done at each, and says in which arithmetic to predict it. So the
encoder computes what the decoder will.

A piece is given as a function of the whole latent, and has shape [batch, rows, columns, channels].
The state that goes from piece to piece is a tensor, so that it can go through a `tf.while_loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from tfsq.architectures.exact import exactly, on_grid
from tfsq.entropy_models import LowerBoundedGaussianConditional


class Coder(Protocol):
    """What the three coders have in common."""

    def predictor(self, transform) -> Callable:
        """Returns what predicts with a transform: the transform itself, or `exactly` it."""

    def settled(self, x) -> tf.Tensor:
        """Returns what was computed outside of a `predictor`, on the grid of exact ones."""

    def start(self) -> tf.Tensor:
        """Returns the state before the first piece."""

    def code_piece(self, state, piece: Callable, scale, loc) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes one piece.

        Args:
          state: What `start` or the last call returned.
          piece: Function from the latent to the piece.
          scale: Predicted scale of the piece.
          loc: Predicted mean of the piece, None is zero.

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
    """

    def __init__(self, entropy_model: LowerBoundedGaussianConditional, latent, training):
        self.entropy_model = entropy_model
        self.latent = latent
        self.training = training

    def predictor(self, transform):
        """Exact unless training, so that the bits are those of strings."""
        return transform if self.training else exactly(transform)

    def settled(self, x):
        return x if self.training else on_grid(x)

    def start(self):
        """The bits so far, float32 [batch]."""
        return tf.zeros(tf.shape(self.latent)[:1])

    def code_piece(self, state, piece, scale, loc):
        y_hat, bits = self.entropy_model(piece(self.latent), scale, loc, training=self.training)
        return state + bits, y_hat

    def finish(self, state, y_hat):
        """The result is the bits."""
        return state, y_hat


class Encoder(_ExactPredictions):
    """Writes the pieces into one string per image.

    Args:
      entropy_model: Entropy model with `coding_rank=3` and `compression=True`.
      latent: The whole latent, rank 4.
    """

    def __init__(self, entropy_model: LowerBoundedGaussianConditional, latent):
        self.entropy_model = entropy_model
        self.latent = latent

    def start(self):
        """A handle of the range encoder."""
        return self.entropy_model.start_encoding(tf.shape(self.latent)[:1])

    def code_piece(self, state, piece, scale, loc):
        return self.entropy_model.encode(state, piece(self.latent), scale, loc)

    def finish(self, state, y_hat):
        """The result is the strings."""
        return self.entropy_model.finish_encoding(state), y_hat


class Decoder(_ExactPredictions):
    """Reads the pieces from one string per image.

    Args:
      entropy_model: Entropy model with `coding_rank=3` and `compression=True`.
      strings: String tensor [batch].
    """

    def __init__(self, entropy_model: LowerBoundedGaussianConditional, strings):
        self.entropy_model = entropy_model
        self.strings = strings

    def start(self):
        """A handle of the range decoder."""
        return self.entropy_model.start_decoding(self.strings)

    def code_piece(self, state, piece, scale, loc):
        """The piece is not known here."""
        del piece
        return self.entropy_model.decode(state, scale, loc)

    def finish(self, state, y_hat):
        """Raises where TFC's check finds a string corrupt."""
        with tf.control_dependencies(self.entropy_model.finish_decoding(state)):
            return None, tf.identity(y_hat)
