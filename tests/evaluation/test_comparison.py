import csv
import dataclasses
import math
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tests.photographs import photograph
from tests.readable import check_text
from tfsq import codec, drawing, evaluation


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A photograph with MS-SSIM and one without."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = [folder / "a.png", folder / "b.png"]
    for path, size in zip(paths, (170, 50)):
        codec.write_image(photograph()[:size, :180], path)
    return paths


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Two runs, each with its folder `codec`."""
    copies = [tmp_path_factory.mktemp(f"run{i}", numbered=False) / "codec" for i in range(2)]
    for copy in copies:
        shutil.copytree(folder, copy)
    return copies


def compare(files, models, references=()):
    comparison = evaluation.Comparison(models, references)
    assert comparison.curves() == []
    comparison.measure(*files)
    return comparison.curves()


@pytest.fixture(scope="module")
def curves(files, runs):
    """The comparison of two models and both references on two files."""
    return compare(files, runs, ["webp", "jpeg"])


def test_every_model_and_quality_is_measured_on_every_file(curves, files):
    assert [curve.name for curve in curves] == ["tfsq", "webp", "jpeg"]
    expected = [("run0/codec", 0.02), ("run1/codec", 0.02)]
    for curve in curves:
        if curve.name != "tfsq":
            expected = [(curve.name, q) for q in evaluation.REFERENCES[curve.name].qualities]
        groups = curve.groups()
        assert [(group[0].codec, group[0].quality) for group in groups] == expected
        for group in groups:
            assert [m.file for m in group] == [str(file) for file in files]
            assert len({(m.codec, m.quality) for m in group}) == 1


def test_measurements_are_those_of_the_codecs(curves, files, loaded):
    image = codec.read_image(files[1])
    for measured, expected in (
        (curves[0].groups()[1][1], evaluation.measure(image, loaded)),
        (curves[2].groups()[3][1], evaluation.measure(image, evaluation.REFERENCES["jpeg"].at(15))),
    ):
        assert measured.ms_ssim is None
        assert (measured.bpp, measured.psnr) == pytest.approx((expected.bpp, expected.psnr))


def test_means_are_over_files_and_points_ascend(curves):
    for curve in curves:
        for (first, second), mean in zip(curve.groups(), curve.means()):
            assert (mean.file, mean.codec) == ("mean", first.codec)
            assert mean.quality == first.quality
            assert mean.bpp == pytest.approx((first.bpp + second.bpp) / 2)
            assert mean.psnr == pytest.approx((first.psnr + second.psnr) / 2)
            # The second file is too small for it.
            assert mean.ms_ssim == first.ms_ssim
        assert curve.points() == sorted((mean.bpp, mean.psnr) for mean in curve.means())
    backwards = evaluation.Curve("jpeg", curves[2].measurements[::-1])
    np.testing.assert_allclose(backwards.points(), curves[2].points())


def test_csv_has_every_file_and_the_means(curves, tmp_path):
    evaluation.write_comparison(curves, tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "codec", "quality", "bpp", "psnr", "ms_ssim", "files"]
    assert [row["files"] for row in rows[:3]] == ["1", "1", "2"]
    kinds = 2 + sum(len(evaluation.REFERENCES[name].qualities) for name in ("webp", "jpeg"))
    assert len(rows) == 3 * kinds
    means = [row for row in rows if row["file"] == "mean"]
    expected = [mean for curve in curves for mean in curve.means()]
    assert [(row["codec"], float(row["quality"])) for row in means] == [
        (mean.codec, mean.quality) for mean in expected
    ]
    np.testing.assert_allclose([float(row["psnr"]) for row in means], [m.psnr for m in expected])
    assert [row["ms_ssim"] == "" for row in rows[:3]] == [False, True, False]


def test_csv_is_read_as_it_was_written(curves, tmp_path):
    evaluation.write_comparison(curves, tmp_path / "comparison.csv")
    assert evaluation.read_comparison(tmp_path / "comparison.csv") == [
        evaluation.Curve(c.name, tuple(m for group in c.groups() for m in group)) for c in curves
    ]
    (tmp_path / "other.csv").write_text("file,rate\na.png,1\n")
    message = r"other.csv is no CSV file of measurements: .* columns .* \['file', 'rate'\]"
    with pytest.raises(ValueError, match=message):
        evaluation.read_comparison(tmp_path / "other.csv")


def test_damaged_tables_are_named(curves, tmp_path):
    evaluation.write_comparison(curves, tmp_path / "a.csv")
    header, first, *_ = (tmp_path / "a.csv").read_text().splitlines()
    cells = first.split(",")
    for damaged, received in (
        (cells[:3], "bpp=None"),
        (cells[:5], "ms_ssim=None"),
        ([*cells[:2], "high", *cells[3:]], "quality='high'"),
    ):
        (tmp_path / "a.csv").write_text(f"{header}\n{','.join(damaged)}\n")
        message = rf"a\.csv is no CSV file of measurements: .*{cells[0]}.* Received: {received}"
        with pytest.raises(ValueError, match=message):
            evaluation.read_comparison(tmp_path / "a.csv")


def test_figure_has_a_named_line_for_each_curve(curves, tmp_path):
    figure = evaluation.draw_comparison(curves)
    (axes,) = figure.axes
    assert len(axes.lines) == 3
    for drawn, curve in zip(axes.lines, curves):
        np.testing.assert_allclose(drawn.get_xydata(), curve.points())
    labels = [text.get_text().replace("\n", ", ") for text in axes.texts]
    expected = ["tfsq, lambda 0.02", "WebP, quality 0 to 95", "JPEG 4:2:0, quality 2 to 90"]
    # The network of the test is so bad that the references are above what the figure shows.
    assert labels == [expected[0], *(f"{name}, (not in view)" for name in expected[1:])]
    assert "Mean over 2 images" in axes.get_title(loc="left")
    assert "bits per pixel" in axes.get_xlabel()
    assert "PSNR" in axes.get_ylabel()
    figure.savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as written:
        assert min(written.size) > 300


def test_figure_shows_where_the_models_are(curves):
    (axes,) = evaluation.draw_comparison(curves).axes
    rates, psnr = zip(*curves[0].points())
    np.testing.assert_allclose(axes.get_xlim(), (0.0, 1.3 * max(rates)))
    np.testing.assert_allclose(axes.get_ylim(), (min(psnr) - 3.0, max(psnr) + 3.0))


def test_figure_of_exact_pictures_is_drawn(curves, tmp_path):
    exact = [dataclasses.replace(m, psnr=math.inf) for m in curves[0].measurements]
    figure = evaluation.draw_comparison([evaluation.Curve("tfsq", tuple(exact)), *curves[1:]])
    figure.savefig(tmp_path / "figure.png")
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if np.isfinite(line.get_ydata()).any()]
    assert len(drawn) == len(curves) - 1
    assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_text_of_the_figure_is_readable(curves):
    check_text(evaluation.draw_comparison(curves))


@pytest.mark.parametrize("ending", ("pdf", "svg", "png"))
def test_figure_is_saved_in_formats_of_papers(curves, ending, tmp_path):
    evaluation.draw_comparison(curves).savefig(tmp_path / f"figure.{ending}")
    data = (tmp_path / f"figure.{ending}").read_bytes()
    # Text stays text, in fonts that journals take.
    assert ending != "pdf" or (b"/CIDFontType2" in data and b"/Type3" not in data)
    assert ending != "svg" or b">bits per pixel, whole files</text>" in data


@pytest.mark.slow
def test_names_have_as_many_parents_as_tell_them_apart(files, folder, runs, loaded_once):
    (alone,) = compare(files[1:], runs[:1])
    assert alone.measurements[0].codec == "codec"
    (two,) = compare(files[1:], [folder, runs[0]])
    assert [m.codec for m in two.measurements] == ["exported", "codec"]


def test_what_cannot_be_compared_is_refused(files, runs):
    for arguments, message in (
        ((files, []), "`models` must not be empty"),
        ((files, [runs[0], runs[0] / ".." / "codec"]), "`models` must be different folders"),
        ((files, runs, ["jpeg", "gif"]), "must be one of .*Received: 'gif'"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(*arguments)


def test_names_of_figure_files_are_checked():
    evaluation.check_figure_file("figure.PNG")
    evaluation.check_figure_file("figure.pdf")
    for name in ("figure", "figure.xyz"):
        with pytest.raises(ValueError, match=f"{name} names no format that matplotlib writes"):
            evaluation.check_figure_file(name)


def test_missing_matplotlib_is_named(monkeypatch, curves):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = r"Figures need matplotlib: pip install 'tfsq\[figures\]', or matplotlib itself."
    for function in (
        lambda: evaluation.draw_comparison(curves),
        lambda: evaluation.check_figure_file("figure.png"),
        drawing.check_matplotlib,
    ):
        with pytest.raises(ImportError, match=message):
            function()


def test_names_of_files_and_codecs_are_read_as_written(tmp_path, folder):
    names = ("a.png", "mean")
    found = [
        evaluation.Measurement(name, model, 0.01, 1.0, 30.0, None)
        for model in "ab"
        for name in names
    ]
    reference = [evaluation.Measurement(name, "jpeg", 50.0, 2.0, 31.0, None) for name in names]
    curves = [evaluation.Curve("tfsq", tuple(found)), evaluation.Curve("jpeg", tuple(reference))]
    evaluation.write_comparison(curves, tmp_path / "table.csv")
    assert evaluation.read_comparison(tmp_path / "table.csv") == curves
    named = shutil.copytree(folder, tmp_path / "runs" / "jpeg")
    assert list(evaluation.Comparison([named])._codecs) == ["runs/jpeg"]
