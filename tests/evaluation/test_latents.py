import csv

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from tests.photographs import photograph
from tfsq import layers
from tfsq.analysis import report
from tfsq.architectures import MeanScaleHyperprior
from tfsq.cli import app
from tfsq.evaluation import latent_batch


@pytest.fixture
def quick(monkeypatch):
    """A report of few temperatures, bounds and surrogates."""
    monkeypatch.setattr(report, "TEMPERATURES", (1.0, 0.1))
    monkeypatch.setattr(report, "BOUNDS", (0.05, 0.5))
    monkeypatch.setattr(report, "LMBDAS", (3.0,))
    monkeypatch.setattr(report, "SOURCES", report.SOURCES[:2])
    monkeypatch.setattr(report, "RESIDUALS", report.RESIDUALS[:2])
    chosen = [layers.get("sua"), layers.get("aun")]
    monkeypatch.setattr(report, "surrogates", lambda: chosen)
    monkeypatch.setattr(report, "recommended", lambda: [layers.get("aun")])


def test_every_registered_surrogate_is_measured():
    assert {type(layer) for layer in report.surrogates()} == set(layers.names().values())


@pytest.mark.slow  # Every table and figure.
def test_analyze_writes_tables_and_figures(quick, tmp_path):
    result = CliRunner().invoke(app, ["analyze", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "scalar quantizer" in result.stdout
    assert "scale_lower_bound" in result.stdout
    assert result.stdout.rstrip().splitlines()[-1].startswith("    tfsq train IMAGES --output RUN")
    for name in ("limit", "mismatch", "gradient_risk", "loc_risk", "rate_mismatch"):
        with (tmp_path / "out" / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) > 1, name
    for name in ("staircase", "mismatch", "gradient_risk", "rate_mismatch", "recommendation"):
        with Image.open(tmp_path / "out" / f"{name}.png") as figure:
            assert min(figure.size) > 300


@pytest.mark.slow
def test_analyze_takes_a_model_and_images(quick, model, tmp_path):
    model.save(tmp_path / "model.keras")
    for number, size in enumerate(((70, 100), (64, 130))):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    files = sorted(tmp_path.glob("*.png"))
    batch = latent_batch(tmp_path / "model.keras", files)
    assert batch.latents.shape == (2, 4, 4, 8)
    # The loss is that of the reconstruction.
    image = tf.constant(np.stack([np.array(Image.open(file))[:64, :64] for file in files]))
    y_hat = np.round(batch.residuals) + batch.locs
    values = model.rate_distortion(image, training=False)
    expected = model.lmbda * tf.reduce_mean(values["mse"])
    loss = batch.loss(tf.constant(y_hat, tf.float32))
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.slow
def test_latents_of_many_rates_are_in_steps_of_a_quality(tmp_path):
    many = MeanScaleHyperprior(6, 8, shortcut="dct", lmbdas=(0.002, 0.006, 0.018))
    many.compile("adam")
    many.save(tmp_path / "model.keras")
    image = np.array(photograph()[:64, :64])
    Image.fromarray(image).save(tmp_path / "image.png")
    files = [tmp_path / "image.png"]
    low, high = (latent_batch(tmp_path / "model.keras", files, quality=q) for q in (1, 3))
    for name in ("latents", "locs", "scales"):
        np.testing.assert_allclose(getattr(high, name), 3 * getattr(low, name), rtol=2e-3)
    y_hat = np.round(high.residuals) + high.locs
    values = many.rate_distortion(image[None], training=False, quality=3)
    expected = 0.018 * float(values["mse"][0])
    assert float(high.loss(tf.constant(y_hat, tf.float32))) == pytest.approx(expected, rel=1e-3)


def test_image_that_is_too_small_is_an_error(tmp_path):
    Image.fromarray(np.zeros((20, 80, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="small.png is 80x20, smaller than 64 pixels"):
        latent_batch(images=[tmp_path / "small.png"])
    with pytest.raises(ValueError, match="`images` must not be empty"):
        latent_batch(images=[])
