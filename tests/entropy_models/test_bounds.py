import numpy as np
import pytest
import tensorflow as tf

from tfsq.entropy_models.bounds import lower_bound, upper_bound

X = [-2.0, 0.4, 0.5, 0.6, 3.0]


def gradient(bound, dtype, dy):
    x = tf.constant(X, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = bound(x, 0.5)
    assert y.dtype == dtype
    return y, tape.gradient(y, x, output_gradients=tf.fill(x.shape, tf.cast(dy, dtype)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("dy", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("bound, sign", [(lower_bound, 1), (upper_bound, -1)])
def test_gradient_passes_inside_and_towards_the_bound(bound, sign, dy, dtype):
    y, dx = gradient(bound, dtype, dy)
    clipped = np.maximum if sign > 0 else np.minimum
    np.testing.assert_allclose(tf.cast(y, tf.float64), clipped(X, 0.5), rtol=1e-2)
    is_inside = sign * np.array(X) >= sign * 0.5
    # A step of descent goes against dy.
    passes = is_inside | (sign * dy < 0)
    np.testing.assert_array_equal(tf.cast(dx, tf.float64), np.where(passes, dy, 0.0))


@pytest.mark.parametrize("bound", ["lower_bound", "upper_bound"])
def test_is_the_bound_of_tfc(bound):
    tfc = pytest.importorskip("tensorflow_compression")
    for dy in (-2.0, 2.0):
        ours = gradient(
            {"lower_bound": lower_bound, "upper_bound": upper_bound}[bound], "float32", dy
        )
        theirs = gradient(getattr(tfc, bound), "float32", dy)
        for mine, other in zip(ours, theirs):
            np.testing.assert_array_equal(mine, other)
