"""The command line, in process: `tests/codec/test_codec.py` runs it as a process."""

import csv
import dataclasses
import importlib
import inspect
import io
import os
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import tiny
from tests.command_line import run
from tests.photographs import photograph
from tfsq import codec, evaluation, training
from tfsq.cli import coding

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    codec.write_image(photograph()[:170, :180], path)
    return path


def test_compress_info_decompress(image, folder, loaded, tmp_path):
    compressed, decoded = tmp_path / "image.tfsq", tmp_path / "decoded.png"
    result = run("compress", image, compressed, "--model", folder)
    assert result.exit_code == 0, result.output
    assert f"{compressed.stat().st_size} bytes" in result.output
    result = run("info", compressed)
    assert result.exit_code == 0, result.output
    assert "180x170" in result.output
    assert loaded.model_id.hex() in result.output
    result = run("decompress", compressed, decoded, "--model", folder)
    assert result.exit_code == 0, result.output
    assert codec.read_image(decoded).shape == (170, 180, 3)


def test_evaluate(image, folder, loaded, tmp_path):
    small, file = tmp_path / "small.png", tmp_path / "figures.csv"
    codec.write_image(photograph()[:40, :50], small)
    result = run("evaluate", image, small, "--model", folder, "--csv", file)
    assert result.exit_code == 0, result.output
    assert "n/a" in result.output
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["file"] for row in rows] == [str(image), str(small), "mean"]
    figures = [evaluation.measure(codec.read_image(path), loaded) for path in (image, small)]
    for row, figure in zip(rows, figures):
        assert float(row["bpp"]) == pytest.approx(figure.bpp)
        assert float(row["psnr"]) == pytest.approx(figure.psnr)
    assert float(rows[0]["ms_ssim"]) == pytest.approx(figures[0].ms_ssim)
    assert rows[1]["ms_ssim"] == ""
    assert float(rows[2]["bpp"]) == pytest.approx((figures[0].bpp + figures[1].bpp) / 2)
    assert float(rows[2]["ms_ssim"]) == pytest.approx(figures[0].ms_ssim)
    assert {(row["codec"], row["quality"]) for row in rows} == {(folder.name, "0.02")}


