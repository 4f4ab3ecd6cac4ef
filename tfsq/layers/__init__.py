"""Keras layers: one per surrogate, and zero-center quantization."""

from tfsq.layers.additive_uniform_noise import AdditiveUniformNoise
from tfsq.layers.base import AnnealedQuantizer, Quantizer, StochasticQuantizer
from tfsq.layers.stochastic_uniform_annealing import StochasticUniformAnnealing
from tfsq.layers.straight_through_rounding import StraightThroughRounding
from tfsq.layers.zero_center_quantization import ZeroCenterQuantization

__all__ = [
    "AdditiveUniformNoise",
    "AnnealedQuantizer",
    "Quantizer",
    "StochasticQuantizer",
    "StochasticUniformAnnealing",
    "StraightThroughRounding",
    "ZeroCenterQuantization",
]
