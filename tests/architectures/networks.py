"""The networks, small, and which of them the tests of every day have."""

import pytest

from tfsq.architectures import NETWORKS

# They take up to half a minute to trace. Codecs of the mean-scale hyperprior are those of
# `tests/codec`; the checkerboard, which has all of their parts, is daily in `test_many_rates`.
_SLOW = {
    "CheckerboardHyperprior",
    "ScaleHyperprior",
    "MeanScaleHyperprior",
    "JointAutoregressiveHyperprior",
    "ChannelwiseAutoregressive",
}


def marked(names=tuple(NETWORKS), slow=frozenset(_SLOW)) -> list:
    """Parameters of a test: networks, those in `slow` for `.ci/slow` alone."""
    return [pytest.param(n, marks=pytest.mark.slow if n in slow else ()) for n in names]


def make_model(network, **kwargs):
    """A network of a few filters and latents."""
    if network == "ChannelwiseAutoregressive":
        kwargs = {"num_slices": 4, "max_support_slices": 2, **kwargs}
    return NETWORKS[network](**{"num_filters": 6, "num_latents": 8, **kwargs})
