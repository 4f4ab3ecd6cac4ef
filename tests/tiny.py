"""A network that is traced in a second, for tests of what trains, saves and exports networks."""

import contextlib

import keras
import pytest
import tensorflow as tf

from tfsq import architectures
from tfsq.architectures import DCTShortcut, FactorizedPrior

NAME = "Tiny"


@keras.saving.register_keras_serializable(package="tfsq_tests")
class Tiny(FactorizedPrior):
    """A DCT whose coefficients are mixed, under a factorized prior."""

    def build_transforms(self):
        there, back = (
            DCTShortcut(self.num_latents, inverse, self.initial_lmbda, name=name, dtype="float32")
            for inverse, name in ((False, "analysis_shortcut"), (True, "synthesis_shortcut"))
        )
        # One kernel that is Muon's.
        mixed = tf.keras.layers.Conv2D(self.num_latents, 1)
        self.analysis = tf.keras.Sequential(
            [tf.keras.Input((None, None, 3)), there, mixed], name="analysis"
        )
        self.synthesis = tf.keras.Sequential(
            [tf.keras.Input((None, None, self.num_latents)), back], name="synthesis"
        )


@contextlib.contextmanager
def registered():
    """`TrainingSettings` and the command line know it by its name, inside of the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.NETWORKS, NAME, Tiny)
        yield


@pytest.fixture
def tiny_network():
    """It is known in a test."""
    with registered():
        yield
