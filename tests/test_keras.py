"""What `tfsq._keras` promises, whichever Keras there is."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.architectures.networks import make_model
from tests.tiny import Tiny
from tfsq import layers, training
from tfsq._keras import minimize, parts_of, weights_of
from tfsq.architectures import NETWORKS

# The shapes of all weights of `make_model`, as Keras 2 orders them.
SHAPES = json.loads((pathlib.Path(__file__).parent / "golden" / "weights.json").read_text())


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_in_the_order_of_keras_2(name):
    model = make_model(name, lmbdas=(0.002, 0.018))
    shapes = [list(weight.numpy().shape) for weight in weights_of(model)]
    assert shapes == SHAPES[name]


def test_weights_that_are_not_trained_come_behind_those_that_are():
    model = Tiny(4, 6)
    before = [id(weight) for weight in weights_of(model)]
    assert len(before) == len(set(before))
    assert {id(weight) for weight in model.weights} <= set(before)
    model.analysis.trainable = False
    assert sorted(id(weight) for weight in weights_of(model)) == sorted(before)


def test_parts_are_those_of_nested_layers_too():
    quantizer = layers.get("sua")
    inner = tf.keras.Sequential([tf.keras.Input([3]), quantizer])
    model = tf.keras.Sequential([tf.keras.Input([3]), inner])
    assert any(part is quantizer for part in parts_of(model))
    module = tf.Module()
    module.layer = layers.ZeroCenterQuantization(quantizer)
    assert any(part is quantizer for part in parts_of(module))


@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_of_an_optimizer_is_its_own(scaled):
    weight = tf.Variable([1.0, -2.0])
    optimizer = tf.keras.optimizers.SGD(0.5)
    if scaled:
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build([weight])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(weight))
    minimize(optimizer, loss, [weight], tape)
    np.testing.assert_allclose(weight, [0.0, 0.0], atol=1e-6)


def test_run_folders_of_keras_2_go_on(tmp_path):
    # Weights, moments, step and learning rate have the same names in checkpoints of both.
    model = Tiny(4, 6)
    schedule = tf.keras.optimizers.schedules.CosineDecay(1e-3, 10)  # as runs have
    model.compile(training.Muon(schedule), lmbda=0.01)
    model.optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(weights=model.trainable_variables, optimizer=model.optimizer)
    path = checkpoint.write(str(tmp_path / "state"))
    names = {name.partition("/.")[0] for name, _ in tf.train.list_variables(path)}
    count = len(model.trainable_variables)
    expected = {f"weights/{i}" for i in range(count)}
    expected |= {f"optimizer/_variables/{i}" for i in range(1, 2 * count + 1)}
    expected |= {"optimizer/_iterations"}
    assert expected <= names
    rate = {"optimizer/_current_learning_rate", "optimizer/_learning_rate"}
    assert names - expected - rate <= {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter"}
