"""Images kept apart: what is logged and shown of them, and that training does not notice."""

import csv
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tests.strategies import two_replicas
from tests.tiny import Tiny
from tests.training.small import HYPERPRIOR, SMALL, weights_of
from tfsq import codec, training
from tfsq.architectures import NETWORKS
from tfsq.training import data

LADDER = (0.002, 0.01, 0.05)
OF_ONE_RATE = {"val_loss", "val_bpp", "val_mse", "val_psnr"}


@pytest.fixture
def kept_apart(tmp_path):
    paths = [tmp_path / "c.png", tmp_path / "d.png"]
    codec.write_image(photograph("chelsea")[:70, :90], paths[0])
    codec.write_image(photograph("coffee")[200:330, 100:230], paths[1])
    return paths


def history_of(run):
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


def values_in(folder):
    """Dict from tags to the values that event files have of them."""
    found = {}
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                found.setdefault(value.tag, {})[event.step] = array
    return found


def compiled(lmbdas=None, network=Tiny, **kwargs):
    model = network(num_filters=3, num_latents=4, shortcut="dct", lmbdas=lmbdas, **kwargs)
    model.compile("sgd", lmbda=None if lmbdas else 0.01)
    return model


def logged(model, images, **kwargs):
    callback, logs = training.Validation(images, **kwargs), {}
    callback.set_model(model)
    callback.set_params({"epochs": 1})
    callback.on_train_begin()
    callback.on_epoch_end(0, logs)
    callback.on_train_end()
    return logs


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("lmbdas", [None, LADDER])
def test_figures_are_those_of_evaluation(lmbdas, dtype):
    images = np.stack([photograph()[:64, :80], photograph("coffee")[:64, :80]])
    model = compiled(lmbdas, dtype=dtype)
    found = logged(model, images)
    expected = model.evaluate(images, batch_size=1, verbose=0, return_dict=True)
    assert set(found) == {f"val_{name}" for name in expected}
    for name, value in expected.items():
        assert found[f"val_{name}"] == pytest.approx(value, rel=1e-4)


