"""Networks of the literature, as Keras models."""

from tfsq.architectures.base import CompressionModel
from tfsq.architectures.gdn import GDN
from tfsq.architectures.mean_scale_hyperprior import MeanScaleHyperprior

__all__ = ["GDN", "CompressionModel", "MeanScaleHyperprior"]
