"""Gaussian conditional entropy model with a lower bound on the scale."""

from __future__ import annotations

import tensorflow as tf

from tfsq import range_coder
from tfsq._keras import saving
from tfsq.entropy_models.base import EntropyModel
from tfsq.entropy_models.coding_tables import gaussian_tables
from tfsq.entropy_models.gaussian_bits import coded_gaussian_bits, gaussian_bits
from tfsq.entropy_models.scale_table import LARGEST_SCALE, ScaleTable
from tfsq.layers import Quantizer
from tfsq.layers.checks import checked_latent
from tfsq.range_coder.refusals import refuse_unless
from tfsq.surrogates._numerics import widen
from tfsq.surrogates.straight_through_rounding import straight_through_rounding


@saving.register_keras_serializable(package="tfsq")
class LowerBoundedGaussianConditional(EntropyModel):
    """Codes a latent under N(loc, max(scale, bound)^2), element by element.

    A Keras layer with the method names, argument order and shapes of
    `tfc.LocationScaleIndexedEntropyModel`, and scales in the place of table indexes. What differs:

    - The surrogates for quantization are layers, one for the rate and one for the
      reconstruction, around the mean (`tfsq.layers.ZeroCenterQuantization`).
    - The scale has a lower bound, our formulation of the bound on the variance parameter of
      H. Zhang, L. Li, D. Liu, 2023, https://arxiv.org/abs/2309.17051: scale_b = max(scale,
      bound). The gradient passes where the scale exceeds the bound or would be raised; likewise at
      the upper bound.
    - Bits with `training=False` are those of the table entry that codes, the nearest in log
      scale; for outliers, no more than the range coder spends (`coded_gaussian_bits`). Bits with
      `training=True` are those of the exact density, however far out.

    Example:

    >>> entropy_model = LowerBoundedGaussianConditional(coding_rank=1, compression=True)
    >>> y = tf.constant([[0.2, 3.1, -1.7]])
    >>> scale, loc = tf.ones_like(y), tf.zeros_like(y)
    >>> strings = entropy_model.compress(y, scale, loc)
    >>> entropy_model.decompress(strings, scale, loc).numpy().tolist()
    [[0.0, 3.0, -2.0]]

    Args:
      coding_rank: Number of innermost dimensions that are coded into one string.
      scale_lower_bound: Smallest scale, above 0.
      scale_upper_bound: Largest scale; larger ones are clamped in training and in coding.
      num_scales: Size of the table of scales, log-spaced between the bounds. It is raised where
        steps would exceed 0.13 in log scale, so that the bound does not change the precision.
      rate_quantizer: Quantizer layer in front of the likelihood; additive uniform noise if None.
      reconstruction_quantizer: Quantizer layer of y_hat; straight-through rounding if None. The
        same object for both means one noise sample for both.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      compression: Whether to hold coding tables. They are built here, from constants.
      tail_mass: Probability that is left to the escape code of the range coder.
      range_coder_precision: Bits of the quantized probabilities, 1 to 16.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      bottleneck: Floating-point tensor [..., coding unit], the latent.
      scale: Tensor of the shape of `bottleneck`, the predicted standard deviation.
      loc: Tensor of the dtype of `bottleneck` and a shape that broadcasts to its shape, the
        predicted mean; None is zero.
      training: Boolean, whether to use the surrogates or to round.

    Returns:
      (y_hat, bits): the quantized latent, of the shape and dtype of `bottleneck`, and a float32
      tensor of shape bottleneck.shape[:-coding_rank].

    Raises:
      TypeError: if `bottleneck` is not floating-point.
      ValueError: if an argument is out of its range, or shapes or dtypes disagree.
    """

    def __init__(
        self,
        coding_rank: int,
        scale_lower_bound: float = 0.11,
        scale_upper_bound: float = LARGEST_SCALE,
        num_scales: int = 64,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        stop_gradient: str = "partial",
        compression: bool = False,
        tail_mass: float = 2**-12,
        range_coder_precision: int = 16,
        **kwargs,
    ):
        table = ScaleTable(scale_lower_bound, scale_upper_bound, num_scales)
        super().__init__(
            coding_rank,
            rate_quantizer,
            reconstruction_quantizer,
            stop_gradient,
            compression,
            tail_mass,
            range_coder_precision,
            **kwargs,
        )
        self.scale_table, self.num_scales = table, table.num_scales
        self.scale_lower_bound = table.lower_bound
        self.scale_upper_bound = table.upper_bound
        if self.compression:
            self._build_tables()

    def call(self, bottleneck, scale, loc=None, training=True):
        """Quantizes and estimates the rate; the class docstring has the arguments."""
        bottleneck, scale, loc = self._inputs(bottleneck, scale, loc)
        y_hat, residual = self.zero_center(widen(bottleneck), widen(loc), training=training)
        if tf.is_tensor(training):
            bits = tf.cond(
                tf.cast(training, tf.bool),
                lambda: self._training_bits(residual, scale),
                lambda: self._coded_bits(residual, scale),
            )
        else:
            bits = (self._training_bits if training else self._coded_bits)(residual, scale)
        return tf.cast(y_hat, bottleneck.dtype), self._bits(bits)

    def quantize(self, bottleneck, loc=None):
        """Rounds to integers away from `loc`, with the straight-through gradient.

        Args:
          bottleneck: Floating-point tensor of at least `coding_rank` dimensions.
          loc: Tensor of the shape and dtype of `bottleneck`; None is zero.

        Returns:
          round(bottleneck - loc) + loc, of the shape and dtype of `bottleneck`.
        """
        bottleneck, _, loc = self._inputs(bottleneck, bottleneck, loc)
        wide_loc = widen(loc)
        y_hat = straight_through_rounding(widen(bottleneck) - wide_loc) + wide_loc
        return tf.cast(y_hat, bottleneck.dtype)

    def compress(self, bottleneck, scale, loc=None):
        """Codes the rounded latent with the range coder.

        Args:
          bottleneck: Floating-point tensor [..., coding unit].
          scale: Tensor of the same shape.
          loc: Tensor of the same shape; None is zero.

        Returns:
          String tensor of shape bottleneck.shape[:-coding_rank].

        Raises:
          RuntimeError: if constructed with `compression=False`.
          tf.errors.InvalidArgumentError: at once, if `bottleneck` is not finite or not within
            2^30 of `loc`, or if `scale` is NaN.
        """
        bottleneck = checked_latent(bottleneck, self.name)
        self._check_rank(bottleneck)
        state = self.start_encoding(self._split_shape(tf.shape(bottleneck))[0])
        return self.finish_encoding(self.encode(state, bottleneck, scale, loc)[0])

    def decompress(self, strings, scale, loc=None):
        """Decodes what `compress` coded, given the same `scale` and `loc`.

        Args:
          strings: String tensor of shape scale.shape[:-coding_rank].
          scale: Floating-point tensor [..., coding unit].
          loc: Floating-point tensor of the shape of `scale`; None is zero.

        Returns:
          Exactly `quantize(bottleneck, loc)`, of the shape of `scale` and the dtype of `loc`, that
          of `scale` where `loc` is None.

        Raises:
          RuntimeError: if constructed with `compression=False`.
          tf.errors.InvalidArgumentError: if `compress` does not write a string for what it decodes
            to, or if `scale` is NaN.
        """
        count = tf.reduce_prod(self._split_shape(tf.shape(scale))[1])
        state, y_hat = self.decode(self.start_decoding(strings, count), scale, loc)
        with tf.control_dependencies(self.finish_decoding(state, strings)):
            return tf.identity(y_hat)

    def start_encoding(self, batch_shape):
        """Opens one string for each element of a batch, to be written piece by piece.

        Args:
          batch_shape: Integer tensor or sequence, the shape of the strings.

        Returns:
          A tensor of that shape, the state of the coder for `encode`.

        Raises:
          RuntimeError: if constructed with `compression=False`.
        """
        self._check_compression()
        return range_coder.start_encoding(batch_shape, self._table())

    def encode(self, state, bottleneck, scale, loc=None):
        """Appends a rounded piece of the latent to the strings.

        Args:
          state: What `start_encoding` or the last call returned.
          bottleneck: Floating-point tensor of shape batch_shape + [..., piece].
          scale: Tensor of the same shape.
          loc: As for `compress`.

        Returns:
          (state, y_hat): the state for the next call, and exactly what `decode` will return.

        Raises:
          tf.errors.InvalidArgumentError: as `compress`.
        """
        bottleneck, scale, loc = self._inputs(bottleneck, scale, loc)
        symbols = self._checked_symbols(widen(bottleneck) - widen(loc))
        indexes = self._checked_indexes(scale)
        offset = tf.gather(self._cdf_offset, indexes)
        state = range_coder.encode(state, self._table(), indexes, symbols - offset)
        return state, self._dequantized(symbols, loc)

    def finish_encoding(self, state):
        """Returns the strings.

        Args:
          state: What the last call of `encode` returned.
        """
        return range_coder.finish_encoding(state)

    def start_decoding(self, strings, count):
        """Opens strings that were written piece by piece, or by `compress`.

        Args:
          strings: String tensor.
          count: How many elements of the latent each string holds, an integer or a tensor.

        Returns:
          The state of the coder for `decode`, a tensor.

        Raises:
          RuntimeError: if constructed with `compression=False`.
        """
        self._check_compression()
        return range_coder.start_decoding(strings, self._table(), count)

    def decode(self, state, scale, loc=None):
        """Reads the next piece of the latent, given the `scale` and `loc` that encoded it.

        Args:
          state: What `start_decoding` or the last call returned.
          scale: Floating-point tensor of shape batch_shape + [..., piece].
          loc: As for `decompress`.

        Returns:
          (state, y_hat): the state for the next call, and a tensor as of `decompress`.
        """
        scale = tf.convert_to_tensor(scale)
        symbols_as = scale.dtype if loc is None else tf.convert_to_tensor(loc).dtype
        _, scale, loc = self._inputs(tf.cast(scale, symbols_as), scale, loc)
        indexes = self._checked_indexes(scale)
        state, symbols = range_coder.decode(state, self._table(), indexes)
        return state, self._dequantized(symbols + tf.gather(self._cdf_offset, indexes), loc)

    def finish_decoding(self, state, strings):
        """Checks that the strings are those of what was decoded.

        Args:
          state: What the last call of `decode` returned.
          strings: What `start_decoding` was given.

        Returns:
          A list of control dependencies, empty if eager.

        Raises:
          tf.errors.InvalidArgumentError: if they are not.
        """
        return refuse_unless(
            tf.reduce_all(range_coder.finish_decoding(state, strings)),
            f"Corrupt string in {self.name!r}. Received a number of strings of:",
            tf.size(strings),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "scale_lower_bound": self.scale_lower_bound,
            "scale_upper_bound": self.scale_upper_bound,
            "num_scales": self.num_scales,
        }

    def _inputs(self, bottleneck, scale, loc):
        bottleneck, scale = checked_latent(bottleneck, self.name), tf.convert_to_tensor(scale)
        self._check_rank(bottleneck)
        if not scale.shape.is_compatible_with(bottleneck.shape) or not scale.dtype.is_floating:
            raise ValueError(
                f"`scale` must be floating-point and of the shape {bottleneck.shape}. "
                f"Received: shape={scale.shape}, dtype={scale.dtype.name}"
            )
        loc = tf.zeros_like(bottleneck) if loc is None else tf.convert_to_tensor(loc)
        if loc.dtype != bottleneck.dtype:
            raise ValueError(
                f"`loc` must have the dtype {bottleneck.dtype.name}. Received: {loc.dtype.name}"
            )
        if not loc.shape.is_fully_defined() or loc.shape != bottleneck.shape:
            # As TFC does; raises where it cannot.
            loc = tf.broadcast_to(loc, tf.shape(bottleneck))
        return bottleneck, scale, loc

    def _training_bits(self, residual, scale):
        return gaussian_bits(residual, self.scale_table.bounded(tf.cast(scale, tf.float32)))

    def _coded_bits(self, residual, scale):
        scale = self.scale_table.scale_of(self.scale_table.indexes(scale))
        return coded_gaussian_bits(residual, scale, self.tail_mass, self.range_coder_precision)

    def _checked_indexes(self, scale):
        is_nan = tf.math.is_nan(scale)
        check = refuse_unless(
            tf.logical_not(tf.reduce_any(is_nan)),
            f"`scale` must not be NaN in {self.name!r}. Received a count of NaN of:",
            tf.math.count_nonzero(is_nan),
        )
        with tf.control_dependencies(check):
            return self.scale_table.indexes(tf.identity(scale))

    def _dequantized(self, symbols, loc):
        wide = widen(loc)
        return tf.cast(tf.cast(symbols, wide.dtype) + wide, loc.dtype)

    def _split_shape(self, shape):
        """Splits a shape into that of the strings and that of what each of them codes."""
        rank = shape.shape[0] - self.coding_rank
        return shape[:rank], shape[rank:]

    def _table(self):
        return tf.convert_to_tensor(self._cdf)

    def _build_tables(self):
        scales = tuple(self.scale_table.scales.tolist())
        tables = gaussian_tables(scales, self.tail_mass, self.range_coder_precision)
        with tf.init_scope():
            self._cdf, self._cdf_offset = (
                self.add_weight(
                    name=name,
                    shape=table.shape,
                    dtype="int32",
                    initializer=tf.constant_initializer(table),
                    trainable=False,
                )
                for name, table in zip(("cdf", "cdf_offset"), tables)
            )
