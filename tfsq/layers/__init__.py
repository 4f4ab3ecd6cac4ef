"""Keras layers: one per surrogate, and zero-center quantization."""

from tfsq.layers.additive_uniform_noise import AdditiveUniformNoise
from tfsq.layers.annealed_stochastic_rounding import AnnealedStochasticRounding
from tfsq.layers.base import AnnealedQuantizer, Quantizer, StochasticQuantizer
from tfsq.layers.differentiable_soft_quantization import DifferentiableSoftQuantization
from tfsq.layers.finding import find
from tfsq.layers.gain import Gain
from tfsq.layers.kumaraswamy_soft_rounding import KumaraswamySoftRounding
from tfsq.layers.noisy_soft_rounding import NoisySoftRounding
from tfsq.layers.registry import get, names, register
from tfsq.layers.soft_rounding import SoftRounding
from tfsq.layers.stochastic_gumbel_annealing import StochasticGumbelAnnealing
from tfsq.layers.stochastic_rounding import StochasticRounding
from tfsq.layers.stochastic_uniform_annealing import StochasticUniformAnnealing
from tfsq.layers.straight_through_rounding import StraightThroughRounding
from tfsq.layers.universal_quantization import UniversalQuantization
from tfsq.layers.zero_center_quantization import ZeroCenterQuantization

__all__ = [
    "AdditiveUniformNoise",
    "AnnealedQuantizer",
    "AnnealedStochasticRounding",
    "DifferentiableSoftQuantization",
    "Gain",
    "KumaraswamySoftRounding",
    "NoisySoftRounding",
    "Quantizer",
    "SoftRounding",
    "StochasticGumbelAnnealing",
    "StochasticQuantizer",
    "StochasticRounding",
    "StochasticUniformAnnealing",
    "StraightThroughRounding",
    "UniversalQuantization",
    "ZeroCenterQuantization",
    "find",
    "get",
    "names",
    "register",
]
