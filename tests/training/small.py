"""Runs that take seconds."""

from tests import tiny

SMALL = {"steps": 6, "steps_per_epoch": 2, "batch_size": 2, "crop_size": 64}
SMALL |= {"num_filters": 3, "num_latents": 4, "architecture": tiny.NAME}
# For what only a hyperprior has.
HYPERPRIOR = {**SMALL, "architecture": "MeanScaleHyperprior"}


def weights_of(model):
    return [weight.numpy() for weight in model.trainable_weights]
