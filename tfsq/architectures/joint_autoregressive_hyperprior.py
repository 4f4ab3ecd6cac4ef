"""The mean-scale hyperprior with a serial context model (Minnen et al., 2018)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures.coders import Estimator
from tfsq.architectures.context import ContextModel
from tfsq.architectures.hyperprior import whole
from tfsq.architectures.masked_convolution import causal_taps

# Positions of a row that the next row has to stay behind, so that the 5x5 context is known.
_LAG = 3
# Rows that neighbors can be off the ends of their own anti-diagonal.
_MARGIN = 4


@saving.register_keras_serializable(package="tfsq")
class JointAutoregressiveHyperprior(ContextModel):
    """Mean-scale hyperprior whose predictions also depend on what is decoded already.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^  |
                             |        loc, scale  |  v
                             |     entropy_parameters <- context: 12 of 5x5, above and to the left
                             v                    ^
                       hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    Source: D. Minnen, J. Balle, G. Toderici, "Joint Autoregressive and Hierarchical Priors for
    Learned Image Compression", NeurIPS 2018, https://arxiv.org/abs/1809.02736

    Evaluation, compression and decompression run the same loop, so that they predict the same. The
    loop runs over the anti-diagonals of slope 3: a position needs its row up to the left neighbor
    and the two rows above up to two columns to the right, so all positions with the same
    column + 3 row are predicted at once. Training looks at the surrogate of the whole latent
    instead, quantized around zero, in one pass. With additive noise that is what the decoder has,
    in distribution; with rounding, hard or nearly so, it is not: the decoder's is centered on loc.

    Example:

    >>> model = JointAutoregressiveHyperprior(num_filters=8, num_latents=12)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    taps = causal_taps()

    def walk(self, coder, z_hat):
        hyper = coder.predictor(self.hyper_synthesis)(z_hat)
        at_once = isinstance(coder, Estimator) and coder.training
        return (self._code_at_once if at_once else self._code_serially)(coder, hyper)

    def _code_at_once(self, coder, hyper):
        y = coder.gains.in_steps(coder.latent)
        y = self.latent_model.reconstruction_quantizer(y, training=True)
        y = coder.gains.from_steps(y, dtype=coder.latent.dtype)
        scale, loc = self.predict(self.entropy_parameters, hyper, self.context(y))
        return coder.code_piece(coder.start(), whole, scale, loc)

    def _code_serially(self, coder, hyper):
        """Codes one anti-diagonal after the other."""
        batch, height, width = tf.unstack(tf.shape(hyper)[:3])
        diagonals = _Diagonals(height, width)
        hyper = tf.reshape(hyper, [batch, height * width, hyper.shape[-1]])
        # Out of the loop, so that weights are rounded once.
        context_at = self.context.exactly_at_one_position()
        parameters = coder.predictor(self.entropy_parameters)

        def code_diagonal(s, state, recent, coded):
            rows = diagonals.rows(s)
            places = rows * (width - _LAG) + s

            def piece(latent):
                flat = tf.reshape(latent, [batch, height * width, self.num_latents])
                return tf.gather(flat, places, axis=1)[:, :, tf.newaxis]

            neighbors = [diagonals.neighbors(recent, s, rows, tap) for tap in self.taps]
            context = context_at(tf.concat(neighbors, axis=-1))[:, :, tf.newaxis]
            at_places = tf.gather(hyper, places, axis=1)[:, :, tf.newaxis]
            scale, loc = self.predict(parameters, at_places, context)
            state, y_hat = coder.code_piece(state, piece, scale, loc)
            diagonal = y_hat[:, :, 0]
            recent = tf.concat([diagonals.padded(diagonal, rows)[tf.newaxis], recent[:-1]], axis=0)
            return s + 1, state, recent, coded.write(s, tf.transpose(diagonal, [1, 0, 2]))

        recent = tf.zeros(
            [max(map(_lag, self.taps)), batch, diagonals.longest + 2 * _MARGIN, self.num_latents],
            self.compute_dtype,
        )
        coded = tf.TensorArray(
            self.compute_dtype,
            diagonals.count,
            infer_shape=False,
            element_shape=[None, None, self.num_latents],
        )
        _, state, _, coded = tf.while_loop(
            lambda s, *_: s < diagonals.count,
            code_diagonal,
            (0, coder.start(), recent, coded),
            shape_invariants=(
                tf.TensorShape([]),
                # That of the coder's state.
                tf.TensorShape(None),
                tf.TensorShape([recent.shape[0], None, None, self.num_latents]),
                tf.TensorShape(None),
            ),
            parallel_iterations=1,
        )
        return state, _straightened(coded.concat(), height, width)


class _Diagonals:
    """Where the anti-diagonals of a latent are: row i of number s is column s - 3 i."""

    def __init__(self, height, width):
        self.height, self.width = height, width
        self.count = width + _LAG * (height - 1)
        # Of none there are more rows, however tall the latent is.
        self.longest = tf.minimum(height, -(-width // _LAG))

    def first_row(self, s):
        # Zero to width - 1 are the columns of an image.
        return tf.maximum(0, -((self.width - 1 - s) // _LAG))

    def rows(self, s):
        return tf.range(self.first_row(s), tf.minimum(self.height - 1, s // _LAG) + 1)

    def neighbors(self, recent, s, rows, tap):
        """What was decoded at a tap of its positions, [batch, positions, channels]."""
        first = self.first_row(s - _lag(tap))
        return tf.gather(recent[_lag(tap) - 1], rows + tap[0] - first + _MARGIN, axis=1)

    def padded(self, diagonal, rows):
        """Zero outside of the image, as the convolution pads; all of one length."""
        missing = self.longest - tf.size(rows)
        return tf.pad(diagonal, [[0, 0], [_MARGIN, _MARGIN + missing], [0, 0]])


def _lag(tap):
    """How many anti-diagonals a neighbor lies behind."""
    row, column = tap
    return -(column + _LAG * row)


def _straightened(diagonals, height, width):
    """Turns anti-diagonals, one after the other, [positions, batch, channels] into an image."""
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    visited = tf.argsort(tf.reshape((columns + _LAG * rows) * height + rows, [-1]))
    straight = tf.gather(diagonals, tf.math.invert_permutation(visited))
    shape = [height, width, tf.shape(diagonals)[1], diagonals.shape[-1]]
    return tf.transpose(tf.reshape(straight, shape), [2, 0, 1, 3])
