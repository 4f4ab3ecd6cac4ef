"""What programs wrote, as runs of `tfsq train`."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tests.training.programs.small import description, settings_of
from tfsq import codec, training
from tfsq.training import collecting, state_files
from tfsq.training import program as program_module


@pytest.fixture(scope="module")
def result(exported, tmp_path_factory):
    """What the runner would write after no step: the state that it begins with."""
    written = description(exported)
    start = state_files.read(exported, written["start"])
    arrays = {
        v["name"]: np.asarray(start.get(v["name"], np.zeros(v["shape"])), v["dtype"])
        for v in written["variables"]
    }
    folder = tmp_path_factory.mktemp("result")
    (folder / "one").mkdir()
    digest = hashlib.sha256((exported / "program.json").read_bytes()).hexdigest()
    found = {"program": digest, "lmbda": 0.02, "steps": 20, "step": 12, "final_temperature": 0.5}
    found["state"] = state_files.write(folder / "one", "state_12", arrays)
    (folder / "one" / "result.json").write_text(json.dumps(found))
    (folder / "one" / "history.csv").write_text("epoch,step,loss\n")
    return folder


@pytest.mark.slow
def test_collected_run_is_the_network_at_its_step(exported, result, tmp_path):
    found = training.collect(exported, result, tmp_path / "run")
    assert found == {"step": 12, "steps": 20}
    model = tf.keras.models.load_model(tmp_path / "run" / "model.keras")
    expected = program_module._seeded_model(settings_of())
    assert all(
        np.array_equal(a, b)
        for a, b in zip(model.trainable_variables, expected.trainable_variables)
    )
    assert model.lmbda == 0.02
    assert model.get_config()["reconstruction_quantizer"]["config"]["seed"] is None
    loaded = codec.load(tmp_path / "run" / "codec")
    data = codec.compress(photograph()[:70, :80], loaded)
    assert codec.decompress(data, loaded).shape == (70, 80, 3)
    card = (tmp_path / "run" / "codec" / codec.CARD_FILE).read_text()
    assert "12 of 20 steps" in card
    assert "files of digest" in card
    written = json.loads((tmp_path / "run" / "settings.json").read_text())
    expected = {"lmbda": 0.02, "steps": 20, "final_temperature": 0.5, "seed": 0}
    assert expected.items() <= written.items()


@pytest.mark.slow  # A run.
def test_collected_run_goes_on_here(exported, result, files, tmp_path):
    training.collect(exported, result, tmp_path / "run")
    settings = settings_of(lmbda=0.02, final_temperature=0.5)
    model = training.train(files, tmp_path / "run", settings, stop=13)
    assert int(model.optimizer.iterations) == 13


@pytest.mark.slow  # A run and two programs.
def test_programs_start_from_runs_and_from_results(exported, result, files, tmp_path):
    of_result = tmp_path / "of_result"
    training.export_program(
        files, of_result, settings_of(reconstruction_quantizer="aun"), start=result / "one"
    )
    assert description(of_result)["first_step"] == 12
    # A trained network keeps its scales, whatever the lambda of the run.
    assert description(of_result)["lmbda_powers"] == {}
    assert set(description(exported)["lmbda_powers"].values()) == {-0.5, 0.5}
    started = state_files.read(of_result, description(of_result)["start"])
    before = state_files.read(exported, description(exported)["start"])
    assert np.array_equal(started["trained/0"], before["trained/0"])

    run = settings_of(steps=4, hard_fraction=0.0)
    trained = training.train(files, tmp_path / "run", run, stop=2)
    training.export_program(files, tmp_path / "of_run", run, start=tmp_path / "run")
    assert description(tmp_path / "of_run")["first_step"] == 2
    started = state_files.read(tmp_path / "of_run", description(tmp_path / "of_run")["start"])
    assert np.array_equal(started["trained/0"], trained.trainable_variables[0])
    assert np.array_equal(started["optimizer/1"], trained.optimizer.variables[1])
    with pytest.raises(ValueError, match="`start` must be a run of the same network"):
        training.export_program(
            files, tmp_path / "b", settings_of(num_latents=9), start=result / "one"
        )
    with pytest.raises(ValueError, match="`start` must be the folder of a run, or of a codec"):
        training.export_program(files, tmp_path / "b", settings_of(), start=tmp_path)


@pytest.mark.slow
def test_results_of_other_programs_and_full_folders_are_refused(exported, result, files, tmp_path):
    other = tmp_path / "other"
    training.export_program(files, other, settings_of(hard_fraction=0.0))
    with pytest.raises(ValueError, match="`result` must be of the program in"):
        training.collect(other, result, tmp_path / "run")
    with pytest.raises(ValueError, match=r"`run` must name one of the runs .*'one'.*run='two'"):
        training.collect(exported, result, tmp_path / "run", "two")
    with pytest.raises(ValueError, match="`output` must not exist, or be an empty folder"):
        training.collect(exported, result, other)


def test_states_come_back_and_damage_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(state_files, "LARGEST_FILE", 100)
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(5, 7)).astype(np.float32),
        "b": np.array(3, np.int64),
        "c": np.array([1.0, -1e-30, 3e38, np.inf, np.nan], np.float32),
        "d": np.zeros((0, 3), np.float32),
    }
    listed = state_files.write(tmp_path, "state", arrays, halved=["c"])
    assert len(listed["files"]) > 1
    assert all((tmp_path / file["name"]).stat().st_size <= 100 for file in listed["files"])
    found = state_files.read(tmp_path, json.loads(json.dumps(listed)))
    for name in "abd":
        assert found[name].dtype == arrays[name].dtype
        assert np.array_equal(found[name], arrays[name])
    expected = tf.cast(tf.cast(arrays["c"], tf.bfloat16), tf.float32)
    assert np.array_equal(found["c"], expected, equal_nan=True)
    file = tmp_path / listed["files"][1]["name"]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(state_files.DamagedError, match="is damaged"):
        state_files.read(tmp_path, listed)
    file.unlink()
    with pytest.raises(state_files.DamagedError, match="cannot be read"):
        state_files.read(tmp_path, listed)


def test_damaged_descriptions_are_refused(exported, result, tmp_path):
    broken = shutil.copytree(result, tmp_path / "result")
    written = json.loads((broken / "one" / "result.json").read_text())
    del written["step"]
    (broken / "one" / "result.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"result.json is damaged: it lacks \['step'\]"):
        training.collect(exported, broken, tmp_path / "run")


def test_a_ladder_goes_with_the_lambda_of_its_middle():
    scaled = collecting._scaled({"lmbda": 0.02, "lmbdas": [0.01, 0.04]}, {"lmbda": 0.04})
    assert scaled == {"lmbdas": [0.02, 0.08]}
    assert collecting._scaled({"lmbda": 0.02, "lmbdas": None}, {"lmbda": 0.04}) == {}
