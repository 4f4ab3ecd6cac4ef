"""Networks of the literature, as Keras models."""

from tfsq.architectures.base import CompressionModel
from tfsq.architectures.channelwise_autoregressive import ChannelwiseAutoregressive
from tfsq.architectures.checkerboard_hyperprior import CheckerboardHyperprior
from tfsq.architectures.factorized_prior import FactorizedPrior
from tfsq.architectures.gdn import GDN
from tfsq.architectures.hyperprior import HyperpriorModel
from tfsq.architectures.joint_autoregressive_hyperprior import JointAutoregressiveHyperprior
from tfsq.architectures.local_statistics import PredictionPath
from tfsq.architectures.mean_scale_hyperprior import MeanScaleHyperprior
from tfsq.architectures.scale_hyperprior import ScaleHyperprior
from tfsq.architectures.shortcut import DCTShortcut

NETWORKS = {
    network.__name__: network
    for network in (
        FactorizedPrior,
        ScaleHyperprior,
        MeanScaleHyperprior,
        JointAutoregressiveHyperprior,
        CheckerboardHyperprior,
        ChannelwiseAutoregressive,
    )
}
"""The networks by name, simplest first."""

__all__ = [
    "GDN",
    "NETWORKS",
    "ChannelwiseAutoregressive",
    "CheckerboardHyperprior",
    "CompressionModel",
    "DCTShortcut",
    "FactorizedPrior",
    "HyperpriorModel",
    "JointAutoregressiveHyperprior",
    "MeanScaleHyperprior",
    "PredictionPath",
    "ScaleHyperprior",
]
