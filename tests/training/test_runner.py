"""What the runner computes without JAX is what tfsq computes: crops, schedules, warm-up."""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfsq.training
from tests.photographs import photograph
from tfsq import training
from tfsq.training import state_files
from tfsq.training.settings import annealing

RUNNER = pathlib.Path(tfsq.training.__file__).parent / "runner" / "run.py"
SETTINGS = {"steps": 40, "steps_per_epoch": 10, "batch_size": 2, "crop_size": 64}


@pytest.fixture
def runner(monkeypatch):
    # Beside run.py, in an exported program.
    monkeypatch.setitem(sys.modules, "state_files", state_files)
    spec = importlib.util.spec_from_file_location("runner_of_programs", RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("least_detail", [0.0, 8.0])
def test_crops_are_those_of_training(runner, least_detail):
    image = photograph()
    images = [image[:100, :120], image[50:300, 100:300]]
    settings = {**SETTINGS, "seed": 3, "least_detail": least_detail}
    crops = runner.Crops(images, settings)
    places = crops.places(5, 3, 4)
    found = []
    for offset, width, flip in places[:3].reshape(-1, 3):
        rows = np.arange(64)
        pixels = offset + 3 * (rows[:, None] * width + rows)[..., None] + np.arange(3)
        window = crops.pixels[pixels]
        found.append(window[:, ::-1] if flip else window)
    expected = training.crops_dataset(images, 64, 2, 3, 5, least_detail).take(3)
    assert np.array_equal(np.reshape(found, (3, 2, 64, 64, 3)), list(expected.as_numpy_iterator()))


def test_schedules_are_those_of_training(runner):
    settings = training.TrainingSettings(**SETTINGS, hard_fraction=0.25, annealing_start=0.5)
    found = runner.schedules(vars(settings), 3, 37, None)
    rates = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
    callback = annealing(settings)
    np.testing.assert_allclose(
        found["temperature"], [callback.temperature_at(step) for step in range(3, 40)], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["learning_rate"], [float(rates(step)) for step in range(3, 40)], rtol=1e-5, atol=1e-9
    )
    warm = runner.schedules(vars(settings), 3, 37, 3)["learning_rate"]
    assert warm[0] == pytest.approx(found["learning_rate"][0] / runner.WARM_UP)


@pytest.mark.parametrize(
    ("first_step", "has_moments", "warms"),
    [(0, False, False), (20, True, False), (20, False, True)],
)
def test_adam_warms_up_where_its_moments_did_not_come_along(
    runner, tmp_path, monkeypatch, first_step, has_moments, warms
):
    arrays = {"trained/0": np.ones(3, np.float32)}
    if has_moments:
        arrays["optimizer/0"] = np.array(20)
    program = {
        "digest": "",
        "metrics": ["loss"],
        "settings": {"lmbda": 0.01},
        "lmbda_powers": {},
        "first_step": first_step,
        "start": state_files.write(tmp_path, "start", arrays),
        "variables": [
            {"name": "trained/0", "shape": [3], "dtype": "float32"},
            {"name": "trained/1", "shape": [2], "dtype": "float32"},
            {"name": "optimizer/0", "shape": [], "dtype": "int64"},
        ],
    }
    monkeypatch.setattr(runner, "HERE", tmp_path)
    run = runner.Run("a", {"lmbda": 0.01, "steps": 40}, tmp_path / "a", program, 40)
    run.begin(None)
    assert (run.warm_from is not None) == warms
    assert run.state["trained/1"].tolist() == [0.0, 0.0]
    run.save("a device")
    again = runner.Run("a", {"lmbda": 0.01, "steps": 40}, tmp_path / "a", program, 40)
    again.begin(None)
    assert (again.step, again.warm_from) == (first_step, run.warm_from)
    assert json.loads((tmp_path / "a" / "result.json").read_text())["device"] == "a device"


def test_results_belong_to_one_process(runner, tmp_path):
    folder = tmp_path / "new" / "results"
    runner.lock(folder)
    assert list(folder.iterdir()) == []
    # Another opening of the folder stands for another process.
    with pytest.raises(SystemExit, match=r"Another process works in .*results"):
        runner.lock(folder)


def test_the_last_epoch_may_be_shorter(runner, tmp_path):
    settings = {"steps_per_epoch": 4, "hard_fraction": 0.0}
    program = {"settings": settings, "metrics": ["loss"], "digest": ""}
    run = runner.Run("a", {"lmbda": 0.01, "steps": 12}, tmp_path, program, 10)
    for steps in (4, 4, 2):
        assert runner.chunk_length(run, 100.0) == steps
        run.count(np.ones(1) * steps, steps, 1.0, 0.1)
    assert [row[:2] for row in run.rows] == [[0, 4], [1, 8], [2, 10]]
    assert [float(row[2]) for row in run.rows] == [1.0, 1.0, 1.0]
    assert run.is_done


def test_runs_have_temperatures_of_their_own(runner):
    settings = {**vars(training.TrainingSettings(**SETTINGS)), "annealing_start": 0.5}
    texts = ["soft:1:1", "hard:1e-6:1e-6:0", "late:1:0.1:0.75"]
    found = runner.parsed_annealing(texts, ["soft", "hard", "late", "other"], settings)
    assert sorted(found) == ["hard", "late", "soft"]
    assert found["soft"]["annealing_start"] == 0.5
    for name, first, middle, last in (
        ("soft", 1.0, 1.0, 1.0),
        ("hard", 1e-6, 1e-6, 1e-6),
        ("late", 1.0, 1.0, 0.1),
    ):
        given = runner.schedules({**settings, **found[name]}, 0, 41, None)["temperature"]
        np.testing.assert_allclose(given[[0, 30, 40]], [first, middle, last], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:1", "must be NAME:FROM:TO"),
        ("b:1:0.1", "once for a run that `--run` names"),
        ("a:1:x", "must be NAME:FROM:TO"),
        ("a:0.1:1", "needs 0 < TO <= FROM <= 1"),
        ("a:1:0.1:1", "0 <= STAYS < 1"),
    ],
)
def test_other_temperatures_are_refused(runner, text, message):
    with pytest.raises(SystemExit, match=message):
        runner.parsed_annealing([text], ["a"], {"annealing_start": 0.0})


def test_a_run_resumes_with_its_temperatures_alone(runner, tmp_path, monkeypatch):
    settings = {"lmbda": 0.01, "steps": 40, "steps_per_epoch": 10}
    program = {"digest": "", "metrics": ["loss"], "settings": settings, "lmbda_powers": {}}
    program |= {"first_step": 0, "variables": [], "start": {"arrays": [], "files": []}}
    monkeypatch.setattr(runner, "HERE", tmp_path)
    changed = {"lmbda": 0.01, "steps": 40, "initial_temperature": 1.0, "final_temperature": 0.1}
    run = runner.Run("a", changed, tmp_path / "a", program, 40)
    run.begin(None)
    run.save("a device")
    other = {**changed, "final_temperature": 0.2}
    for changes in (other, {"lmbda": 0.01, "steps": 40}):
        with pytest.raises(SystemExit, match="holds another run: (final|initial)_temperature"):
            runner.Run("a", changes, tmp_path / "a", program, 40).begin(None)
    runner.Run("a", changed, tmp_path / "a", program, 10).begin(None)
