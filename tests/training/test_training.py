import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tests.strategies import two_replicas
from tests.training.small import HYPERPRIOR, SMALL, weights_of
from tfsq import codec, layers, training
from tfsq.architectures import DCTShortcut
from tfsq.training import settings as settings_module


def everything_of(model):
    scales = [part.scale.numpy() for part in layers.find(model, DCTShortcut)]
    return [*weights_of(model), *scales]


def batches(files, seed=0, count=5, first_batch=0):
    images = training.training_images(files, 64)
    data = training.crops_dataset(images, 64, batch_size=3, seed=seed, first_batch=first_batch)
    return np.stack([batch.numpy() for batch in data.take(count)])


@pytest.mark.slow
def test_crops_come_from_the_images_and_repeat_with_the_seed(files):
    first = batches(files)
    assert first.shape == (5, 3, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, batches(files))
    assert not np.array_equal(first, batches(files, seed=1))
    assert np.array_equal(first[2:], batches(files, count=3, first_batch=2))
    windows = [
        np.lib.stride_tricks.sliding_window_view(codec.read_image(path), (64, 64, 3))[:, :, 0]
        for path in files
    ]
    places = [window.reshape(-1, 64, 64, 3) for window in windows]
    flipped = 0
    for crop in first.reshape(-1, 64, 64, 3):
        straight = any((place == crop).all(axis=(1, 2, 3)).any() for place in places)
        mirrored = any((place == crop[:, ::-1]).all(axis=(1, 2, 3)).any() for place in places)
        assert straight or mirrored
        flipped += mirrored
    assert 0 < flipped < 15


def test_flat_crops_are_drawn_again():
    # One half is flat: of four draws, all are flat once in sixteen times, and crops at the border.
    images = [np.zeros([400, 400, 3], np.uint8)]
    images[0][:, 200:] = np.random.default_rng(0).integers(256, size=[400, 200, 3])
    flat = {}
    for least_detail in (0.0, 20.0):
        data = training.crops_dataset(images, 16, 50, seed=1, least_detail=least_detail)
        crops = np.concatenate([batch.numpy() for batch in data.take(10)])
        flat[least_detail] = np.mean([training.detail_of(crop) < 20.0 for crop in crops])
    assert flat[0.0] == pytest.approx(0.5, abs=0.1)
    assert flat[20.0] == pytest.approx(0.5**4, abs=0.04)