def check_that_training_does_not_notice(files, kept_apart, tmp_path):
    # With the noise of the default surrogates, and drawn rungs.
    settings = training.TrainingSettings(**SMALL, lmbdas=LADDER, hard_fraction=0.5)
    # The soft part and a step of the hard one.
    without = training.train(files, tmp_path / "without", settings, stop=4)
    with_it = training.train(files, tmp_path / "with", settings, validation=kept_apart, stop=4)
    for a, b in zip(weights_of(without), weights_of(with_it)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(*(history_of(tmp_path / name) for name in ("without", "with"))):
        assert float(b["val_loss"]) > 0
        assert {name: float(b[name]) for name in a} == pytest.approx(
            {name: float(value) for name, value in a.items()}, rel=1e-3
        )


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_training_does_not_notice(files, kept_apart, tmp_path):
    # Run eagerly, a draw anywhere would change all later ones.
    check_that_training_does_not_notice(files, kept_apart, tmp_path)


@pytest.mark.slow  # Traces two runs.
def test_traced_training_does_not_notice(files, kept_apart, tmp_path):
    check_that_training_does_not_notice(files, kept_apart, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_runs_go_on_with_it_or_without(files, kept_apart, tmp_path):
    settings, run = training.TrainingSettings(**SMALL), tmp_path / "run"
    training.train(files, run, settings, stop=2)
    training.train(files, run, settings, stop=4, validation=kept_apart)
    training.train(files, run, settings)
    rows = history_of(run)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name in OF_ONE_RATE:
        assert [row[name] == "NA" for row in rows] == [True, False, True]
    assert all(float(row["loss"]) > 0 for row in rows)
    assert "validation" not in json.loads((run / "settings.json").read_text())


@pytest.mark.usefixtures("eagerly")
def test_images_to_train_on_are_refused(files, kept_apart, tmp_path):
    copy = tmp_path / "copy.png"
    shutil.copy(files[1], copy)
    settings = training.TrainingSettings(**SMALL)
    with pytest.raises(ValueError, match=r"among those to train on\. Received: .*copy\.png, which"):
        training.train(files, tmp_path / "run", settings, validation=[*kept_apart, copy])
    assert not (tmp_path / "run").exists()


def test_images_that_do_not_serve_are_named(kept_apart, tmp_path):
    with pytest.raises(ValueError, match=r"c\.png is 90x70, smaller than a crop of 128"):
        data.validation_images(kept_apart, 128, 1)
    bad, skipped = tmp_path / "bad.png", []
    bad.write_bytes(b"no image")
    (image,) = data.validation_images([bad, *kept_apart], 64, 100, (), skipped.append)
    assert image.shape == (128, 128, 3)
    assert len(skipped) == 2
    with pytest.raises(ValueError, match="None of the 1 files is an image that serves"):
        data.validation_images([bad], 64, 1, (), skipped.append)
    with pytest.raises(ValueError, match="`images` must be at least one. Received: "):
        training.Validation([])
    with pytest.raises(ValueError, match="`pictures` must be .*Received: pictures=-1"):
        training.Validation([image], pictures=-1)


def test_the_middle_of_an_image_is_taken(tmp_path):
    pixels = photograph()  # 300 x 451
    codec.write_image(pixels, tmp_path / "a.png")
    (image,) = data.validation_images([tmp_path / "a.png"], 64, 1)
    assert np.array_equal(image, pixels[22:278, 97:353])


def test_models_of_other_kinds_are_refused():
    model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(2)])
    with pytest.raises(TypeError, match="Validation is for the networks of .*Received: "):
        logged(model, [photograph()])


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_run_writes_figures_and_pictures_for_tensorboard(files, kept_apart, tmp_path):
    settings = training.TrainingSettings(**SMALL, lmbdas=LADDER)
    training.train(files, tmp_path / "run", settings, validation=kept_apart, stop=4)
    rows = history_of(tmp_path / "run")
    figures = values_in(tmp_path / "run" / "logs" / "validation")
    for name in ("loss", "psnr_1", "bpp_3"):
        written = [float(figures[f"epoch_{name}"][epoch]) for epoch in range(2)]
        assert written == pytest.approx([float(row[f"val_{name}"]) for row in rows], rel=1e-5)
    pictures = values_in(tmp_path / "run" / "logs" / "pictures")
    names = [f"reconstruction_3/{number}" for number in (1, 2)]
    assert {f"reconstruction_{quality}/1" for quality in (1, 2, 3)} | set(names) <= set(pictures)
    ratios = []
    for name, original in zip(names, data.validation_images(kept_apart, 16, 1)):
        assert sorted(pictures[name]) == [0, 1]
        # Behind width and height.
        shown = tf.io.decode_png(pictures[name][1][2]).numpy().astype(float)
        left, right = np.split(shown, 2, axis=1)
        assert np.array_equal(left, original)
        ratios.append(10 * np.log10(255**2 / np.mean((right - original) ** 2)))
    # But for rounding and clipping.
    assert np.mean(ratios) == pytest.approx(float(rows[1]["val_psnr_3"]), abs=0.1)


