"""What strings would cost at several qualities, nearly, without coding any."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq.entropy_models import LowerBoundedGaussianConditional
from tfsq.entropy_models.gaussian_bits import coded_gaussian_bits

# Beyond the tables of all scales; what is farther off is rare.
_LARGEST = 1023


def bits_along(entropy_model: LowerBoundedGaussianConditional, y, scale, loc, gains) -> tf.Tensor:
    """Looks up the bits of a latent at several gains, for predictions that do not depend on them.

    Nearly what `estimate` says: an entry of the table of scales is chosen in float32, and a symbol
    beyond 1023 has the bits of that one.

    Args:
      entropy_model: What codes the latent.
      y: Floating-point tensor [..., channels].
      scale: Its predicted scale, of the same shape, without a gain.
      loc: Its predicted mean, likewise.
      gains: float32 tensor [qualities, channels].

    Returns:
      float32 tensor [qualities].
    """
    table = tf.constant(_bits_of_symbols(entropy_model), tf.float32)
    scales = entropy_model.scale_table
    distance = tf.abs(tf.cast(y, tf.float32) - tf.cast(loc, tf.float32))
    place = scales.place_of(tf.cast(scale, tf.float32))

    def bits(gain):
        symbols = tf.cast(tf.minimum(tf.round(distance * gain), float(_LARGEST)), tf.int32)
        entries = tf.round(place + scales.place_of(gain) - scales.place_of(1.0))
        entries = tf.clip_by_value(tf.cast(entries, tf.int32), 0, scales.num_scales - 1)
        return tf.reduce_sum(tf.gather(table, entries * (_LARGEST + 1) + symbols))

    return tf.map_fn(bits, gains, fn_output_signature=tf.float32)


def _bits_of_symbols(entropy_model) -> np.ndarray:
    """Of each entry of the table of scales, and each magnitude of a symbol, one after the other."""
    scales = entropy_model.scale_table
    with tf.init_scope():
        symbols, entries = np.meshgrid(np.arange(_LARGEST + 1), np.arange(scales.num_scales))
        found = coded_gaussian_bits(
            tf.constant(symbols, tf.float32),
            scales.scale_of(tf.constant(entries)),
            entropy_model.tail_mass,
            entropy_model.range_coder_precision,
        )
        return found.numpy().ravel()
