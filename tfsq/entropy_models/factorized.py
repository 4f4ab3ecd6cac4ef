"""Deep factorized entropy model, for the hyper-latent."""

from __future__ import annotations

import zlib

import tensorflow as tf

from tfsq import range_coder
from tfsq._keras import NO_AUTOCAST, saving
from tfsq.entropy_models.base import EntropyModel
from tfsq.entropy_models.coding_tables import density_tables
from tfsq.entropy_models.deep_factorized import DeepFactorized, shapes_and_initial_values
from tfsq.layers import Quantizer
from tfsq.layers.checks import check_integers, check_positive, checked_latent
from tfsq.range_coder.refusals import refuse_unless
from tfsq.surrogates._numerics import widen
from tfsq.surrogates.straight_through_rounding import straight_through_rounding

# The fingerprint of no prior.
_NO_TABLES = 0


@saving.register_keras_serializable(package="tfsq")
class FactorizedEntropyModel(EntropyModel):
    """Codes a tensor under a learned density per channel.

    The density is the deep factorized prior of appendix 6.1 of J. Balle, D. Minnen et al.,
    "Variational Image Compression with a Scale Hyperprior", ICLR 2018,
    https://openreview.net/forum?id=rkcQFMZRb. The layer has the method names, argument order and
    shapes of `tfc.ContinuousBatchedEntropyModel`. What differs: the median of each channel is a
    parameter, `loc`, and quantization is centered on it (`tfsq.layers.ZeroCenterQuantization`), so
    that no offset has to be searched for.

    Coding tables follow the prior: `compress` rebuilds them where the prior has changed since, when
    called eagerly or traced. What was traced before reads the tables of the last rebuilding, so
    that strings decode in any order of calls.

    Bits and gradients are finite within 1e6 of the median; further out float32 does not tell the
    two cumulatives apart.

    Args:
      coding_rank: Number of innermost dimensions that are coded into one string, at least 1.
      rate_quantizer: Quantizer layer in front of the likelihood; additive uniform noise if None.
      reconstruction_quantizer: Quantizer layer of what is returned; straight-through rounding
        if None. The same object for both means one noise sample for both.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      compression: Whether to hold coding tables.
      num_filters: Widths of the hidden layers of the network that is the cumulative.
      init_scale: Initial width of the density, above 0.
      tail_mass: Probability that is left to the escape code of the range coder.
      range_coder_precision: Bits of the quantized probabilities, 1 to 16.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      bottleneck: Floating-point tensor [..., channels]; the number of channels must be known.
      training: Boolean, whether to use the surrogates or to round.

    Returns:
      (z_hat, bits): the quantized tensor, of the shape and dtype of `bottleneck`, and a float32
      tensor of shape bottleneck.shape[:-coding_rank].

    Raises:
      ValueError: if an argument is out of its range.
    """

    _least_rank = 1

    def __init__(
        self,
        coding_rank: int,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        stop_gradient: str = "partial",
        compression: bool = False,
        num_filters: tuple[int, ...] = (3, 3),
        init_scale: float = 10.0,
        tail_mass: float = 2**-12,
        range_coder_precision: int = 16,
        **kwargs,
    ):
        init_scale = check_positive("init_scale", init_scale)
        widths = check_integers("num_filters", num_filters, 1)
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
        self.num_filters, self.init_scale = widths, init_scale

    def build(self, input_shape):
        channels = tf.TensorShape(input_shape)[-1]
        if channels is None:
            raise ValueError(
                f"The last dimension of `bottleneck` must be known. Received: shape={input_shape}"
            )
        specified = shapes_and_initial_values(channels, self.num_filters, self.init_scale)
        self._prior_weights = [
            self.add_weight(
                name=name, shape=shape, dtype=tf.float32, initializer=initializer, **NO_AUTOCAST
            )
            for name, shape, initializer in specified
        ]
        # Checkpoints of Keras 3 find what has a name of its own, those of before the list.
        for weight, (name, *_) in zip(self._prior_weights, specified):
            setattr(self, name, weight)
        # The same wherever it is read: Keras would cast it inside of a call under mixed precision.
        self.loc = self.add_weight(
            name="loc",
            shape=(channels,),
            dtype=tf.float32,
            initializer="zeros",
            **NO_AUTOCAST,
        )
        if self.compression:
            self._build_table_weights()
        super().build(input_shape)

    def call(self, bottleneck, training=True):
        """Quantizes and estimates the rate; the class docstring has the arguments."""
        bottleneck = self._input(bottleneck)
        wide, loc = self._with_loc(bottleneck)
        z_hat, residual = self.zero_center(wide, loc, training=training)
        bits = DeepFactorized.of(self._prior_weights).bits(tf.cast(residual, tf.float32))
        return tf.cast(z_hat, bottleneck.dtype), self._bits(bits)

    def quantize(self, bottleneck):
        """Rounds to integers away from the median, with the straight-through gradient.

        Args:
          bottleneck: Floating-point tensor [..., channels].

        Returns:
          round(bottleneck - loc) + loc, of the shape and dtype of `bottleneck`.
        """
        bottleneck = self._input(bottleneck)
        wide, loc = self._with_loc(bottleneck)
        return tf.cast(straight_through_rounding(wide - loc) + loc, bottleneck.dtype)

    def compress(self, bottleneck):
        """Codes the rounded tensor with the range coder.

        Args:
          bottleneck: Floating-point tensor [..., channels].

        Returns:
          String tensor of shape bottleneck.shape[:-coding_rank].

        Raises:
          RuntimeError: if constructed with `compression=False`.
          tf.errors.InvalidArgumentError: at once, if `bottleneck` is not finite or not within
            2^30 of the median.
        """
        return self.encode(bottleneck)[0]

    def encode(self, bottleneck):
        """Codes the rounded tensor, and says what it decodes to.

        Args:
          bottleneck: As for `compress`.

        Returns:
          (strings, z_hat): those of `compress`, and exactly what `decompress` will return.

        Raises:
          RuntimeError: as `compress`.
          tf.errors.InvalidArgumentError: as `compress`.
        """
        self._check_compression()
        bottleneck = self._input(bottleneck)
        wide, loc = self._with_loc(bottleneck)
        self.update_tables()
        symbols = self._checked_symbols(wide - loc)
        table, indexes, offsets = self._tables_for(tf.shape(symbols))
        batch_shape = tf.shape(symbols)[: symbols.shape.rank - self.coding_rank]
        state = range_coder.start_encoding(batch_shape, table)
        state = range_coder.encode(state, table, indexes, symbols - offsets)
        return range_coder.finish_encoding(state), self._dequantized(symbols)

    def decompress(self, strings, broadcast_shape):
        """Decodes what `compress` coded.

        Args:
          strings: String tensor.
          broadcast_shape: Integers, the dimensions between those of `strings` and the channels:
            height and width at `coding_rank=3`.

        Returns:
          float32 tensor of shape strings.shape + broadcast_shape + [channels], exactly
          `quantize(bottleneck)` of the float32 bottleneck.

        Raises:
          RuntimeError: if constructed with `compression=False`, or not built yet.
          tf.errors.InvalidArgumentError: if `compress` does not write a string for what it decodes
            to.
        """
        self._check_compression()
        if not self.built:
            raise RuntimeError(f"Entropy model {self.name!r} must be called or built before.")
        # Not those of the present prior, but those that `compress` has used.
        if self._fingerprint_of_tables() == _NO_TABLES:
            self.update_tables()
        unit = tf.concat([tf.cast(broadcast_shape, tf.int32), self.loc.shape[-1:]], axis=0)
        table, indexes, offsets = self._tables_for(tf.concat([tf.shape(strings), unit], axis=0))
        count = tf.reduce_prod(unit)
        state = range_coder.start_decoding(strings, table, count)
        state, symbols = range_coder.decode(state, table, indexes)
        check = refuse_unless(
            tf.reduce_all(range_coder.finish_decoding(state, strings)),
            f"Corrupt string in {self.name!r}. Received a number of strings of:",
            tf.size(strings),
        )
        with tf.control_dependencies(check):
            return self._dequantized(symbols + offsets)

    def get_config(self):
        return {
            **super().get_config(),
            "num_filters": self.num_filters,
            "init_scale": self.init_scale,
        }

    @tf.autograph.experimental.do_not_convert
    def update_tables(self) -> None:
        """Builds the coding tables of the present prior, unless they are those already.

        `compress` calls this. Inside a `tf.function` it runs when tracing.

        Raises:
          RuntimeError: if constructed with `compression=False`.
        """
        self._check_compression()
        fingerprint = self._fingerprint_of_prior()
        if fingerprint == self._fingerprint_of_tables():
            return
        with tf.init_scope():
            cdf, cdf_offset = density_tables(
                self._prior_weights, self.tail_mass, self.range_coder_precision
            )
            self._cdf.assign(cdf)
            self._cdf_offset.assign(cdf_offset)
            self._tables_fingerprint.assign(fingerprint)

    def _input(self, bottleneck):
        bottleneck = checked_latent(bottleneck, self.name)
        self._check_rank(bottleneck)
        if not self.built:
            with tf.init_scope():
                self.build(bottleneck.shape)
        return bottleneck

    def _dequantized(self, symbols):
        return tf.cast(symbols, tf.float32) + self.loc

    def _with_loc(self, bottleneck):
        wide = widen(bottleneck)
        return wide, tf.broadcast_to(tf.cast(self.loc, wide.dtype), tf.shape(wide))

    def _build_table_weights(self):
        self._tables_fingerprint = self.add_weight(
            name="tables_fingerprint",
            shape=(),
            dtype="int64",
            initializer=tf.keras.initializers.Constant(_NO_TABLES),
            trainable=False,
        )
        # The tables grow and shrink with the prior.
        self._cdf, self._cdf_offset = (self.add_table(name) for name in ("cdf", "cdf_offset"))

    def _fingerprint_of_tables(self):
        with tf.init_scope():
            return int(self._tables_fingerprint.numpy())

    def _fingerprint_of_prior(self):
        with tf.init_scope():
            values = b"".join(weight.numpy().tobytes() for weight in self._prior_weights)
        return _NO_TABLES + 1 + zlib.crc32(values)

    def _tables_for(self, shape):
        """The table; and which row of it each element of a shape has, and with which offset."""
        channels = self.loc.shape[-1]
        indexes = tf.broadcast_to(tf.range(channels), shape)
        table, offsets = (tf.convert_to_tensor(found) for found in (self._cdf, self._cdf_offset))
        return table, indexes, tf.gather(offsets, indexes)
