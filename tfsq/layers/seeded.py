"""Layers that draw random numbers, from a generator of their own if they are given a seed."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import Layer
from tfsq.layers.checks import check_integer


class Seeded(Layer):
    """Base class of what draws random numbers, to be listed first among the bases.

    Args:
      seed: None draws from TensorFlow's global random state, which
        `tf.keras.utils.set_random_seed` sets. An integer gives the layer a generator of its own,
        whose state is saved in checkpoints, and which repeats its sequence for the same seed. Two
        seeds give two streams that are not shifts of each other. Compiled by XLA or not, the
        stream of a seed is another one.
      **kwargs: passed on.

    Raises:
      ValueError: if `seed` is not None or an integer in [-2^63, 2^63).
    """

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seed: int | None = None
        self._generator = None
        if seed is not None:
            self.own_seed(seed)

    @property
    def generator(self) -> tf.random.Generator | None:
        """The layer's own generator, None where there is no seed."""
        return self._generator

    def own_seed(self, seed: int) -> None:
        """Gives the layer a generator of its own, as the constructor does.

        Args:
          seed: As for the constructor.

        Raises:
          ValueError: as the constructor.
        """
        self.seed = _check_seed(seed)
        self._generator = tf.random.Generator.from_state(_stream(self.seed), "philox")

    def seed_noise(self, seed) -> None:
        """Makes what is drawn next depend on `seed` alone, of a layer with a generator of its own.

        Args:
          seed: Integer, or int64 scalar tensor.

        Raises:
          ValueError: if the layer has no `seed`.
        """
        if self._generator is None:
            raise ValueError(f"Layer {self.name!r} has no generator: construct it with a `seed`.")
        self._generator.reset(_stream(seed))

    def uniform(self, shape, dtype=tf.float32) -> tf.Tensor:
        """Draws numbers that are uniform on [0, 1).

        Args:
          shape: Of the result.
          dtype: Floating-point dtype.
        """
        draw = tf.random.uniform if self._generator is None else self._generator.uniform
        return draw(shape, dtype=dtype)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def _check_seed(seed) -> int:
    return check_integer("seed", seed, -(2**63), 2**63 - 1)


def _stream(seed):
    # The counter, of two words, and the key, which alone tells streams apart: `from_seed` counts
    # from the seed on, so that two layers would draw the same numbers one after the other.
    return tf.stack([0, 0, tf.cast(seed, tf.int64)])