@pytest.mark.slow
def test_evaluate_models_beside_references(folder, tmp_path):
    for name, size in (("a", 50), ("b", 40)):
        codec.write_image(photograph()[:size, :60], tmp_path / f"{name}.png")
        shutil.copytree(folder, tmp_path / f"run_{name}" / "codec")
    models = [word for name in "ab" for word in ("--model", tmp_path / f"run_{name}" / "codec")]
    files = {"--csv": tmp_path / "rows.csv", "--figure": tmp_path / "figure.png"}
    files["--html"] = tmp_path / "report.html"
    arguments = ["evaluate", tmp_path / "*.png", *models, "--reference", "jpeg"]
    result = run(
        *arguments, "--reference", "webp", *(word for pair in files.items() for word in pair)
    )
    assert result.exit_code == 0, result.output
    # Two models have no BD-rate.
    assert "BD-rate" not in result.output
    with Image.open(files["--figure"]) as figure:
        assert min(figure.size) > 300
    page = files["--html"].read_text(encoding="utf-8")
    pictures = page.split('id="data">')[1].split("</script>")[0].count("data:image/webp")
    assert pictures == 2 * (1 + 2 * 3)
    rows = list(csv.DictReader(files["--csv"].read_text().splitlines()))
    names = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "mean"]
    assert [row["file"] for row in rows] == names * (len(rows) // 3)
    qualities = {name: evaluation.REFERENCES[name].qualities for name in ("jpeg", "webp")}
    expected = [("run_a/codec", 0.02), ("run_b/codec", 0.02)]
    expected += [(name, quality) for name, ladder in qualities.items() for quality in ladder]
    assert [(row["codec"], float(row["quality"])) for row in rows[2::3]] == expected
    # Of references, the table shows the means alone.
    shown = [line.split() for line in result.stdout.splitlines()]
    for name, ladder in qualities.items():
        lines = [words for words in shown if name in words]
        assert [words[1] for words in lines] == ["mean"] * len(ladder)
    for row in rows[2::3]:
        assert f"{float(row['psnr']):.4f}" in result.stdout


@pytest.fixture
def disguised(monkeypatch):
    """Folders whose names are qualities of JPEG stand for codecs that give just that."""
    jpeg = evaluation.REFERENCES["jpeg"]
    fake = {
        "load": lambda path: SimpleNamespace(metadata={"lmbda": int(path.name)}, ladder=None),
        "compress": lambda image, it, quality: jpeg.at(it.metadata["lmbda"]).compress(image),
        "decompress": lambda data, it: codec.decode_image(io.BytesIO(data), "jpeg"),
    }
    for name, function in fake.items():
        monkeypatch.setattr(importlib.import_module("tfsq.evaluation.comparison"), name, function)


def test_evaluate_prints_bd_rates(disguised, tmp_path):
    path = tmp_path / "image.png"
    codec.write_image(photograph()[:100, :120], path)
    points = {
        name: [
            (figures.bpp, figures.psnr)
            for quality in reference.qualities
            for figures in [evaluation.measure(codec.read_image(path), reference.at(quality))]
        ]
        for name, reference in evaluation.REFERENCES.items()
        if name in ("jpeg", "webp")
    }
    models = [
        word for quality in evaluation.REFERENCES["jpeg"].qualities for word in ("--model", quality)
    ]
    arguments = ("evaluate", path, "--reference", "jpeg", "--reference", "webp")
    result = run(*arguments, *models)
    assert result.exit_code == 0, result.output
    for name in ("jpeg", "webp"):
        low, high = evaluation.shared_psnr(points[name], points["jpeg"])
        percent = evaluation.bd_rate(points[name], points["jpeg"])
        line = f"BD-rate of tfsq against {name}: {percent:+.2f} %, over {low:.2f} to {high:.2f} dB"
        assert line in result.stdout
    assert "against jpeg: +0.00 %" in result.stdout
    # What cannot be computed is no reason to lose what was measured.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bjontegaard", None)
        result = run(*arguments, *models[:8], "--csv", tmp_path / "rows.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("n/a: BD-rates need bjontegaard: pip install") == 2
    assert (tmp_path / "rows.csv").exists()
    assert "BD-rate" not in run("evaluate", path, *models[:6], "--reference", "jpeg").stdout
    assert "BD-rate" not in run("evaluate", path, *models[:8]).stdout


def test_evaluate_refuses_before_it_measures(image, folder, monkeypatch, tmp_path):
    arguments = ("evaluate", image, "--model", folder)
    monkeypatch.setattr(evaluation, "Comparison", None)
    for wrong, message in (
        (("--csv", tmp_path / "no" / "rows.csv"), "No such folder"),
        (("--figure", tmp_path / "no" / "figure.png"), "No such folder"),
        (("--figure", tmp_path / "figure.xyz"), "names no format that matplotlib writes"),
    ):
        result = run(*arguments, *wrong)
        assert result.exit_code == 1, result.output
        assert message in result.output
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    result = run(*arguments, "--figure", tmp_path / "figure.png")
    assert "error: Figures need matplotlib: pip install" in result.output


def test_errors_are_sentences(image, folder, tmp_path):
    bad = tmp_path / "bad.tfsq"
    bad.write_bytes(b"TFSQ")
    out, coded = tmp_path / "out.png", tmp_path / "out.tfsq"
    for arguments, message in (
        (("compress", "missing.png", coded, "--model", folder), "No such file"),
        (("compress", bad, coded, "--model", folder), "Not an image file"),
        (("compress", image, tmp_path / "no" / "a.tfsq", "--model", folder), "No such folder"),
        (("compress", image, out, "--model", folder), "must end in .tfsq"),
        (("compress", image, coded, "--model", tmp_path), "Not a codec exported by tfsq"),
        (("decompress", bad, out, "--model", folder), "Truncated .tfsq file"),
        (("info", image), "Not a .tfsq file"),
        (("evaluate", bad, "--model", folder), "Not an image file"),
        (("evaluate", "no/*.png", "--model", folder), "nothing that matches: no/*.png"),
        (("evaluate", image, "--model", folder, "--reference", "gif"), "Received: 'gif'"),
        (("evaluate", image, *["--model", folder] * 2), "must be different folders"),
        (("train", "no/*.png", "--output", tmp_path / "run"), "nothing that matches: no/*.png"),
        (("train", image, "--output", tmp_path / "run", "--steps", 0), "--steps must be"),
        (("export", tmp_path), "Not the folder of a run"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert message in result.output
        assert "Traceback" not in result.output
        assert isinstance(result.exception, SystemExit)
    assert not out.exists()
    assert not coded.exists()
    assert not (tmp_path / "run").exists()


def test_settings_that_were_refused_do_not_stay_behind(image, tmp_path):
    arguments = ("train", image, "--output", tmp_path / "run", "--steps", 2, "--steps-per-epoch", 2)
    for wrong, message in (
        (("--crop-size", 192), "is 180x170, smaller than a crop of 192"),
        (("--lmbda", -1), "--lmbda must be positive"),
        (("--distortion", "lpips"), "--distortion must be one of"),
        (
            ("--distortion", "ms-ssim"),
            "--crop-size must have at least 161 pixels a side for the distortion 'ms-ssim'",
        ),
        (("--final-temperature", 0), "--final-temperature must be in"),
        (("--architecture", "VAE"), "--architecture must be one of"),
        (("--rate-quantizer", "none"), "--rate-quantizer is no quantizer: `identifier`"),
    ):
        result = run(*arguments, *wrong)
        assert result.exit_code == 1
        assert message in result.output
        assert not (tmp_path / "run").exists()


def test_a_file_whose_name_is_a_glob_is_that_file(tmp_path):
    path = tmp_path / "a[1].png"
    codec.write_image(photograph()[:20, :20], path)
    result = run("train", path, "--output", tmp_path / "run")
    assert "a[1].png is 20x20, smaller than a crop" in result.output


def test_usage_errors_exit_with_2():
    assert run("compress").exit_code == 2
    assert "--output-dir" in run("compress", "a.png", "b.png", "c.png").output
    assert run("compress", "a.png", "b.png", "c.png").exit_code == 2
    assert run("no-such-command").exit_code == 2
    assert run("--help").exit_code == 0


def test_defaults_are_those_of_the_settings():
    from tfsq.cli.training import train
    from tfsq.training import TrainingSettings

    parameters = inspect.signature(train).parameters
    for field in dataclasses.fields(TrainingSettings):
        assert parameters[field.name].default.default == field.default


@pytest.mark.slow
def test_compress_by_quality_and_decompress_without_a_model(shipping, image, tmp_path):
    folder, quality = shipping, ("--quality", 2)
    compressed, refined, decoded = (tmp_path / name for name in ("a.tfsq", "b.tfsq", "a.png"))
    result = run("compress", image, compressed, *quality)
    assert result.exit_code == 0, result.output
    assert run("decompress", compressed, decoded).exit_code == 0
    expected = codec.compress(codec.read_image(image), folder)
    assert compressed.read_bytes() == expected
    assert np.array_equal(codec.read_image(decoded), codec.decompress(expected, folder))
    result = run("compress", image, refined, *quality, "--refine", 2)
    assert result.exit_code == 0, result.output
    assert run("decompress", refined, decoded, "--force").exit_code == 0
    result = run("compress", image, tmp_path / "c.tfsq", "--quality", 5)
    assert result.exit_code == 1
    assert "--quality must be a number from 1 to 3" in result.output
    # The middle, and a file beside the image.
    result = run("compress", image)
    assert result.exit_code == 0, result.output
    assert image.with_suffix(".tfsq").read_bytes() == expected
    bpp = 8 * len(expected) / (170 * 180)
    line = f"image.tfsq: {len(expected)} bytes, {bpp:.4f} bpp, quality 2, bundled"
    assert result.stdout.strip().endswith(line)
    assert ", bundled" in run("info", image.with_suffix(".tfsq")).stdout
    refused = run("decompress", image.with_suffix(".tfsq"))
    assert refused.exit_code == 1
    assert "is there already" in refused.output
    image.unlink()
    assert run("decompress", image.with_suffix(".tfsq"), "-q").stdout == ""
    assert np.array_equal(codec.read_image(image), codec.decompress(expected, folder))


@pytest.mark.slow
def test_a_model_of_many_rates_from_training_to_evaluation(tiny_network, eagerly, tmp_path):
    image, output = tmp_path / "image.png", tmp_path / "run"
    codec.write_image(photograph()[:64, :80], image)
    options = ("--steps", 2, "--batch-size", 2, "--crop-size", 64, "--architecture", tiny.NAME)
    ladder = ("--lmbdas", "0.002,0.006,0.018", "--num-filters", 3, "--num-latents", 4)
    for _ in range(2):
        # Called again, it is the same run.
        result = run("train", image, "--output", output, *options, *ladder)
        assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
    assert {"loss", "loss_1", "bpp_2", "psnr_3"} <= set(rows[0])
    model = ("--model", output / "codec")
    files = {quality: tmp_path / f"{quality}.tfsq" for quality in (1, 2, 2.5)}
    for quality, file in files.items():
        result = run("compress", image, file, *model, "--quality", quality)
        assert result.exit_code == 0, result.output
        assert codec.unpack(file.read_bytes()).quality == quality
    assert run("compress", image, tmp_path / "middle.tfsq", *model).exit_code == 0
    assert (tmp_path / "middle.tfsq").read_bytes() == files[2].read_bytes()
    assert "2.5" in run("info", files[2.5]).output
    assert run("decompress", files[2.5], tmp_path / "decoded.png", *model).exit_code == 0
    result = run("compress", image, tmp_path / "a.tfsq", *model, "--quality", 4)
    assert result.exit_code == 1
    assert "--quality must be a number from 1 to 3" in result.output
    result = run("compress", image, tmp_path / "a.tfsq", *model, "--psnr", 160)
    assert result.exit_code == 1
    assert "error: --psnr must be at most" in result.output
    assert "Received: --psnr 160.0\n" in result.output
    table = tmp_path / "table.csv"
    evaluated = ("evaluate", image, *model, "--csv", table, "--force")
    for qualities, expected in (((), [1, 2, 3]), (("--qualities", "1:2:0.5"), [1, 1.5, 2])):
        result = run(*evaluated, *qualities)
        assert result.exit_code == 0, result.output
        (curve,) = evaluation.read_comparison(table)
        assert [mean.quality for mean in curve.means()] == expected
        assert curve.label() == f"tfsq, quality 1 to {expected[-1]}"
    for text in ("1:2", "2:1:1", "1:2:0", "a:b:c"):
        result = run(*evaluated, "--qualities", text)
        assert result.exit_code == 1
        assert "--qualities must be FIRST:LAST:STEP" in result.output
    result = run("train", image, "--output", tmp_path / "b", "--lmbdas", "1,a")
    assert result.exit_code == 2
    assert "--lmbdas must be numbers with commas between them" in result.output


def test_train_interrupted_and_resumed(tiny_network, eagerly, tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    codec.write_image(photograph("coffee")[:80, :90], photographs / "a.png")
    codec.write_image(photograph("rocket")[:90, :80], photographs / "b.png")
    settings = {
        "--steps": 6,
        "--steps-per-epoch": 2,
        "--batch-size": 2,
        "--crop-size": 64,
        "--architecture": tiny.NAME,
        "--num-filters": 3,
        "--num-latents": 4,
        "--final-temperature": 0.25,
        "--annealing-start": 0,
        "--hard-fraction": 0.2,
        "--rate-quantizer": "same",
    }
    output = tmp_path / "run"
    arguments = ["train", str(photographs / "*.png"), "--output", str(output)]
    arguments += [str(word) for pair in settings.items() for word in pair]

    import tfsq.training

    class Interrupt(tfsq.callbacks.TrainTestGap):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfsq.training.runs, "TrainTestGap", Interrupt)
        result = run(*arguments)
    assert result.exit_code == 130, result.output
    assert "the same command continues" in result.output
    assert not (output / "codec").exists()
    # Or ends here, and goes on all the same.
    result = run("export", output)
    assert result.exit_code == 0, result.output
    assert "the run ended at step 4 of 6" in result.output
    assert "\n4 of 6 steps" in (output / "codec" / codec.CARD_FILE).read_text()

    result = run(*arguments)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    # At steps 1, 3 and 5 of a fall to a quarter over the first 5 steps.
    expected = [0.25 ** (step / 5) for step in (1, 3, 5)]
    assert [float(row["temperature"]) for row in rows] == pytest.approx(expected, rel=1e-4)
    assert {"loss", "bpp", "mse", "psnr", "train_test_gap"} <= set(rows[0])
    assert os.listdir(output / "logs")
    assert codec.load(output / "codec").metadata["lmbda"] == 0.01
    # The card of before was nobody's but tfsq's.
    card = (output / "codec" / codec.CARD_FILE).read_text()
    assert "\n6 of 6 steps" in card
    assert re.search(r"Random crops of \d+ files? of digest [0-9a-f]{16}\.", card)
    # The last fifth has trained on rounded latents.
    model = tf.keras.models.load_model(output / "model.keras")
    assert float(model.latent_model.rate_quantizer.temperature) == pytest.approx(0.25)
    # The rates differ by the table of scales alone.
    # But for predictions in floats, where evaluation predicts exactly.
    gaps = [abs(float(row["train_test_gap_distortion"])) for row in rows]
    assert gaps[-1] < 0.01 * min(gaps[:-1])

    other = run(*arguments, "--lmbda", 0.5)
    assert other.exit_code == 1
    assert "holds a run with other settings: --lmbda 0.01, now 0.5" in other.output


@pytest.mark.parametrize(
    ("text", "size"),
    [("60000", 60_000), ("60kB", 60_000), ("2 MB", 2_000_000), ("3KiB", 3072), ("1.5MiB", 1572864)],
)
def test_sizes_have_units(text, size):
    assert coding._bytes(text) == size


def test_options_of_programs_reach_them(tmp_path, monkeypatch):
    signature, seen = inspect.signature(training.export_program), {}

    def export_program(*given):
        seen.update(signature.bind(*given).arguments)
        return {"left_out": [], "bytes": 0, "images": 1}

    monkeypatch.setattr(training, "export_program", export_program)
    codec.write_image(photograph()[:64, :64], tmp_path / "a.png")
    given = ("program", tmp_path / "a.png", "--output", tmp_path / "p", "--half", "--max-size", 3)
    assert run(*given).exit_code == 0
    assert (seen["half"], seen["max_size"], seen["start"]) == (True, 3.0, None)
