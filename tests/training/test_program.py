"""Training steps as programs: exported, described, run by JAX where there is one, collected."""

import csv
import dataclasses
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.photographs import photograph
from tfsq import codec, training
from tfsq.architectures import NETWORKS
from tfsq.layers import StochasticQuantizer, get, names
from tfsq.training import program as program_module
from tfsq.training import state_files

SMALL = {
    "num_filters": 6,
    "num_latents": 8,
    "crop_size": 64,
    "batch_size": 2,
    "steps": 20,
    "steps_per_epoch": 1,
    "hard_fraction": 0.5,
}
# Made by .ci/jax_environment.
JAX = pathlib.Path(__file__).parents[2] / ".jax" / "bin" / "python"
needs_jax = pytest.mark.skipif(not JAX.exists(), reason=".ci/jax_environment makes what this needs")


def settings_of(name="MeanScaleHyperprior", **changed):
    return training.TrainingSettings(**{**SMALL, "architecture": name, **changed})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    image = photograph()
    Image.fromarray(image[:200, :230]).save(folder / "a.png")
    Image.fromarray(image[100:300, 50:250]).save(folder / "b.jpg", quality=95)
    Image.fromarray(image[:192, 200:400, 0]).save(folder / "c.jpg", quality=95)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def exported(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("program") / "program"
    training.export_program(files, folder, settings_of())
    return folder


def description(folder):
    return json.loads((folder / "program.json").read_text())


def test_program_has_all_variables_of_the_network_and_its_optimizer(exported):
    written = description(exported)
    names_found = {entry["name"] for entry in written["variables"]}
    model = training.build_model(settings_of())
    trained = len(model.trainable_variables)
    assert {f"trained/{i}" for i in range(trained)} <= names_found
    # The step's counter, a moment of each, and the second of those that are Adam's.
    adams = [v for v in model.trainable_variables if not model.optimizer.is_orthogonal(v)]
    found = [name for name in names_found if name.startswith("optimizer/")]
    assert len(found) == 1 + trained + len(adams)
    assert {"generator/0", "generator/1", "scale/0", "scale/1"} <= names_found
    for part in ("soft", "hard"):
        given = [p["given"] for p in written["programs"][part]["parameters"]]
        assert {"image", "lmbda", "learning_rate"} <= set(given)
        assert ("temperature" in given) == (part == "soft")
    moved = {
        part: {p["name"] for p in step["parameters"] if p["result"] is not None}
        for part, step in written["programs"].items()
    }
    assert {f"trained/{i}" for i in range(trained)} <= moved["soft"]
    # The encoder stands still in the hard part, and noise is not drawn.
    assert moved["hard"] < moved["soft"]
    assert not any(name.startswith("generator/") for name in moved["hard"])


def test_order_of_parameters_is_checked_against_the_program(exported):
    written = description(exported)["programs"]["soft"]
    parameters = [dict(p) for p in written["parameters"]]
    header = "HloModule a, input_output_alias={ " + ", ".join(
        f"{{{p['result']}}}: ({i}, {{}}, may-alias)"
        for i, p in enumerate(parameters)
        if p["result"] is not None
    )
    short = {name: hlo for hlo, name in program_module._DTYPES.items()}
    entry = ", ".join(
        f"arg{i}.{i}: {short[p['dtype']]}[{','.join(map(str, p['shape']))}]"
        for i, p in enumerate(parameters)
    )
    text = f"{header}\nENTRY main ({entry}) -> tuple"
    assert program_module._aliases(text) == {
        p["result"]: i for i, p in enumerate(parameters) if p["result"] is not None
    }
    program_module._check_parameters(text, parameters)
    with pytest.raises(RuntimeError, match="orders the parameters of a program in another way"):
        program_module._check_parameters(text, parameters[::-1])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "MeanScaleHyperprior"])
def test_every_network_is_exported(name, files, tmp_path):
    more = {} if name != "ChannelwiseAutoregressive" else {"num_latents": 10}
    settings = settings_of(name, **more, hard_fraction=0.0)
    training.export_program(files, tmp_path / "program", settings)
    hlo = gzip.decompress((tmp_path / "program" / "soft.hlo.gz").read_bytes())
    assert b"custom-call" not in hlo


