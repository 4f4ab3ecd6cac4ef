import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    # What the pinned TensorFlow warns of at import is not ours to mend.
    warnings.simplefilter("ignore")
    import tensorflow as tf
    import tensorflow_compression
    import tensorflow_probability  # noqa: F401

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "tfsq", deadline=None, max_examples=50, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("tfsq")

# Two devices, so that strategies with two replicas can run.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

assert tensorflow_compression is not None


@pytest.fixture(autouse=True)
def _reproducible():
    tf.keras.utils.set_random_seed(20231)