def test_detail_is_the_mean_difference_of_neighbors():
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8)[:, np.newaxis, np.newaxis], [1, 16, 3])
    assert training.detail_of(ramp) == training.detail_of(ramp[::-1]) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "`steps` must be an integer from 1 to 2147483647. Received: steps=0"),
        ({"steps": 1000.5}, "`steps` must be an integer"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be an integer from 1 to"),
        ({"batch_size": 4.5}, "`batch_size` must be an integer from 1 to"),
        ({"num_filters": 0}, "`num_filters` must be an integer from 1 to"),
        ({"num_latents": 2.5}, "`num_latents` must be an integer from 1 to"),
        ({"scale_lower_bound": -1.0}, "0 < scale_lower_bound < scale_upper_bound < inf"),
        ({"scale_lower_bound": 300.0}, "0 < scale_lower_bound < scale_upper_bound < inf"),
        ({"stop_gradient": "x"}, "`stop_gradient` must be one of .* Received: stop_gradient='x'"),
        ({"rate_quantizer": layers.get("aun")}, "`rate_quantizer` must be a name or a config"),
        ({"rate_quantizer": "nothing"}, "`rate_quantizer` is no quantizer"),
        ({"crop_size": 100}, "`crop_size` must be a multiple of 64"),
        (
            {"crop_size": 128, "distortion": "ms-ssim"},
            "must have at least 161 pixels a side for the distortion 'ms-ssim'",
        ),
        ({"seed": -1}, "`seed` must be an integer from 0 to 4294967295. Received: seed=-1"),
        (
            {"hard_fraction": 1.0},
            r"`hard_fraction` must be in \[0, 1\). Received: hard_fraction=1.0",
        ),
        ({"architecture": "Nothing"}, r"must be one of \['FactorizedPrior', .*'Nothing'"),
        (
            {"architecture": "FactorizedPrior", "scale_lower_bound": 0.1},
            "`scale_lower_bound` must be None for FactorizedPrior, which has no hyperprior",
        ),
        (
            {"architecture": "FactorizedPrior", "hyper_width": 8},
            "`hyper_width` must be None for FactorizedPrior.*Received: hyper_width=8",
        ),
        ({"policy": "float16"}, "`policy` must be one of .*Received: 'float16'"),
        (
            {"hyper_width": 0},
            "`hyper_width` must be an integer from 1 to .* Received: hyper_width=0",
        ),
        ({"final_temperature": 0.0}, r"`final_temperature` must be in \(0, 1\]"),
        ({"initial_temperature": 0.04}, "`final_temperature` must be at most"),
        ({"lmbda": 0.0}, "`lmbda` must be positive and finite in float32. Received: lmbda=0.0"),
        ({"lmbdas": (0.02, 0.01)}, "`lmbdas` must be at least two numbers, each larger"),
        ({"lmbda": 0.5, "lmbdas": (0.01, 0.04)}, "None, or the middle of `lmbdas`, 0.02. Received"),
        ({"annealing_start": 1.0}, r"`annealing_start` must be in \[0, 1\)"),
        ({"shortcut": "fft"}, r"`shortcut` must be None or one of \['dct'\]. Received: .*'fft'"),
        ({"least_detail": -1.0}, "`least_detail` must be finite and not negative"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be positive and finite"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive and finite"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        training.TrainingSettings(**setting)


@pytest.mark.usefixtures("eagerly")
def test_temperature_stays_until_annealing_starts(files, tmp_path):
    settings = training.TrainingSettings(
        **SMALL, annealing_start=0.5, initial_temperature=0.8, final_temperature=0.1
    )
    training.train(files, tmp_path / "run", settings)
    with (tmp_path / "run" / "history.csv").open() as opened:
        found = [float(row["temperature"]) for row in csv.DictReader(opened)]
    # Of steps 1, 3 and 5; it falls from step 3 on, and would reach the end at step 6.
    assert found == pytest.approx([0.8, 0.8, 0.8 * 0.125 ** (2 / 3)], rel=1e-5)


@pytest.mark.parametrize(("distortion", "lmbda"), [("mse", 0.0130), ("ms-ssim", 16.64)])
def test_shortcut_begins_for_the_lambda_of_the_squared_error(distortion, lmbda):
    settings = training.TrainingSettings(
        lmbda=lmbda, distortion=distortion, num_filters=3, num_latents=4, crop_size=192
    )
    # The two are a pair of CompressAI's.
    assert training.build_model(settings).initial_lmbda == pytest.approx(0.0130, rel=0.01)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("small", "width", "bound"),
    [
        (SMALL, {}, {}),
        pytest.param(
            HYPERPRIOR, {"hyper_width": 7}, {"scale_lower_bound": 0.01}, marks=pytest.mark.slow
        ),
    ],
)
def test_runs_that_start_from_another_have_its_weights_and_see_the_crops_that_follow(
    small, width, bound, files, tmp_path
):
    aun = training.TrainingSettings(**small, reconstruction_quantizer="aun", **width)
    started = training.train(files, tmp_path / "start", aun, stop=2)
    assert not (tmp_path / "start" / "codec").exists()
    seen = []

    class Look(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append((int(self.model.optimizer.iterations), weights_of(self.model)))

    other = training.TrainingSettings(
        **small, reconstruction_quantizer="ste", rate_quantizer="aun", **width, **bound
    )
    callbacks = [Look()]
    model = training.train(files, tmp_path / "arm", other, callbacks, start=tmp_path / "start")
    ((step, weights),) = seen
    assert step == 2
    assert all(np.array_equal(a, b) for a, b in zip(weights, weights_of(started)))
    assert int(model.optimizer.iterations) == 6
    for name, value in bound.items():
        assert getattr(model.latent_model, name) == value
    for name, value in width.items():
        assert getattr(model, name) == value
    assert type(model.latent_model.reconstruction_quantizer).__name__ == "StraightThroughRounding"


@pytest.mark.slow  # Two runs; the scale alone is in `test_shortcut`.
def test_runs_that_start_from_another_lambda_are_the_same_network(files, tmp_path):
    start = training.TrainingSettings(**SMALL, lmbda=0.003)
    started = training.train(files, tmp_path / "start", start, stop=2)
    image = tf.constant(photograph()[np.newaxis, :64, :64])
    expected, found = started(image, training=False)[0], []

    class Look(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.append(self.model(image, training=False)[0])

    other = dataclasses.replace(start, lmbda=0.03)
    training.train(files, tmp_path / "arm", other, [Look()], start=tmp_path / "start", stop=4)
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_runs_of_builds_with_other_pixels_are_refused(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, shortcut=None)
    training.train(files, tmp_path / "start", settings, stop=2)
    file = tmp_path / "start" / "settings.json"
    written = json.loads(file.read_text())
    for name in ("centered", "shortcut", "least_detail", "annealing_start"):
        del written[name]
    file.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="start holds a run of an earlier build.*from 0 to 1"):
        training.train(files, tmp_path / "start", settings)
    with pytest.raises(ValueError, match="start holds a run of an earlier build.*from 0 to 1"):
        training.train(files, tmp_path / "arm", settings, start=tmp_path / "start")


@pytest.mark.slow
@pytest.mark.parametrize("hard_fraction", [0.0, 0.5])
def test_annealing_may_start_at_the_last_step(hard_fraction):
    settings = training.TrainingSettings(
        steps=10, steps_per_epoch=10, annealing_start=0.99, hard_fraction=hard_fraction
    )
    model = training.build_model(dataclasses.replace(settings, num_filters=3, num_latents=4))
    last = round(10 * (1.0 - hard_fraction))
    temperatures = {}
    for step in (last - 1, last):
        settings_module.apply_step(model, settings, step)
        temperatures[step] = float(model.latent_model.reconstruction_quantizer.temperature)
    assert temperatures == {last - 1: pytest.approx(1.0), last: pytest.approx(0.05)}


def test_the_hard_part_trains_no_part_of_the_encoder():
    settings = training.TrainingSettings(**{**HYPERPRIOR, "hard_fraction": 0.5})
    model = training.build_model(settings)
    settings_module.apply_step(model, settings, settings.steps)
    frozen = {part.name for part in model.layers if not part.trainable}
    assert {"analysis", "hyper_analysis"} <= frozen
    assert model.synthesis.trainable and model.hyper_synthesis.trainable


@pytest.mark.parametrize("stop", [3, 8, 0])
def test_steps_that_no_epoch_ends_at_are_refused(files, tmp_path, stop):
    with pytest.raises(ValueError, match=f"`stop` must be a multiple .*stop={stop}"):
        training.train(files, tmp_path / "run", training.TrainingSettings(**SMALL), stop=stop)


@pytest.mark.usefixtures("eagerly")
def test_start_must_be_a_run(files, tmp_path):
    with pytest.raises(ValueError, match="`start` must be the folder of a run"):
        training.train(
            files, tmp_path / "run", training.TrainingSettings(**SMALL), start=tmp_path / "none"
        )
    assert not (tmp_path / "run" / "settings.json").exists()


@pytest.mark.usefixtures("eagerly")
def test_start_must_fit(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, reconstruction_quantizer="ste")
    training.train(files, tmp_path / "start", settings, stop=2)

    def begin(**changes):
        changed = dataclasses.replace(settings, **changes)
        training.train(files, tmp_path / "arm", changed, start=tmp_path / "start")

    with pytest.raises(
        ValueError, match="same network. Received: .*start with num_filters=3, here 5"
    ):
        begin(num_filters=5)
    with pytest.raises(
        ValueError, match="same network. Received: .*start with shortcut=dct, here None"
    ):
        begin(shortcut=None)
    many = {"lmbda": None, "lmbdas": (0.001, 0.004)}
    with pytest.raises(ValueError, match="num_latents=4, here 6, number of lmbdas=0, here 2"):
        begin(num_latents=6, **many)
    with pytest.raises(ValueError, match="cannot go from step 2 to step 2"):
        begin(steps=2)
    with pytest.raises(ValueError, match="cannot go from step 2 to step 6.*steps_per_epoch=3"):
        begin(steps_per_epoch=3)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_run_that_was_killed_before_its_first_epoch_begins_with_the_same_codec(files, tmp_path):
    settings = training.TrainingSettings(**SMALL)
    training.train(files, tmp_path / "start", settings)
    arm, start = tmp_path / "arm", tmp_path / "start" / "codec"
    training.train(files, arm, settings, start=start, stop=2)
    shutil.rmtree(arm / "checkpoints")
    with pytest.raises(ValueError, match="what it began with: codec [0-9a-f]{64}. Rec.*None"):
        training.train(files, arm, settings, stop=2)
    training.train(files, arm, settings, start=start, stop=2)


@pytest.mark.usefixtures("eagerly")
def test_a_start_whose_settings_are_damaged_is_named(files, tmp_path):
    settings = training.TrainingSettings(**SMALL)
    training.train(files, tmp_path / "start", settings, stop=2)
    assert training.network_of(str(tmp_path / "start"))["num_filters"] == 3
    file = tmp_path / "start" / "settings.json"
    file.write_text('{"centered": true, "steps": "many"}')
    with pytest.raises(ValueError, match="settings.json is damaged"):
        training.network_of(tmp_path / "start")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_codec_is_a_start_of_weights_alone(files, tmp_path):
    settings = training.TrainingSettings(**SMALL, lmbdas=(0.002, 0.006))
    ended = everything_of(training.train(files, tmp_path / "start", settings))
    codec_folder = tmp_path / "start" / "codec"

    class Begins(tf.keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.weights = everything_of(self.model)
            self.step = int(self.model.optimizer.iterations.numpy())

    begins = Begins()
    # With other lambdas, a shortcut would have another scale.
    other = dataclasses.replace(settings, lmbda=None, lmbdas=(0.004, 0.012))
    training.train(files, tmp_path / "arm", other, [begins], codec_folder, stop=2)
    assert begins.step == 0
    assert all(map(np.array_equal, begins.weights, ended))
    model_hash = codec.load(codec_folder).metadata["model_hash"]
    written = json.loads((tmp_path / "arm" / "settings.json").read_text())
    assert written["start_codec"] == model_hash
    training.export_run(tmp_path / "arm")
    card = (tmp_path / "arm" / "codec" / codec.CARD_FILE).read_text()
    assert f"began with the weights of codec {model_hash}" in card
    # Nor does what goes on from that run forget it.
    longer = dataclasses.replace(other, steps=6)
    training.train(files, tmp_path / "longer", longer, start=tmp_path / "arm", stop=4)
    written = json.loads((tmp_path / "longer" / "settings.json").read_text())
    assert written["start_codec"] == model_hash
    # A resumed run does not begin there again.
    again = training.train(files, tmp_path / "arm", other, start=codec_folder, stop=2)
    assert not all(map(np.array_equal, everything_of(again), ended))
    with pytest.raises(ValueError, match="codec with num_latents=4, here 6"):
        wider = dataclasses.replace(settings, num_latents=6)
        training.train(files, tmp_path / "other", wider, start=codec_folder)
    metadata = json.loads((codec_folder / "tfsq.json").read_text())
    metadata["config"]["centered"] = False
    (codec_folder / "tfsq.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="sees pixels from -1/2 to 1/2.*which sees 0 to 1"):
        training.train(files, tmp_path / "other", settings, start=codec_folder)
    (codec_folder / "tfsq.json").write_text(json.dumps({**metadata, "config": None}))
    with pytest.raises(codec.ModelError, match="tfsq.json has no config: None"):
        training.train(files, tmp_path / "other", settings, start=codec_folder)
    wrong = {**metadata, "config": {**metadata["config"], "centered": True}, "model_hash": "0"}
    (codec_folder / "tfsq.json").write_text(json.dumps(wrong))
    with pytest.raises(codec.ModelError, match="are not those that its tfsq.json names"):
        training.train(files, tmp_path / "other", settings, start=codec_folder)
    (codec_folder / "tfsq.json").write_text("{}")
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq"):
        training.train(files, tmp_path / "other", settings, start=codec_folder)
    assert not (tmp_path / "other" / "settings.json").exists()


def test_strategies_are_checked(files, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="`strategy` must be one of .*mirrored.*'many'"):
        training.strategy_of("many")
    for config in ("", "{'task': 1}"):
        monkeypatch.setenv("TF_CONFIG", config)
        with pytest.raises(ValueError, match="multi_worker needs JSON in .* TF_CONFIG"):
            training.strategy_of("multi_worker")
    monkeypatch.delenv("TF_CONFIG")
    settings = training.TrainingSettings(**{**SMALL, "batch_size": 3})
    with pytest.raises(ValueError, match="multiple of the 2 replicas. Received: batch_size=3"):
        training.train(files, tmp_path / "run", settings, strategy=two_replicas())


@pytest.mark.usefixtures("eagerly")
def test_two_replicas_share_each_batch_and_have_one_temperature(files, tmp_path):
    settings = training.TrainingSettings(
        **SMALL, rate_quantizer=None, reconstruction_quantizer="ste"
    )
    alone = training.train(files, tmp_path / "alone", settings, stop=2)
    both = training.train(files, tmp_path / "both", settings, stop=2, strategy=two_replicas())
    for a, b in zip(weights_of(alone), weights_of(both)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