@pytest.mark.slow  # Tracing, for each surrogate.
@pytest.mark.parametrize("name", names())
def test_every_surrogate_is_exported(name, files, tmp_path):
    for policy, distortion, crop in (("float32", "mse", 64), ("mixed_bfloat16", "ms-ssim", 192)):
        settings = settings_of(
            reconstruction_quantizer=name,
            rate_quantizer=None,
            policy=policy,
            distortion=distortion,
            crop_size=crop,
            hard_fraction=0.0,
        )
        folder = tmp_path / policy
        training.export_program(files, folder, settings)
        drawn = any(v["name"].startswith("generator/") for v in description(folder)["variables"])
        assert drawn == isinstance(get(name), StochasticQuantizer)


def test_first_losses_are_those_of_training(exported):
    found = program_module.first_losses(exported, 2)
    model = program_module._seeded_model(settings_of())
    image = next(
        iter(
            training.crops_dataset(
                training.training_images(
                    [exported / e["file"] for e in description(exported)["images"]], 64
                ),
                64,
                2,
                0,
            )
        )
    )
    # The same but for the noise, which another compilation draws otherwise.
    expected = float(tf.reduce_mean(model.rate_distortion(image, training=True)["loss"]))
    assert found[0] == pytest.approx(expected, rel=0.1)
    assert found[1] != found[0]


def test_images_travel_without_loss(exported, files):
    written = description(exported)
    for entry, path in zip(written["images"], files):
        with Image.open(exported / entry["file"]) as opened:
            assert np.array_equal(np.asarray(opened.convert("RGB")), codec.read_image(path))
    kinds = [pathlib.Path(entry["file"]).suffix for entry in written["images"]]
    assert kinds == [".webp", ".jpg", ".jpg"]


