"""`tfsq evaluate`: what it measures, leaves out and keeps."""

import csv
import io
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.command_line import refused, run, save
from tfsq import evaluation

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / "image.png")


@pytest.mark.slow
def test_evaluate_goes_on_past_files_that_do_not_serve(image, folder, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    save(tmp_path / "z.png")
    table = tmp_path / "out" / "table.csv"
    table.parent.mkdir()
    arguments = ("evaluate", tmp_path / "*", "--model", folder, "--csv", table)
    refused(run(*arguments), f"skipped: Not an image file: {tmp_path / 'notes.txt'}")
    with table.open() as opened:
        rows = list(csv.DictReader(opened))
    assert [row["file"] for row in rows] == [str(image), str(tmp_path / "z.png"), "mean"]
    assert [row["files"] for row in rows] == ["1", "1", "2"]
    # What was measured before stays also where nothing goes on.
    refused(run(*arguments, "--strict", "--force"), "error: Not an image file")
    assert [row["file"] for row in csv.DictReader(io.StringIO(table.read_text()))] == [
        str(image),
        "mean",
    ]
    refused(run("evaluate", tmp_path / "notes.txt", "--model", folder), "None of the files serves")
    result = run("evaluate", image, "missing.png", "--model", folder)
    refused(result, "skipped: No such file, and nothing that matches: missing.png")
    assert f"{image}" in result.stdout


@pytest.mark.slow
def test_an_evaluation_that_is_interrupted_keeps_what_it_has(image, folder, monkeypatch, tmp_path):
    save(tmp_path / "z.png")
    measure = evaluation.Comparison.measure

    def interrupted(self, file):
        if file.endswith("z.png"):
            raise KeyboardInterrupt
        measure(self, file)

    monkeypatch.setattr(evaluation.Comparison, "measure", interrupted)
    result = run("evaluate", tmp_path / "*.png", "--model", folder, "--csv", tmp_path / "t.csv")
    assert result.exit_code != 0
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_images_that_are_coded_exactly_leave_means_finite(folder, tmp_path):
    save(tmp_path / "photograph.png", (64, 64))
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    table = tmp_path / "table.csv"
    arguments = ("--model", folder, "--reference", "jpeg", "--csv", table)
    result = run("evaluate", tmp_path / "*.png", *arguments)
    assert result.exit_code == 0, result.output
    assert f"infinite PSNR: {tmp_path / 'black.png'}" in result.output
    assert "They are over 1 of the files" in result.output
    with table.open() as opened:
        rows = list(csv.DictReader(opened))
    assert any(row["psnr"] == "inf" for row in rows)
    means = [row for row in rows if row["file"] == "mean"]
    assert {row["files"] for row in means} == {"1"}
    for mean, row in zip(means, [r for r in rows if r["file"].endswith("photograph.png")]):
        assert (mean["psnr"], mean["bpp"]) == (row["psnr"], row["bpp"])
    again = evaluation.read_comparison(table)
    assert np.isfinite([point for curve in again for point in curve.points()]).all()


@pytest.mark.slow
def test_images_that_are_all_coded_exactly_are_said_to_be(folder, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    result = run("evaluate", tmp_path, "--model", folder, "--reference", "webp")
    assert "Each file is reproduced exactly by a codec" in result.output


@pytest.mark.slow
def test_evaluate_the_codec_that_comes_with_tfsq(shipping, image, folder, tmp_path):
    def measured(*options):
        result = run("evaluate", image, *options, "--csv", tmp_path / "a.csv", "--force")
        assert result.exit_code == 0, result.output
        curve = evaluation.read_comparison(tmp_path / "a.csv")[0]
        return [(pathlib.Path(mean.codec).name, mean.quality) for mean in curve.means()]

    bundled = [("photographs", quality) for quality in (1, 2, 3)]
    assert measured() == measured("--model", "bundled") == bundled
    assert measured("--qualities", "1:2:0.5") == [("photographs", q) for q in (1, 1.5, 2)]
    # One of a single rate beside it has a curve of its own.
    assert measured("--model", "bundled", "--model", folder) == bundled
    one, many = evaluation.read_comparison(tmp_path / "a.csv")[::-1]
    assert (one.name, len(one.points()), one.of_models) == ("tfsq", 1, True)
    assert many.name == "photographs" and many.label() == "photographs, quality 1 to 3"
    comparison = evaluation.Comparison([folder, shipping], qualities=[3])
    comparison.measure(image)
    labels = [curve.label() for curve in comparison.curves()]
    assert labels == [f"tfsq, lambda {one.measurements[0].quality:g}", "photographs, quality 3"]
    refused(
        run("evaluate", image, "--qualities", "3:4:1"),
        "must be numbers from 1 to 3 for the model 'photographs'. Received: [3.0, 4.0]",
    )


@pytest.mark.slow
def test_two_codecs_of_many_rates_are_compared(shipping, image, tmp_path):
    other = shutil.copytree(shipping, tmp_path / "mine")
    options = ("--model", other, "--model", "bundled", "--qualities", "1:3:0.5")
    result = run("evaluate", image, *options, "--csv", tmp_path / "a.csv")
    assert result.exit_code == 0, result.output
    assert "BD-rate of mine against photographs: " in result.output
    mine, bundled = evaluation.read_comparison(tmp_path / "a.csv")
    assert (mine.name, bundled.name) == ("mine", "photographs")
    assert mine.points() == bundled.points() and len(mine.points()) == 5
