"""Surrogates for quantization: pure functions of (y, noise, temperature).

Each has its own gradient; noise and temperature receive none. Noise is uniform on (-1/2, 1/2).
"""

from tfsq.surrogates.additive_uniform_noise import additive_uniform_noise
from tfsq.surrogates.stochastic_uniform_annealing import stochastic_uniform_annealing
from tfsq.surrogates.straight_through_rounding import straight_through_rounding

__all__ = [
    "additive_uniform_noise",
    "stochastic_uniform_annealing",
    "straight_through_rounding",
]
