"""Muon: singular values, size of the updates, what is left to Adam, and where it runs."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.photographs import photograph
from tests.tiny import Tiny
from tfsq import training
from tfsq._keras import IS_KERAS_3
from tfsq.training.muon import orthogonalize

# Where singular values end, says its docstring.
LEAST, MOST = 0.68, 1.21


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_singular_values_go_to_one_and_vectors_stay(rows, columns, seed):
    generator = np.random.default_rng(seed)
    left, _ = np.linalg.qr(generator.normal(size=(rows, rows)))
    right, _ = np.linalg.qr(generator.normal(size=(columns, columns)))
    rank = min(rows, columns)
    values = np.geomspace(1.0, 0.01, rank)
    matrix = (left[:, :rank] * values) @ right[:, :rank].T
    found = left[:, :rank].T @ orthogonalize(tf.constant(matrix)).numpy() @ right[:, :rank]
    assert np.all((np.diag(found) > LEAST) & (np.diag(found) < MOST))
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-6)


def test_directions_of_next_to_no_gradient_stay_small():
    matrix = np.diag([1.0, 1e-6])
    found = orthogonalize(tf.constant(matrix)).numpy()
    assert found[0, 0] > 0.65 and 0.0 < found[1, 1] < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_stays_zero(dtype):
    found = orthogonalize(tf.zeros((3, 2), dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, 0.0)


def test_the_update_of_a_kernel_has_the_size_that_was_asked_for():
    kernel = tf.Variable(tf.zeros((5, 5, 8, 16)), name="kernel")
    optimizer = training.Muon(0.5, rms_rate=0.2)
    gradient = tf.constant(np.random.default_rng(0).normal(size=(5, 5, 8, 16)), tf.float32)
    optimizer.apply_gradients([(1e4 * gradient, kernel)])
    assert LEAST < np.sqrt(np.mean(kernel.numpy() ** 2)) / (0.5 * 0.2) < MOST
    assert np.sum(kernel.numpy() * gradient.numpy()) < 0.0


@pytest.mark.parametrize("outputs, block", [(64, 64), (97, 49), (192, 64)])
def test_outputs_are_orthogonal_to_those_of_their_block(outputs, block):
    kernel = tf.Variable(tf.zeros((5, 5, 8, outputs)), name="kernel")
    gradient = np.random.default_rng(0).normal(size=kernel.shape)
    training.Muon(1.0, rms_rate=1.0).apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
    update = kernel.numpy().reshape(-1, outputs)
    for first in range(0, outputs, block):
        values = np.linalg.svd(update[:, first : first + block], compute_uv=False)
        assert values.min() > LEAST * np.sqrt(200)
        assert values.max() < MOST * np.sqrt(200)


def steps_of(optimizer, variables, count=3):
    generator = np.random.default_rng(1)
    for _ in range(count):
        gradients = [tf.constant(generator.normal(size=v.shape), v.dtype) for v in variables]
        optimizer.apply_gradients(zip(gradients, variables))
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize(
    "name, shape", [("bias", (4,)), ("dense", (4, 3)), ("analysis_shortcut/kernel", (4, 4, 3, 5))]
)
def test_the_rest_is_adams(name, shape):
    makers = (training.Muon, tf.keras.optimizers.Adam)
    found, expected = (
        steps_of(make(1e-2, global_clipnorm=1.0), [tf.Variable(tf.ones(shape), name=name)])
        for make in makers
    )
    np.testing.assert_array_equal(found, expected)


def test_kernels_are_not_adams():
    kernel = tf.Variable(tf.ones((4, 4, 3, 5)), name="conv/kernel")
    assert training.Muon().is_orthogonal(kernel)
    assert not training.Muon(excluded=("conv",)).is_orthogonal(kernel)


def test_traced_and_xla_steps_are_those_of_eager():
    def run(**compiled):
        optimizer = training.Muon(1e-2)
        kernel = tf.Variable(tf.ones((3, 3, 4, 5)), name="kernel")
        optimizer.build([kernel])
        step = lambda gradient: optimizer.apply_gradients([(gradient, kernel)])  # noqa: E731
        if compiled:
            step = tf.function(step, **compiled)
        generator = np.random.default_rng(2)
        for _ in range(3):
            step(tf.constant(generator.normal(size=kernel.shape), tf.float32))
        return kernel.numpy()

    np.testing.assert_allclose(run(autograph=False), run(), rtol=1e-4)
    np.testing.assert_allclose(run(jit_compile=True), run(), rtol=1e-4)


@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_networks_learn_and_come_back_from_a_file(policy, tmp_path):
    tf.keras.utils.set_random_seed(0)
    model = Tiny(6, 8, shortcut="dct", dtype=policy)
    model.compile(
        training.Muon(4e-3, momentum=0.9, rms_rate=0.2, excluded=("shortcut",)), lmbda=0.01
    )
    images = tf.constant(photograph()[None, :64, :64], tf.float32)
    history = model.fit(tf.data.Dataset.from_tensors(images).repeat(8), epochs=2, verbose=0)
    first, second = history.history["loss"]
    assert second < first
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, training.Muon)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for saved, restored in zip(model.optimizer.variables, loaded.optimizer.variables):
        np.testing.assert_array_equal(saved, restored)


@pytest.mark.slow
def test_a_run_of_adam_goes_on_with_muon(tmp_path):
    def compiled(optimizer):
        model = Tiny(4, 6)
        model.compile(optimizer, lmbda=0.01)
        model.optimizer.build(model.trainable_variables)
        return model

    adam = compiled(tf.keras.optimizers.Adam(1e-3))
    images = tf.constant(photograph()[None, :64, :64], tf.float32)
    adam.fit(tf.data.Dataset.from_tensors(images).repeat(3), verbose=0)
    path = tf.train.Checkpoint(optimizer=adam.optimizer).write(str(tmp_path / "state"))
    muon = compiled(training.Muon(1e-3))
    status = tf.train.Checkpoint(optimizer=muon.optimizer).read(path)
    # Keras 3's own keeps no learning rate.
    status.expect_partial() if IS_KERAS_3 else status.assert_consumed()
    for saved, restored in zip(adam.optimizer.variables, muon.optimizer.variables):
        np.testing.assert_array_equal(saved, restored)


@pytest.mark.parametrize(
    "arguments",
    [
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"rms_rate": 0.0},
        {"rms_rate": np.inf},
        {"excluded": "conv"},
    ],
)
def test_bad_arguments_are_named(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received"):
        training.Muon(**arguments)


def test_updates_follow_both_means():
    kernel = tf.Variable(tf.zeros((3, 3, 4, 5)), name="kernel")
    optimizer, rng = training.Muon(0.5, momentum=0.8, rms_rate=0.2), np.random.default_rng(3)
    mean, expected = np.zeros(kernel.shape), np.zeros(kernel.shape)
    for _ in range(3):
        gradient = rng.normal(size=kernel.shape)
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
        mean = 0.8 * mean + 0.2 * gradient
        ahead = tf.constant((0.8 * mean + 0.2 * gradient).reshape(-1, 5), tf.float32)
        # A learning rate of 0.5 times 0.2, and the root of the larger side.
        expected -= 0.5 * 0.2 * 6 * orthogonalize(ahead).numpy().reshape(kernel.shape)
    np.testing.assert_allclose(kernel, expected, atol=1e-3)