def test_pictures_are_few(tmp_path):
    callback = training.Validation([photograph()], tmp_path)
    for epochs in (1, 7, 32, 33, 1000):
        callback.set_params({"epochs": epochs})
        shown = [epoch for epoch in range(epochs) if callback._shows(epoch)]
        assert len(shown) <= 34
        assert {0, epochs - 1} <= set(shown)
        assert epochs > 32 or len(shown) == epochs


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("name", "lmbdas"),
    [
        ("ScaleHyperprior", None),
        ("MeanScaleHyperprior", LADDER),
        pytest.param("ScaleHyperprior", LADDER, marks=pytest.mark.slow),
        pytest.param("MeanScaleHyperprior", None, marks=pytest.mark.slow),
    ],
)
def test_histograms_are_of_predicted_scales_and_of_residuals(name, lmbdas, tmp_path):
    model = compiled(lmbdas, NETWORKS[name])
    image = photograph()[:64, :128]
    logged(model, [image], folder=tmp_path, pictures=0)
    found = values_in(tmp_path)
    ends = ["_1", "_2", "_3"] if lmbdas else [""]
    assert set(found) == {f"{kind}{end}" for kind in ("scale_log2", "residual") for end in ends}
    for end in ends:
        for kind in ("scale_log2", "residual"):
            # Rows of left edge, right edge, count.
            assert found[f"{kind}{end}"][0][:, 2].sum() == 4 * 8 * 4
        if name == "MeanScaleHyperprior":
            quality = int(end[1:]) if lmbdas else None
            y, loc, scale = (t.numpy() for t in model.latents(image[np.newaxis], quality))
            scales = found[f"scale_log2{end}"][0]
            assert scales[0, 0] == pytest.approx(np.log2(scale.min()), abs=1e-4)
            assert scales[-1, 1] == pytest.approx(np.log2(scale.max()), abs=1e-4)
            residuals = found[f"residual{end}"][0]
            assert residuals[-1, 1] == pytest.approx(min((y - loc).max(), 8.0), abs=1e-3)


@pytest.mark.slow  # Two replicas on two cores; `test_training` has them every day.
@pytest.mark.usefixtures("eagerly")
def test_two_replicas_log_what_one_does(files, kept_apart, tmp_path):
    settings = training.TrainingSettings(
        **SMALL, rate_quantizer=None, reconstruction_quantizer="ste"
    )
    rows = []
    for name, strategy in (("one", None), ("two", two_replicas())):
        training.train(
            files, tmp_path / name, settings, stop=2, validation=kept_apart, strategy=strategy
        )
        rows += history_of(tmp_path / name)
    for name in OF_ONE_RATE:
        assert float(rows[0][name]) == pytest.approx(float(rows[1][name]), rel=1e-3)


@pytest.mark.slow  # Traces a hyperprior, and one with a context.
@pytest.mark.parametrize("name", ["MeanScaleHyperprior", "CheckerboardHyperprior"])
def test_hyperpriors_are_validated_as_they_are_trained(files, kept_apart, tmp_path, name):
    settings = training.TrainingSettings(
        **{**HYPERPRIOR, "architecture": name, "steps": 2, "policy": "mixed_bfloat16"}
    )
    training.train(files, tmp_path / "run", settings, validation=kept_apart)
    (row,) = history_of(tmp_path / "run")
    assert all(np.isfinite(float(row[figure])) for figure in OF_ONE_RATE)
    written = set(values_in(tmp_path / "run" / "logs" / "pictures"))
    assert ("residual" in written) == (name == "MeanScaleHyperprior")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_run_that_is_out_of_time_stops_after_an_epoch_and_goes_on(files, tmp_path):
    settings, run = training.TrainingSettings(**SMALL), tmp_path / "run"
    for step in (2, 4):
        model = training.train(files, run, settings, time_limit=1e-6)
        assert int(model.optimizer.iterations) == step
        assert not (run / "codec").exists()
    # The last epoch ends the run, in time or not.
    model = training.train(files, run, settings, time_limit=1e-6)
    assert int(model.optimizer.iterations) == 6
    assert (run / "codec").is_dir()
    assert [row["epoch"] for row in history_of(run)] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="`time_limit` must be positive.*time_limit=0"):
        training.train(files, tmp_path / "other", settings, time_limit=0)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_time_that_is_left_stops_nothing(files, tmp_path):
    settings = training.TrainingSettings(**SMALL)
    model = training.train(files, tmp_path / "run", settings, stop=4, time_limit=60)
    assert int(model.optimizer.iterations) == 4
