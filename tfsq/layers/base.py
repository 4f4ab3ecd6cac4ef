"""What all quantizer layers share: dtypes, noise, temperature and the hard path."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from tfsq._keras import FROM_FIRST_REPLICA, NO_AUTOCAST, Layer, saving
from tfsq.layers.checks import check_temperature, checked_latent
from tfsq.layers.seeded import Seeded
from tfsq.surrogates import straight_through_rounding
from tfsq.surrogates._numerics import arithmetic_dtype


def deserialize_layers(config: dict, keys) -> dict:
    """Returns a copy of `config` in which the serialized layers are layers again.

    Args:
      config: What a `get_config` returned.
      keys: The keys whose values may be serialized layers.
    """
    layers = {
        key: saving.deserialize_keras_object(config[key])
        for key in keys
        if isinstance(config.get(key), dict)
    }
    return {**config, **layers}


class Quantizer(Layer):
    """Base class: a surrogate while training, rounding (half to even) otherwise.

    A subclass overrides `surrogate(y, noise)`. Floating-point input of any shape and dtype comes
    back in its own dtype, whatever the layer's dtype policy; nothing is cast on the way in.

    Args:
      hard: Whether to round while training, too, with the straight-through gradient, instead of
        the surrogate. What is traced already does not notice a change of this attribute;
        `tfsq.callbacks.SoftThenHard` changes it in the middle of `model.fit`.
      **kwargs: `name`, `dtype` and the like, passed to `tf.keras.layers.Layer`.
    """

    def __init__(self, hard: bool = False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if not isinstance(hard, bool):
            raise ValueError(f"`hard` must be True or False. Received: hard={hard!r}")
        self.supports_masking = True
        self._initially_hard = self.hard = hard

    def surrogate(self, y, noise):
        """Returns what training uses in the place of round(y); to be overridden.

        Args:
          y: Floating-point tensor, the latent.
          noise: What `sample_noise` returned for the shape of `y`.

        Returns:
          Tensor of the shape and dtype of `y`.
        """
        raise NotImplementedError

    def sample_noise(self, shape, dtype=tf.float32):
        """Draws the noise that one call on a latent consumes.

        Args:
          shape: Shape of the latent, a `tf.TensorShape`, tuple or integer tensor.
          dtype: Floating-point dtype of the noise.

        Returns:
          A tensor of dtype `dtype`; None for a surrogate that is deterministic.
        """
        del shape, dtype
        return None

    def call(self, y, training=None, noise=None):
        """Quantizes.

        Args:
          y: Floating-point tensor of any shape, the latent.
          training: Python boolean or boolean tensor. The surrogate if true, otherwise rounding.
          noise: The noise to use instead of a fresh draw; same contract as `sample_noise`.

        Returns:
          Tensor of the shape and dtype of `y`.

        Raises:
          TypeError: if `y` is not floating-point.
          ValueError: if `noise` does not have the shape that `sample_noise` gives.
        """
        y = checked_latent(y, self.name)
        noise = None if noise is None else self._checked_noise(noise, y)
        if tf.is_tensor(training):
            return tf.cond(
                tf.cast(training, tf.bool),
                lambda: self._train(y, noise),
                lambda: tf.round(y),
            )
        return self._train(y, noise) if training else tf.round(y)

    def compute_output_shape(self, input_shape):
        return tf.TensorShape(input_shape)

    def draw_noise(self, y):
        """Draws the noise for a call on the tensor `y`, as `call` itself does.

        Args:
          y: Floating-point tensor, the latent.

        Returns:
          What `sample_noise` returns for the shape of `y`, in at least float32.
        """
        shape = y.shape if y.shape.is_fully_defined() else tf.shape(y)
        return self.sample_noise(shape, arithmetic_dtype(y.dtype))

    def get_config(self):
        # As with a temperature, what a callback has made of it is not in the configuration.
        return {**super().get_config(), "hard": self._initially_hard}

    def _train(self, y, noise):
        if self.hard:
            return straight_through_rounding(y)
        return self.surrogate(y, self.draw_noise(y) if noise is None else noise)

    def _checked_noise(self, noise, y):
        return tf.convert_to_tensor(noise)


class StochasticQuantizer(Seeded, Quantizer):
    """Base class of the surrogates with noise, one uniform number for each element of the latent.

    A surrogate with other noise overrides `noise_quantile` and `noise_axes`.

    Args:
      seed: None draws from TensorFlow's global random state, which
        `tf.keras.utils.set_random_seed` sets. An integer gives the layer a generator of its own,
        see `Seeded`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Raises:
      ValueError: if `seed` is not None or an integer in [-2^63, 2^63).
    """

    # Axes of the noise after those of the latent.
    noise_axes: tuple[int, ...] = ()

    def noise_quantile(self, v):
        """Turns uniform numbers into noise, by its inverse cumulative.

        Args:
          v: Floating-point tensor, uniform on (0, 1).

        Returns:
          Tensor of the shape and dtype of `v`: v - 1/2, unless overridden.
        """
        return v - 0.5

    def sample_noise(self, shape, dtype=tf.float32):
        """Draws the noise for a latent of this shape; see `Quantizer.sample_noise`."""
        v = self.uniform(_concatenated(shape, self.noise_axes), arithmetic_dtype(dtype))
        return tf.cast(self.noise_quantile(v), dtype)

    def _checked_noise(self, noise, y):
        noise = tf.convert_to_tensor(noise)
        expected = y.shape.concatenate(self.noise_axes)
        if not noise.shape.is_compatible_with(expected):
            axes = f" and then {self.noise_axes}" if self.noise_axes else ""
            raise ValueError(
                f"`noise` must have the shape of `y`{axes}, {expected}, for layer {self.name!r}. "
                f"Received: shape={noise.shape}"
            )
        return noise


def _concatenated(shape, axes):
    return tf.concat([shape, axes], 0) if tf.is_tensor(shape) else tuple(shape) + axes


class AnnealedQuantizer(Quantizer):
    """Base class of the surrogates with a temperature, to be listed first among the bases.

    The temperature is a non-trainable float32 weight, which mixed precision does not cast.

    Args:
      temperature: Initial temperature, in (0, 1]. A callback lowers it during training.
      **kwargs: passed on.

    Raises:
      ValueError: if `temperature` is not in (0, 1].
    """

    # What a callback may anneal: attribute -> (value, name in errors) -> checked float.
    annealed_attributes: ClassVar[dict[str, Callable]] = {"temperature": check_temperature}

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self._temperature = self._add_annealed("temperature", temperature)

    @property
    def temperature(self) -> tf.Variable:
        """The temperature, a float32 scalar variable; assigning a number to it is checked."""
        return self._temperature

    @temperature.setter
    def temperature(self, value):
        self._assign_annealed("temperature", value)

    def get_config(self):
        initial = {name: getattr(self, f"_initial_{name}") for name in self.annealed_attributes}
        return {**super().get_config(), **initial}

    def _add_annealed(self, attribute, value):
        value = self.annealed_attributes[attribute](value, attribute)
        setattr(self, f"_initial_{attribute}", value)
        return self.add_weight(
            name=self.weight_name(attribute),
            shape=(),
            dtype=tf.float32,
            initializer=tf.keras.initializers.Constant(value),
            trainable=False,
            **NO_AUTOCAST,
            **FROM_FIRST_REPLICA,
        )

    def _assign_annealed(self, attribute, value):
        value = self.annealed_attributes[attribute](value, attribute)
        getattr(self, attribute).assign(value)
