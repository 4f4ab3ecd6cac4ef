import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tfsq.architectures.ms_ssim import ms_ssim


def images(height=192, width=200):
    x = tf.cast(photograph()[None, :height, :width], tf.float32)
    noise = tf.random.stateless_normal(x.shape, (1, 1))
    return {
        "noisy": (x, x + 20 * noise),
        "shifted": (x, tf.roll(x, 3, axis=1) * 0.8 + 10),
        "inverted": (x, 255 - x),
        "constant": (x, tf.zeros_like(x)),
        "unrelated": (x, 128 + 100 * noise),
        "equal": (x, x),
    }


@pytest.mark.parametrize("name", ["noisy", "shifted", "equal"])
@pytest.mark.parametrize("size", [(192, 200), (161, 162), (181, 247)])
def test_value_is_that_of_tensorflow(name, size):
    x, y = images(*size)[name]
    expected = tf.image.ssim_multiscale(x, y, max_val=255.0)
    np.testing.assert_allclose(ms_ssim(x, y), expected, atol=1e-4)


@pytest.mark.parametrize("name", images())
def test_gradient_is_finite(name):
    x, y = images()[name]
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = ms_ssim(x, y)
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, y)).all()
