"""Strategies of `tf.distribute` that tests use."""

import tensorflow as tf


def two_replicas():
    """A mirrored strategy over two devices, which `conftest.py` makes of one processor."""
    # Collective operations, the default, remember shapes from the tests before in the same process.
    reduction = tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], reduction)