def test_largest_size_is_kept_and_what_is_left_out_is_named(files, tmp_path):
    settings = settings_of(hard_fraction=0.0)
    whole = training.export_program(files, tmp_path / "whole", settings)
    assert (whole["images"], whole["left_out"]) == (3, [])
    largest = (whole["bytes"] - 1000) / 2**20
    found = training.export_program(files, tmp_path / "less", settings, max_size=largest)
    assert 0 < found["images"] < 3 and found["images"] + len(found["left_out"]) == 3
    assert found["bytes"] <= largest * 2**20
    with pytest.raises(ValueError, match="`max_size` has no place for an image. .*max_size=0.1"):
        training.export_program(files, tmp_path / "none", settings, max_size=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["less", "whole"]


def test_folder_of_something_else_is_not_replaced(files, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="`folder` must not exist, or be empty"):
        training.export_program(files, tmp_path, settings_of())
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_images_that_do_not_serve_are_refused_or_named(files, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(ValueError, match="bad.png"):
        training.export_program([tmp_path / "bad.png"], tmp_path / "a", settings_of())
    skipped: list = []
    with pytest.raises(ValueError, match="No images to train on, of 1 files"):
        training.export_program(
            [tmp_path / "bad.png"], tmp_path / "a", settings_of(), None, None, False, skipped
        )
    assert "bad.png" in skipped[0]


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
    digest = program_module.hashlib.sha256((exported / "program.json").read_bytes()).hexdigest()
    found = {"program": digest, "lmbda": 0.02, "steps": 20, "step": 12}
    found["state"] = state_files.write(folder / "one", "state_12", arrays)
    (folder / "one" / "result.json").write_text(json.dumps(found))
    (folder / "one" / "history.csv").write_text("epoch,step,loss\n")
    return folder


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
    written = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert (written["lmbda"], written["steps"], written["seed"]) == (0.02, 20, 0)


def test_collected_run_goes_on_here(exported, result, files, tmp_path):
    training.collect(exported, result, tmp_path / "run")
    settings = settings_of(lmbda=0.02)
    model = training.train(files, tmp_path / "run", settings, stop=13)
    assert int(model.optimizer.iterations) == 13


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
    with pytest.raises(ValueError, match="`start` must be the folder of a run"):
        training.export_program(files, tmp_path / "b", settings_of(), start=tmp_path)


def test_results_of_other_programs_and_full_folders_are_refused(exported, result, files, tmp_path):
    other = tmp_path / "other"
    training.export_program(files, other, settings_of("FactorizedPrior", hard_fraction=0.0))
    with pytest.raises(ValueError, match="`result` must be of the program in"):
        training.collect(other, result, tmp_path / "run")
    with pytest.raises(ValueError, match=r"`run` must name one of the runs .*'one'.*run='two'"):
        training.collect(exported, result, tmp_path / "run", "two")
    with pytest.raises(ValueError, match="`output` must not exist, or be empty"):
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


def run_program(folder, output, *arguments, **environment):
    command = [str(JAX), str(folder / "run.py"), "--output", str(output), *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def history_of(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


CASES = [
    *({"architecture": name} for name in NETWORKS),
    # Lower, the slopes of smooth staircases make of a last digit a step of its own.
    *(
        {"reconstruction_quantizer": name, "rate_quantizer": None, "final_temperature": 0.5}
        for name in names()
    ),
    {"distortion": "ms-ssim", "crop_size": 192, "lmbda": 10.0},
    {"least_detail": 8.0, "annealing_start": 0.5},
]


@needs_jax
@pytest.mark.slow  # Two compilations here, and two there.
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_losses_of_jax_are_those_of_tensorflow(case, files, tmp_path):
    if case.get("architecture") == "ChannelwiseAutoregressive":
        case = {**case, "num_latents": 10}
    settings = dataclasses.replace(settings_of(), **case)
    training.export_program(files, tmp_path / "program", settings)
    done = run_program(tmp_path / "program", tmp_path / "result")
    assert done.returncode == 0, done.stdout + done.stderr
    found = [float(row["loss"]) for row in history_of(tmp_path / "result" / "run")]
    expected = program_module.first_losses(tmp_path / "program", settings.steps)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@needs_jax
@pytest.mark.slow
def test_killed_runs_resume(files, tmp_path):
    settings = settings_of(steps=4000, steps_per_epoch=50)
    program, result = tmp_path / "program", tmp_path / "result"
    training.export_program(files, program, settings)
    arguments = ["--run", "a:0.01", "--run", "b:0.02", "--seconds", "50"]
    assert run_program(program, result, *arguments).returncode == 0
    first = json.loads((result / "a" / "result.json").read_text())["step"]
    command = [str(JAX), str(program / "run.py"), "--output", str(result), *arguments[:4]]
    process = subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    time.sleep(75)
    process.kill()
    process.wait()
    second = json.loads((result / "a" / "result.json").read_text())["step"]
    assert second > first > 0
    process = subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    time.sleep(30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert json.loads((result / "b" / "result.json").read_text())["step"] > second
    rows = history_of(result / "a")
    assert [int(row["step"]) for row in rows] == [50 * (i + 1) for i in range(len(rows))]
    found = training.collect(program, result, tmp_path / "run", "a")
    assert found["step"] < found["steps"] == 4000


@needs_jax
@pytest.mark.slow
def test_runs_that_diverge_stop_and_keep_what_was_good(files, tmp_path):
    settings = settings_of(steps=400, steps_per_epoch=100, learning_rate=1e30, hard_fraction=0.0)
    training.export_program(files, tmp_path / "program", settings)
    done = run_program(tmp_path / "program", tmp_path / "result")
    assert done.returncode == 1
    assert "run: the loss was not finite; the last good weights stay." in done.stdout
    assert not list((tmp_path / "result").glob("**/state_*"))


@needs_jax
@pytest.mark.slow
def test_other_versions_of_jax_and_damaged_files_are_refused(exported, tmp_path):
    for file, damage, message in (
        ("requirements.txt", lambda text: text.replace("jax==0", "jax==9"), "needs jax 9"),
        ("program.json", lambda text: text[:-5], "program.json is damaged"),
    ):
        folder = tmp_path / file
        shutil.copytree(exported, folder)
        (folder / file).write_text(damage((folder / file).read_text()))
        done = run_program(folder, tmp_path / "result")
        assert done.returncode == 1 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    folder = tmp_path / "images"
    shutil.copytree(exported, folder)
    (image,) = sorted((folder / "images").iterdir())[:1]
    image.write_bytes(image.read_bytes()[:-1])
    done = run_program(folder, tmp_path / "result")
    assert done.returncode == 1 and "is damaged: its digest" in done.stderr


@needs_jax
@pytest.mark.slow
def test_runner_refuses_in_a_sentence(exported, tmp_path):
    for arguments, message in (
        (["--run", "a:-1"], "needs a name and a positive lambda"),
        (["--run", "a"], "must be NAME:LMBDA"),
        (["--run", "a:1", "--run", "a:2"], "a name of its own"),
        (["--run", f"a:1:{tmp_path}"], "result.json cannot be read"),
    ):
        done = run_program(exported, tmp_path / "result", *arguments)
        assert done.returncode == 1 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1
