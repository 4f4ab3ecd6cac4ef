"""Runs that are interrupted, diverge, or are called again."""

import csv
import fcntl
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import SMALL, weights_of
from tfsq import codec, training
from tfsq.training import run_folder
from tfsq.training.history import History, forget_epochs

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.mark.slow
def test_a_deterministic_run_that_was_interrupted_ends_as_if_it_was_not(files, tmp_path):
    settings = training.TrainingSettings(
        **SMALL, rate_quantizer=None, reconstruction_quantizer="ste"
    )
    whole = training.train(files, tmp_path / "whole", settings, stop=4)
    training.train(files, tmp_path / "parts", settings, stop=2)
    parts = training.train(files, tmp_path / "parts", settings, stop=4)
    for a, b in zip(weights_of(whole), weights_of(parts)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_run_that_is_over_is_what_it_was_when_called_again(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, final_temperature=0.25, hard_fraction=0.3)

    def state(model):
        quantizer = model.latent_model.reconstruction_quantizer
        return float(quantizer.temperature), quantizer.hard, not model.analysis.trainable

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


@pytest.mark.parametrize("stop", [pytest.param(2, marks=pytest.mark.slow), 4])
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


@pytest.mark.slow
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
    with pytest.raises(ValueError, match="images=2 files of digest .*, now 1 files of"):
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


@pytest.mark.slow
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


@pytest.mark.slow  # Two runs.
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


@pytest.mark.slow  # Four runs.
def test_the_last_epoch_may_be_shorter(files, tmp_path):
    settings = training.TrainingSettings(**{**SMALL, "steps": 5})

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 5:
                raise KeyboardInterrupt

    training.train(files, tmp_path / "run", settings)
    with pytest.raises(KeyboardInterrupt):
        training.train(files, tmp_path / "other", settings, callbacks=[Stop()])
    assert not (tmp_path / "other" / "codec").exists()
    training.train(files, tmp_path / "other", settings)
    tables = [(tmp_path / name / "history.csv").read_text() for name in ("run", "other")]
    epochs = [[row["epoch"] for row in csv.DictReader(t.splitlines())] for t in tables]
    assert epochs == [["0", "1", "2"]] * 2
    model = training.train(files, tmp_path / "run", settings)
    assert int(model.optimizer.iterations) == 5
    assert (tmp_path / "run" / "codec").is_dir()


@pytest.mark.slow
def test_a_run_has_one_process(files, tmp_path):
    settings = training.TrainingSettings(**{**SMALL, "steps": 2})

    class Second(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for start in (
                lambda: training.train(files, tmp_path / "run", settings),
                lambda: training.export_run(tmp_path / "run"),
            ):
                with pytest.raises(ValueError, match=r"Another process works on the run in .*run"):
                    start()

    training.train(files, tmp_path / "run", settings, callbacks=[Second()])
    assert (tmp_path / "run" / "codec").is_dir()
    # One that was killed leaves a file behind, and no lock.
    assert (tmp_path / "run" / ".lock").exists()
    assert training.export_run(tmp_path / "run") == {"step": 2, "steps": 2, "card": True}


@pytest.mark.slow
def test_noise_without_a_seed_does_not_repeat_when_a_run_goes_on(files, tmp_path):
    drawn = []

    class Draw(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            drawn.append(tf.random.uniform([100]).numpy())

    settings = training.TrainingSettings(**SMALL)
    for stop in (2, 4):
        training.train(files, tmp_path / "run", settings, callbacks=[Draw()], stop=stop)
    assert len(drawn) == 2
    assert not set(drawn[0]) & set(drawn[1])


@pytest.mark.parametrize("comes_another", [False, True])
def test_a_lock_that_was_taken_away_is_none(comes_another, tmp_path, monkeypatch):
    lock, removed = tmp_path / "run" / ".lock", []
    flock = fcntl.flock

    def flock_after_another_process_has_left(opened, operation):
        if not removed:
            removed.append(lock)
            lock.unlink()
            if comes_another:
                lock.touch()
        flock(opened, operation)

    monkeypatch.setattr(run_folder.fcntl, "flock", flock_after_another_process_has_left)
    with run_folder.locked(tmp_path / "run"):
        assert removed
        # Whoever comes later meets the file that is locked.
        with pytest.raises(ValueError, match="Another process"), run_folder.locked(lock.parent):
            pass
        (lock.parent / "settings").touch()
    assert lock.exists()


def test_folders_that_other_processes_take_or_take_away_are_no_errors(tmp_path, monkeypatch):
    run, path_open, removed = tmp_path / "run", pathlib.Path.open, []

    def open_after_another_process_has_left(path, *args):
        if not removed:
            removed.append(path)
            run.rmdir()
        return path_open(path, *args)

    monkeypatch.setattr(pathlib.Path, "open", open_after_another_process_has_left)
    with run_folder.locked(run):
        assert removed == [run / ".lock"]
    assert not run.exists()

    # A system of files that has no folders of ours must not be asked again and again.
    with pytest.raises(FileNotFoundError), run_folder.locked(pathlib.Path("/proc/run")):
        pass

    def unlink_before_another_process_comes(path):
        os.unlink(path)
        path.touch()

    monkeypatch.setattr(pathlib.Path, "unlink", unlink_before_another_process_comes)
    with run_folder.locked(run):
        pass
    assert (run / ".lock").exists()


@pytest.mark.slow  # Four exports; `test_cli` has one.
def test_an_interrupted_run_is_exported_as_it_is(files, tmp_path):
    settings = training.TrainingSettings(**{**SMALL, "hard_fraction": 0.5})
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="Not the folder of a run"):
        training.export_run(run)
    assert not run.exists()
    stopped = training.train(files, run, settings, stop=4)
    assert training.export_run(run) == {"step": 4, "steps": 6, "card": True}
    assert codec.load(run / "codec").model_id == codec.as_codec(stopped).model_id
    model = tf.keras.models.load_model(run / "model.keras")
    quantizer = model.latent_model.reconstruction_quantizer
    assert float(quantizer.temperature) == pytest.approx(
        float(stopped.latent_model.reconstruction_quantizer.temperature)
    )
    # It goes on as if nothing had happened.
    finished = training.train(files, run, settings)
    assert int(finished.optimizer.iterations) == 6
    (tmp_path / "empty").mkdir()
    (run / "settings.json").rename(tmp_path / "empty" / "settings.json")
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        training.export_run(tmp_path / "empty")


@pytest.mark.parametrize(
    "changed",
    [{"steps": "many"}, {"steps": None}, {"seed": [1]}, {"architecture": ["a"]}, {"lmbda": -1}],
)
def test_damaged_settings_are_refused(changed, tmp_path):
    written = {**vars(training.TrainingSettings()), "centered": True, **changed}
    (tmp_path / "settings.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"settings\.json is damaged: "):
        training.export_run(tmp_path)
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(ValueError, match=r"settings\.json is damaged: it holds no settings"):
        training.export_run(tmp_path)


def test_damaged_histories_and_files_in_place_of_runs_are_refused(files, tmp_path):
    history = tmp_path / "history.csv"
    history.write_text("epoch,loss\n0,1\ngarbage,2\n")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        forget_epochs(history, 1)
    history.write_text("epoch,loss\n0,1\n1,2\n2,")
    forget_epochs(history, 1)
    assert history.read_text() == "epoch,loss\n0,1\n"
    with pytest.raises(OSError, match="A file, not a folder to write"):
        training.train(files, history, training.TrainingSettings(**SMALL))


def test_sessions_of_other_columns_share_a_history(tmp_path):
    path = tmp_path / "history.csv"
    History(path).on_epoch_end(0, {"loss": 3.0, "bpp": 2.0})
    History(path).on_epoch_end(1, {"loss": 2.0, "bpp": 1.5, "val_loss": 4.0})
    # As a run that a program began, and one that was killed.
    forget_epochs(path, 2)
    History(path).on_epoch_end(2, {"loss": 1.0, "step": 6})
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "bpp", "loss", "val_loss", "step"]
    assert [list(row.values()) for row in rows] == [
        ["0", "2.0", "3.0", "NA", "NA"],
        ["1", "1.5", "2.0", "4.0", "NA"],
        ["2", "NA", "1.0", "NA", "6"],
    ]
