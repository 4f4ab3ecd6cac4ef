"""What differs between Keras 2 and Keras 3; nothing else asks which one there is.

`tf.keras` is Keras 2 up to TensorFlow 2.15 and with `TF_USE_LEGACY_KERAS=1`, Keras 3 otherwise.
"""

import keras
import tensorflow as tf

# A class that Keras 2 does not have; the number of its version is not in `tf.keras`.
IS_KERAS_3 = hasattr(tf.keras, "Operation")

if IS_KERAS_3 and keras.backend.backend() != "tensorflow":
    raise ImportError(
        "tfsq needs Keras' backend to be tensorflow, by KERAS_BACKEND or ~/.keras/keras.json. "
        f"Received: {keras.backend.backend()}"
    )

if IS_KERAS_3:
    from tfsq._keras import keras_3 as version
else:
    from tfsq._keras import keras_2 as version  # type: ignore[no-redef]

# Of `tf.keras` only in Keras 2, of `keras` in both.
saving = getattr(tf.keras, "saving", None) or keras.saving

Adam = version.Adam
FROM_FIRST_REPLICA = version.FROM_FIRST_REPLICA
LEGACY_OPTIMIZERS = version.LEGACY_OPTIMIZERS
Layer = version.Layer
Model = version.Model
NO_AUTOCAST = version.NO_AUTOCAST
create_slots = version.create_slots
leaves_steps_out = version.leaves_steps_out
minimize = version.minimize
parts_of = version.parts_of
slope_of = version.slope_of
weights_of = version.weights_of

__all__ = [
    "FROM_FIRST_REPLICA",
    "IS_KERAS_3",
    "LEGACY_OPTIMIZERS",
    "NO_AUTOCAST",
    "Adam",
    "Layer",
    "Model",
    "create_slots",
    "leaves_steps_out",
    "minimize",
    "parts_of",
    "saving",
    "slope_of",
    "weights_of",
]
