"""Codecs of every network, and files of theirs, for benchmarks and tests that need many."""

import pathlib

import numpy as np
import tensorflow as tf

from tests.photographs import photograph
from tfsq import codec
from tfsq.architectures import NETWORKS
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.layers import find

SIZES = ((40, 70), (64, 64))
LMBDAS = (0.002, 0.006, 0.018)


def busy_model(network, shortcut=None, lmbdas=None):
    """An untrained network whose latents have many symbols, as trained ones have."""
    tf.keras.utils.set_random_seed(3)
    slices = {"num_slices": 4} if network == "ChannelwiseAutoregressive" else {}
    sizes = {"num_filters": 6, "num_latents": 8}
    model = NETWORKS[network](**sizes, shortcut=shortcut, lmbdas=lmbdas, **slices)
    model.compile("adam", lmbda=None if lmbdas else 0.01)
    enlarge_kernels(model)
    if model.ladder:
        for i, weight in enumerate(model.gain.weights):
            weight.assign_add(tf.random.stateless_normal(weight.shape, [1, i], 0.0, 0.3))
    for part in find(model, FactorizedEntropyModel):
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


def export_networks(
    folder: pathlib.Path, networks=tuple(NETWORKS), of_many_rates=tuple(NETWORKS)
) -> None:
    """Exports codecs of networks, of one rate and of many, each into a folder of its name."""
    for network in networks:
        codec.export(busy_model(network), folder / network)
    for network in of_many_rates:
        codec.export(busy_model(network, lmbdas=LMBDAS), folder / f"{network} of many rates")


def qualities_of(found: codec.Codec, count: int) -> list:
    """Qualities at random, of a codec of many rates; its only one of another."""
    if found.ladder is None:
        return [None]
    rng = np.random.default_rng(5)
    return [found.checked_quality(q) for q in rng.uniform(1, len(found.ladder), count)]


def link_shipped(folder: pathlib.Path) -> None:
    """Puts the one that comes with tfsq beside them."""
    (folder / codec.shipped_model().name).symlink_to(codec.shipped_model())


def load_codecs(folder: pathlib.Path) -> dict:
    """Loads all codecs in a folder, by name."""
    return {path.name: codec.load(path) for path in sorted(folder.iterdir())}


def images() -> list[np.ndarray]:
    """Crops of a photograph."""
    return [photograph()[80 : 80 + height, 100 : 100 + width] for height, width in SIZES]
