"""Surrogates for quantization: pure functions of (y, noise, temperature).

Each has its own gradient; noise and temperature receive none. Noise is uniform on (-1/2, 1/2), but
for stochastic Gumbel annealing. `with_slope` is what they are made of.
"""

from tfsq.surrogates._numerics import with_slope
from tfsq.surrogates.additive_uniform_noise import additive_uniform_noise
from tfsq.surrogates.annealed_stochastic_rounding import annealed_stochastic_rounding
from tfsq.surrogates.differentiable_soft_quantization import differentiable_soft_quantization
from tfsq.surrogates.kumaraswamy_soft_rounding import kumaraswamy_soft_rounding
from tfsq.surrogates.noisy_soft_rounding import noisy_soft_rounding
from tfsq.surrogates.soft_rounding import (
    soft_rounding,
    soft_rounding_conditional_mean,
    soft_rounding_inverse,
)
from tfsq.surrogates.stochastic_gumbel_annealing import stochastic_gumbel_annealing
from tfsq.surrogates.stochastic_rounding import stochastic_rounding
from tfsq.surrogates.stochastic_uniform_annealing import stochastic_uniform_annealing
from tfsq.surrogates.straight_through_rounding import straight_through_rounding
from tfsq.surrogates.universal_quantization import universal_quantization

__all__ = [
    "additive_uniform_noise",
    "annealed_stochastic_rounding",
    "differentiable_soft_quantization",
    "kumaraswamy_soft_rounding",
    "noisy_soft_rounding",
    "soft_rounding",
    "soft_rounding_conditional_mean",
    "soft_rounding_inverse",
    "stochastic_gumbel_annealing",
    "stochastic_rounding",
    "stochastic_uniform_annealing",
    "straight_through_rounding",
    "universal_quantization",
    "with_slope",
]
