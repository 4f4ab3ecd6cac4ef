"""Runs that are interrupted, diverge, or are called again."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import SMALL, weights_of
from tfsq import training


def test_a_deterministic_run_that_was_interrupted_ends_as_if_it_was_not(files, tmp_path):
    settings = training.TrainingSettings(
        **SMALL, rate_quantizer=None, reconstruction_quantizer="ste"
    )
    whole = training.train(files, tmp_path / "whole", settings)
    training.train(files, tmp_path / "parts", settings, stop=4)
    parts = training.train(files, tmp_path / "parts", settings)
    for a, b in zip(weights_of(whole), weights_of(parts)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_run_that_is_over_is_what_it_was_when_called_again(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, final_temperature=0.25, hard_fraction=0.3)

    def state(model):
        quantizer = model.latent_model.reconstruction_quantizer
        frozen = not model.analysis.trainable and not model.hyper_analysis.trainable
        return float(quantizer.temperature), quantizer.hard, frozen

    def transforms_of(model):
        return [weight.numpy() for weight in (*model.analysis.weights, *model.synthesis.weights)]

    first = training.train(files, tmp_path / "run", settings)
    expected = transforms_of(first)
    assert state(first) == (0.25, True, True)
    again = training.train(files, tmp_path / "run", settings)
    assert state(again) == (0.25, True, True)
    saved = tf.keras.models.load_model(tmp_path / "run" / "model.keras")
    for a, b, c in zip(expected, transforms_of(again), transforms_of(saved)):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


@pytest.mark.parametrize("stop", [2, 4])
def test_divergence_is_an_error_that_names_a_good_checkpoint(files, tmp_path, stop):
    settings = training.TrainingSettings(**SMALL, reconstruction_quantizer="ste")

    class Explode(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            # After the loss of the last step of an epoch, which therefore looks well.
            if int(self.model.optimizer.iterations) == stop:
                self.model.trainable_variables[0].assign_add(
                    tf.fill(self.model.trainable_variables[0].shape, float("inf"))
                )

    run = tmp_path / "run"
    with pytest.raises(FloatingPointError, match=f"not finite at step {stop} of {stop}") as error:
        training.train(files, run, settings, [Explode()], stop=stop)
    assert not (run / "model.keras").exists()
    if stop == 2:
        assert "none, there is nothing in" in str(error.value)
        return
    checkpoint = str(error.value).split("checkpoint is ")[1]
    names = [name for name, _ in tf.train.list_variables(checkpoint) if name.startswith("weights")]
    assert names
    for name in names:
        assert np.isfinite(tf.train.load_variable(checkpoint, name)).all()
    resumed = training.train(files, run, settings, stop=stop)
    assert int(resumed.optimizer.iterations) == stop


def test_loss_that_is_not_finite_stops_the_run(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"not finite at step \d of 6.*checkpoints"):
        training.train(files, tmp_path / "run", settings)
    assert not (tmp_path / "run" / "model.keras").exists()


def test_callback_that_stops_a_run_leaves_one_to_continue(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, reconstruction_quantizer="ste")

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            # In the middle of the second epoch.
            self.model.stop_training = int(self.model.optimizer.iterations) == 3

    model = training.train(files, tmp_path / "run", settings, [Stop()])
    assert int(model.optimizer.iterations) == 3
    assert not (tmp_path / "run" / "codec").exists()
    # What a kill may leave of a history, and what becomes of it.
    (tmp_path / "run" / "history.csv").write_text("epoch,lo")
    with pytest.raises(ValueError, match="other settings: images=2 of digest .*, now 1 of digest"):
        training.train(files[:1], tmp_path / "run", settings)
    checkpoints = tmp_path / "run" / "checkpoints"
    (data,) = checkpoints.glob("*.data*")
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="checkpoint .* is damaged"):
        training.train(files, tmp_path / "run", settings)
    data.write_bytes(whole)
    (index,) = checkpoints.glob("*.index")
    index.rename(tmp_path / "index")
    with pytest.raises(ValueError, match="checkpoint in .* is damaged: files are missing"):
        training.train(files, tmp_path / "run", settings)
    (tmp_path / "index").rename(index)
    model = training.train(files, tmp_path / "run", settings, stop=4)
    assert int(model.optimizer.iterations) == 4
    with (tmp_path / "run" / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]


def test_arm_that_was_killed_early_does_not_begin_elsewhere(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, reconstruction_quantizer="ste")
    training.train(files, tmp_path / "start", settings, stop=2)

    class Kill(tf.keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(files, tmp_path / "arm", settings, [Kill()], start=tmp_path / "start")
    with pytest.raises(ValueError, match="other settings: first_step=2, now 0"):
        training.train(files, tmp_path / "arm", settings)


def test_layer_with_a_seed_does_not_repeat_its_noise_when_resumed(files, tmp_path):
    seeded = {"class_name": "tfsq>StochasticUniformAnnealing", "config": {"seed": 1}}
    settings = training.TrainingSettings(**SMALL, reconstruction_quantizer=seeded)
    drawn = []

    class Draw(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            quantizer = self.model.latent_model.reconstruction_quantizer
            drawn.append(quantizer.draw_noise(tf.zeros([100])).numpy())

    training.train(files, tmp_path / "run", settings, [Draw()], stop=2)
    training.train(files, tmp_path / "run", settings, [Draw()], stop=4)
    first, second = drawn
    assert not set(first) & set(second)
