"""Codecs of every network, and files of theirs, for benchmarks and tests that need many."""

import pathlib

import numpy as np
import tensorflow as tf

from tests.photographs import photograph
from tfsq import codec
from tfsq.architectures import NETWORKS
from tfsq.entropy_models import FactorizedEntropyModel

SIZES = ((40, 70), (64, 64))


def busy_model(network, shortcut=None):
    """An untrained network whose latents have many symbols, as trained ones have."""
    tf.keras.utils.set_random_seed(3)
    slices = {"num_slices": 4} if network == "ChannelwiseAutoregressive" else {}
    model = NETWORKS[network](num_filters=6, num_latents=8, shortcut=shortcut, **slices)
    model.compile("adam", lmbda=0.01)
    enlarge_kernels(model)
    for part in model.submodules:
        if isinstance(part, FactorizedEntropyModel):
            # As training moves them, off the grid.
            part.loc.assign(tf.random.stateless_uniform(part.loc.shape, [0, 1], -0.5, 0.5))
    return model


def enlarge_kernels(model) -> None:
    """Spreads the latents of an untrained network over many symbols."""
    layers = {layer.name: layer for layer in model.analysis.layers}
    analysis = layers.get("nonlinear_analysis", model.analysis)
    for transform, factor in ((analysis, 100.0), (getattr(model, "hyper_analysis", None), 5.0)):
        if transform:
            kernel = transform.layers[-1].kernel
            kernel.assign(factor * kernel)


def export_networks(folder: pathlib.Path, networks=tuple(NETWORKS)) -> None:
    """Exports a codec of every network, each into a folder of its name."""
    for network in networks:
        codec.export(busy_model(network), folder / network)


def link_shipped(folder: pathlib.Path) -> None:
    """Puts those that come with tfsq beside them."""
    for shipped in codec.shipped_qualities().values():
        (folder / shipped.name).symlink_to(shipped)


def load_codecs(folder: pathlib.Path) -> dict:
    """Loads all codecs in a folder, by name."""
    return {path.name: codec.load(path) for path in sorted(folder.iterdir())}


def images() -> list[np.ndarray]:
    """Crops of a photograph."""
    return [photograph()[80 : 80 + height, 100 : 100 + width] for height, width in SIZES]
