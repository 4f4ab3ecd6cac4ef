"""Entropy models: Keras layers with the interface of TFC's, and surrogates of your choice."""

from tfsq.entropy_models.factorized import FactorizedEntropyModel
from tfsq.entropy_models.gaussian_bits import coded_gaussian_bits, gaussian_bits
from tfsq.entropy_models.lower_bounded_gaussian_conditional import LowerBoundedGaussianConditional

__all__ = [
    "FactorizedEntropyModel",
    "LowerBoundedGaussianConditional",
    "coded_gaussian_bits",
    "gaussian_bits",
]
