"""Expectations over latent and noise, with their standard errors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy.stats import qmc

from tfsq.analysis.sources import Source
from tfsq.layers import AnnealedQuantizer, Quantizer, StochasticQuantizer, get
from tfsq.layers.checks import check_integer

# Independent scramblings of a Sobol sequence, from whose scatter the standard error comes.
REPLICATES = 8
# Of one element in a second moment. Where the noise that matters is hardly ever drawn, one element
# is about half of it; with a slope of 1/t inside risers of width t, a few percent at most.
_LARGEST_SHARE = 0.1


def prepared(surrogate, temperature: float | None, seed: int | None = None) -> Quantizer:
    """Returns a copy of a quantizer layer at a temperature.

    Args:
      surrogate: A layer, or what `tfsq.layers.get` takes.
      temperature: In (0, 1]; None keeps the layer's own.
      seed: Seed of the copy's noise; None keeps the layer's own.

    Returns:
      The copy; the layer that was given stays as it is.

    Raises:
      ValueError: if `temperature` is given for a layer without one.
    """
    layer = get(surrogate)
    config = layer.get_config()
    if seed is not None and isinstance(layer, StochasticQuantizer):
        config["seed"] = seed
    copy = type(layer).from_config(config)
    for attribute, value in _annealed(layer).items():
        setattr(copy, attribute, value)
    if isinstance(layer, AnnealedQuantizer) and temperature is not None:
        copy.temperature = temperature
    elif temperature is not None:
        raise ValueError(
            f"`temperature` must be None for {type(layer).__name__}, which has none. "
            f"Received: temperature={temperature}"
        )
    return copy


def _annealed(layer):
    """The present values of the annealed attributes, as short as float32 tells them apart."""
    values = {name: getattr(layer, name) for name in getattr(layer, "annealed_attributes", ())}
    return {name: float(f"{float(tf.convert_to_tensor(v)):.7g}") for name, v in values.items()}


def name_of(layer: Quantizer) -> str:
    """Returns the class name of a layer and what, but the temperature, is not the default."""
    # Of the class itself, Python 3.9 would give that of `__new__`.
    signature = inspect.signature(type(layer).__init__).parameters
    settings = {**layer.get_config(), **_annealed(layer)}
    shown = [
        f"{name}={settings[name]}"
        for name, parameter in signature.items()
        if name in settings.keys() - {"temperature", "seed"} and settings[name] != parameter.default
    ]
    return " ".join([type(layer).__name__, *shown, *(["hard"] if layer.hard else [])])


def temperature_of(layer: Quantizer) -> float | None:
    """Returns the temperature of a layer, None if it has none."""
    return _annealed(layer).get("temperature")


class Resolution:
    """Whether samples tell the second moment of a gradient.

    They do not where a few elements make up all of it, as with noisy soft rounding at a low
    temperature, whose variance of the order of exp(1 / t) lies in noise that is hardly ever drawn.
    """

    def __init__(self):
        self._largest, self._sum = 0.0, 0.0

    def add(self, gradient: np.ndarray) -> None:
        """Takes an array of samples into account."""
        squares = np.square(gradient)
        self._largest = max(self._largest, float(squares.max(initial=0.0)))
        self._sum += float(squares.sum())

    def __bool__(self):
        return self._largest <= _LARGEST_SHARE * self._sum


def noise_of(layer: Quantizer, v: np.ndarray) -> tf.Tensor | None:
    """Returns the noise that uniform numbers give, by the layer's quantile function.

    Args:
      layer: Quantizer layer.
      v: Array [..., dimensions] on (0, 1), with `noise_dimensions(layer)` dimensions.

    Returns:
      Noise for a latent of shape [...], None for a deterministic layer.
    """
    if not isinstance(layer, StochasticQuantizer):
        return None
    return layer.noise_quantile(tf.constant(v.reshape(*v.shape[:-1], *layer.noise_axes)))


def noise_dimensions(layer: Quantizer) -> int:
    """Returns how many random numbers a layer takes for one element.

    Raises:
      TypeError: if the layer draws noise without being a `StochasticQuantizer`.
    """
    if isinstance(layer, StochasticQuantizer):
        return int(np.prod(layer.noise_axes, dtype=int))
    if layer.sample_noise((1,)) is not None:
        raise TypeError(
            f"{type(layer).__name__} draws noise: to be measured, it must be a "
            "`tfsq.layers.StochasticQuantizer` with a `noise_quantile`."
        )
    return 0


@functools.lru_cache(maxsize=8)
def _points(source, dimensions, seed, log2_points):
    """Latents [replicates, points], and uniform numbers for the noise with a last axis."""
    replicates = []
    for rng in np.random.default_rng(seed).spawn(REPLICATES):
        # The sequence has 30 bits; half a step keeps off the ends.
        v = qmc.Sobol(dimensions, seed=rng).random_base2(log2_points) + 2.0**-31
        replicates.append(np.clip(v, 2.0**-31, 1 - 2.0**-31))
    v = np.stack(replicates)
    return tf.constant(source.quantile(v[..., 0])), v[..., 1:]


def estimate(
    source: Source, layer: Quantizer, seed: int, log2_points: int, statistics: Callable
) -> tuple:
    """Estimates expectations over latent and noise by randomized quasi-Monte Carlo.

    Args:
      source: Law of the latent.
      layer: Quantizer layer.
      seed: Seed of the randomization.
      log2_points: The number of points of a replicate, as a power of two.
      statistics: Callable (y, noise) -> sequence of arrays [replicates], averages over the points
        of a replicate or functions of them. y is a float64 tensor [replicates, points].

    Returns:
      (values, standard errors), arrays with one element for each statistic.

    Raises:
      ValueError: if `log2_points` is not an integer from 1 to 30, or `seed` not one of at least 0.
    """
    check_integer("log2_points", log2_points, 1, 30)
    check_integer("seed", seed, 0)
    y, v = _points(source, 1 + noise_dimensions(layer), seed, log2_points)
    values = np.stack(statistics(y, noise_of(layer, v)))
    return values.mean(1), values.std(1, ddof=1) / np.sqrt(REPLICATES)
