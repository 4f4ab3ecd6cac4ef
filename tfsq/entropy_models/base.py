"""What both entropy models share: two quantizers, the checks before coding, serialization."""

from __future__ import annotations

import math

import tensorflow as tf

from tfsq._keras import Layer
from tfsq.layers import AdditiveUniformNoise, Quantizer, StraightThroughRounding
from tfsq.layers.base import deserialize_layers
from tfsq.layers.checks import as_number, check_integer
from tfsq.layers.zero_center_quantization import ZeroCenterQuantization
from tfsq.range_coder.refusals import refuse_unless

# The range coder is given int32 symbols minus an offset; half that range leaves room for both.
_LARGEST_SYMBOL = 2.0**30


class EntropyModel(Layer):
    """Base class of the entropy models; holds the quantizers and the words of the constructor.

    Args:
      coding_rank: Number of innermost dimensions that are coded into one string.
      rate_quantizer: Quantizer layer in front of the likelihood; additive uniform noise if None.
      reconstruction_quantizer: Quantizer layer of what is returned; straight-through rounding if
        None. The same object for both means one noise sample for both.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      compression: Whether to hold coding tables, which `compress` and `decompress` need.
      tail_mass: Probability that is left to the escape code of the range coder, in (0, 1).
      range_coder_precision: Bits of the quantized probabilities, 1 to 16.
      **kwargs: passed to `tf.keras.layers.Layer`.
    """

    _least_rank = 0

    def __init__(
        self,
        coding_rank: int,
        rate_quantizer: Quantizer | None,
        reconstruction_quantizer: Quantizer | None,
        stop_gradient: str,
        compression: bool,
        tail_mass: float,
        range_coder_precision: int,
        **kwargs,
    ):
        coding_rank = check_integer("coding_rank", coding_rank, self._least_rank)
        precision = check_integer("range_coder_precision", range_coder_precision, 1, 16)
        if not 0.0 < as_number(tail_mass) < 1.0:
            raise ValueError(f"`tail_mass` must be in (0, 1). Received: tail_mass={tail_mass!r}")
        super().__init__(autocast=False, **kwargs)
        self.coding_rank, self.range_coder_precision = coding_rank, precision
        self.compression = bool(compression)
        self.tail_mass = float(tail_mass)
        if rate_quantizer is None:
            rate_quantizer = AdditiveUniformNoise()
        if reconstruction_quantizer is None:
            reconstruction_quantizer = StraightThroughRounding()
        self.zero_center = ZeroCenterQuantization(
            reconstruction_quantizer,
            stop_gradient=stop_gradient,
            rate_quantizer=rate_quantizer,
        )

    @property
    def rate_quantizer(self) -> Quantizer:
        """The quantizer in front of the likelihood."""
        return self.zero_center.rate_quantizer

    @property
    def reconstruction_quantizer(self) -> Quantizer:
        """The quantizer of what is returned to the synthesis."""
        return self.zero_center.quantizer

    def build(self, input_shape):
        if not self.zero_center.built:
            self.zero_center.build(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        shape = tf.TensorShape(input_shape)
        return shape, shape[: shape.rank - self.coding_rank]

    def get_config(self):
        zero_center = self.zero_center.get_config()
        return {
            **super().get_config(),
            "coding_rank": self.coding_rank,
            # As in ZeroCenterQuantization, where None for the rate means "the same object".
            "rate_quantizer": zero_center["rate_quantizer"],
            "reconstruction_quantizer": zero_center["quantizer"],
            "stop_gradient": self.zero_center.stop_gradient,
            "compression": self.compression,
            "tail_mass": self.tail_mass,
            "range_coder_precision": self.range_coder_precision,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_quantizers(config))

    def _bits(self, bits):
        """Sums float32 bits over a coding unit."""
        return tf.reduce_sum(bits, axis=list(range(-self.coding_rank, 0)))

    def _check_compression(self):
        if not self.compression:
            raise RuntimeError(
                f"Entropy model {self.name!r} has no coding tables: construct it with "
                "`compression=True`."
            )

    def _check_rank(self, bottleneck):
        if bottleneck.shape.rank is not None and bottleneck.shape.rank < self.coding_rank:
            raise ValueError(
                f"`bottleneck` must have at least coding_rank={self.coding_rank} dimensions. "
                f"Received: shape={bottleneck.shape}"
            )

    def _checked_symbols(self, residual):
        """Rounds to int32; refuses at once what the range coder would hang on or overflow at."""
        symbols = tf.round(residual)
        # A comparison with NaN is false, so this refuses NaN too.
        in_range = tf.reduce_all(tf.abs(symbols) < _LARGEST_SYMBOL)
        check = refuse_unless(
            in_range,
            f"`bottleneck` must be finite and within 2^30 of `loc` in {self.name!r}. Received a "
            "largest distance of:",
            tf.reduce_max(tf.where(residual == residual, tf.abs(residual), math.inf)),
        )
        with tf.control_dependencies(check):
            return tf.cast(symbols, tf.int32)


def deserialize_quantizers(config: dict) -> dict:
    """Returns `config` with its quantizers as layers, shared again where they were shared.

    Args:
      config: What `get_config` of an entropy model returned.
    """
    config = deserialize_layers(config, ("rate_quantizer", "reconstruction_quantizer"))
    if config.get("rate_quantizer") is None:
        config["rate_quantizer"] = config.get("reconstruction_quantizer")
    return config
